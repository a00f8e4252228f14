#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cmath>
#include <span>
#include <string>
#include <vector>

#include "base/file_system.h"
#include "base/json_writer.h"
#include "base/status_macros.h"
#include "batchwright/engine.h"
#include "cli/command.h"
#include "cli/exit_code.h"
#include "cli/help.h"
#include "platform/posix_file_system.h"
#include "text/tokenizer.h"
#include "text/vocabulary.h"

namespace batchwright {
namespace {

struct Perplexity {
  std::vector<double> running;  // after each chunk
  int64_t tokens_scored = 0;
};

// The convention of llama.cpp's perplexity tool, so that figures can be compared: the text is tokenised once and cut
// into chunks; BOS takes the place of each chunk's first token where the model asks for it; of each chunk the second
// half's logits are scored, so that every target has at least half a context before it.
class EvalCommand : public Command {
 public:
  explicit EvalCommand(CLI::App& app) {
    CLI::App& command = *app.add_subcommand("eval", "Measure a model's perplexity on a text");
    set_examples(command,
                 "  batchwright eval model.gguf --text wiki.txt\n"
                 "  batchwright eval model.gguf --text wiki.txt --context 512 --chunks 8 --json");
    command.add_option("MODEL", model_, "A GGUF file")->required();
    command.add_option("--text", text_, "The text, UTF-8")->required();
    command.add_option("--context", context_, "Tokens of a chunk")
        ->check(CLI::Range(4, 1 << 24))
        ->capture_default_str();
    command.add_option("--chunks", chunks_, "Chunks to score at most (default: all)")->check(CLI::Range(1, 1 << 30));
    command.add_flag("--json", json_, "One JSON object");
    engine_.add_to(command, false);
  }

  int run() override {
    const Status status = evaluate();
    return status.ok() ? kExitOk : print_error(status);
  }

 private:
  Status evaluate() {
    BATCHWRIGHT_ASSIGN_OR_RETURN(EngineOptions options, engine_.options());
    options.context_length = context_;
    options.max_batch = 1;
    BATCHWRIGHT_ASSIGN_OR_RETURN(const std::string text, read_whole_file(*posix_file_system(), text_));
    BATCHWRIGHT_ASSIGN_OR_RETURN(const auto engine, Engine::load(model_, options));
    const std::vector<TokenId> tokens = engine->tokenizer().encode(text, {.add_bos = true});
    const auto available = static_cast<int64_t>(tokens.size()) / context_;
    if (available < 1) {
      return invalid_data(fmt::format("{}: holds {} tokens; at least one chunk of {} is needed (--context)", text_,
                                      tokens.size(), context_));
    }
    const int64_t chunks = chunks_ > 0 ? std::min<int64_t>(chunks_, available) : available;
    if (chunks_ > available) {
      fmt::print(stderr, "{}: holds {} chunks of {} tokens, not {}\n", text_, available, context_, chunks_);
    }
    const auto start = std::chrono::steady_clock::now();
    BATCHWRIGHT_ASSIGN_OR_RETURN(const Perplexity result, score_chunks(*engine, tokens, chunks));
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    if (!json_) {
      return print_result(fmt::format("perplexity {:.4f} over {} tokens of {} chunks, {:.1f} s\n",
                                      result.running.back(), result.tokens_scored, chunks, seconds.count()));
    }
    return print_result(json_text(*engine, result, seconds.count()));
  }

  Result<Perplexity> score_chunks(Engine& engine, std::span<const TokenId> tokens, int64_t chunks) const {
    const Vocabulary& vocabulary = engine.vocabulary();
    const int first_target = context_ / 2 + 1;
    Perplexity result;
    double sum = 0;
    for (int64_t c = 0; c < chunks; ++c) {
      const auto part = tokens.subspan(static_cast<size_t>(c * context_), static_cast<size_t>(context_));
      std::vector<TokenId> chunk(part.begin(), part.end());
      if (vocabulary.add_bos() && vocabulary.bos()) chunk.front() = *vocabulary.bos();
      BATCHWRIGHT_ASSIGN_OR_RETURN(const std::vector<float> logprobs, engine.score(chunk, first_target));
      for (size_t i = static_cast<size_t>(first_target); i < chunk.size(); ++i) {
        sum -= static_cast<double>(logprobs[i]);
        ++result.tokens_scored;
      }
      result.running.push_back(std::exp(sum / static_cast<double>(result.tokens_scored)));
      if (!json_) fmt::print(stderr, "chunk {}/{}: {:.4f}\n", c + 1, chunks, result.running.back());
    }
    return result;
  }

  std::string json_text(const Engine& engine, const Perplexity& result, double seconds) const {
    std::string text;
    JsonWriter out(text);
    out.begin_object();
    out.member("perplexity", result.running.back());
    out.member("tokens_scored", result.tokens_scored);
    out.key("chunks");
    out.begin_array();
    for (const double value : result.running) out.value(value);
    out.end_array();
    out.member("context", context_);
    out.member("isa", engine.options().isa);
    out.member("threads", engine.options().threads);
    out.member("model", engine.model().path);
    out.member("model_hash", engine.model().hash);
    out.member("seconds", seconds);
    out.end_object();
    return text + "\n";
  }

  std::string model_;
  std::string text_;
  int context_ = 512;
  int chunks_ = 0;
  bool json_ = false;
  EngineFlags engine_;
};

}  // namespace

std::unique_ptr<Command> add_eval_command(CLI::App& app) { return std::make_unique<EvalCommand>(app); }

}  // namespace batchwright

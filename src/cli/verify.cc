#include "job/verify.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <string>

#include "base/file_system.h"
#include "base/hash.h"
#include "base/json_writer.h"
#include "base/status_macros.h"
#include "base/utf8.h"
#include "batchwright/engine.h"
#include "cli/command.h"
#include "cli/exit_code.h"
#include "cli/help.h"
#include "cli/job_prompt_encoder.h"
#include "cli/stop_signal.h"
#include "platform/cpu.h"
#include "platform/posix_file_system.h"

namespace batchwright {
namespace {

constexpr size_t kDifferencesShownMax = 10;

// The bytes around the first that differs.
std::string excerpt(const std::string& line, size_t first_byte) {
  constexpr size_t kBefore = 20;
  constexpr size_t kBytes = 70;
  const size_t begin = first_byte > kBefore ? first_byte - kBefore : 0;
  std::string text = begin >= line.size() ? "" : line.substr(begin, kBytes);
  for (char& c : text) {
    if (c == '\n') c = ' ';
  }
  std::string out;
  append_valid_utf8(out, text);
  return out;
}

class VerifyCommand : public Command {
 public:
  explicit VerifyCommand(CLI::App& app) {
    CLI::App& command = *app.add_subcommand("verify", "Recompute some rows of a job, alone, and compare the bytes");
    set_examples(
        command,
        "  batchwright verify answers.jsonl\n"
        "  batchwright verify answers.jsonl --sample 1000 --threads 1 --isa avx2\n"
        "\n"
        "The journal beside the answers names the rows, the model and all options; the rows are computed one\n"
        "at a time, with nothing shared, in another order, by another number of threads. Exit code: 0 all are\n"
        "equal, 1 some differ, 2 the model or the rows are others than the job's.");
    command.add_option("OUTPUT", options_.output, "What was given to run as -o")->required();
    command.add_option("-m,--model", model_path_, "The model (default: the path that the job was run with)");
    command.add_option("--job", options_.input, "The rows (default: the path that the job was run with)");
    command.add_option("--sample", options_.sample, "So many rows")
        ->check(CLI::Range(int64_t{1}, INT64_MAX))
        ->capture_default_str();
    command.add_option("--seed", options_.seed, "Chooses the rows")->capture_default_str();
    command.add_flag("--json", json_, "One JSON object");
    engine_.add_to(command, false);
  }

  int run() override {
    watch_stop_signals();
    const auto code = verify();
    return code.ok() ? *code : print_error(code.status());
  }

 private:
  Result<int> verify() {
    BATCHWRIGHT_ASSIGN_OR_RETURN(const auto verification, Verification::open(*files_, options_, stop_signalled));
    const JobParameters& parameters = verification->parameters();
    if (model_path_.empty()) model_path_ = parameters.model_path;
    BATCHWRIGHT_ASSIGN_OR_RETURN(const Hash128 hash, hash_file(*files_, model_path_));
    if (hash.hex() != parameters.model_hash) {
      return invalid_argument(fmt::format("{} has the hash {}; the job's model was {} with the hash {}", model_path_,
                                          hash.hex(), parameters.model_path, parameters.model_hash));
    }
    BATCHWRIGHT_ASSIGN_OR_RETURN(EngineOptions engine_options, engine_.options());
    engine_options.context_length = parameters.context_length;
    // As unlike the run as can be: whatever it was batched with, here it is alone.
    engine_options.max_batch = 1;
    engine_options.max_batch_tokens = parameters.max_batch == 96 ? 80 : 96;
    engine_options.share_prefixes = false;
    if (engine_options.threads == 0) engine_options.threads = other_threads(parameters.threads);
    if (!json_) print_receipt(*verification);
    BATCHWRIGHT_ASSIGN_OR_RETURN(const auto engine, Engine::load(model_path_, engine_options));
    const auto encoder = job_prompt_encoder(engine->model(), engine->tokenizer(),
                                            {.limits = parameters.limits,
                                             .date = parameters.date,
                                             .chat_template = parameters.chat_template,
                                             .template_origin = "the job's chat template"});
    const auto progressed = [&](int64_t done) {
      if (!json_ && done % 100 == 0) fmt::print(stderr, "{} of {} rows\n", done, verification->sample_size());
    };
    BATCHWRIGHT_ASSIGN_OR_RETURN(const VerifyReport report,
                                 verification->run(*engine, *encoder, stop_signalled, progressed));
    BATCHWRIGHT_RETURN_IF_ERROR(print_result(json_ ? json_text(report, *engine) : text(report, *engine)));
    return report.differences.empty() ? kExitOk : kExitError;
  }

  static int other_threads(int threads) { return threads == 1 ? std::min(2, usable_cpus()) : 1; }

  void print_receipt(const Verification& verification) const {
    const JobParameters& p = verification.parameters();
    const JournalSummary& journal = verification.journal();
    fmt::print(stderr, "{}: {} rows answered, {} failed, {}; {} run{}\n", options_.output, journal.rows[0],
               journal.rows[1], journal.complete ? "complete" : "unfinished", journal.attempts.size(),
               journal.attempts.size() == 1 ? "" : "s");
    fmt::print(stderr, "model {} (hash {}), numerics {}, batchwright {}, {} on {} threads, batches of up to {}\n",
               p.model_path, p.model_hash, p.numerics_version, p.version, p.isa, p.threads, p.max_batch);
  }

  std::string text(const VerifyReport& report, const Engine& engine) const {
    const auto rows = report.rows_equal + static_cast<int64_t>(report.differences.size());
    std::string out =
        fmt::format("{} of {} rows are the same bytes, computed alone by {} on {} thread{}\n", report.rows_equal, rows,
                    engine.options().isa, engine.options().threads, engine.options().threads == 1 ? "" : "s");
    for (size_t i = 0; i < std::min(report.differences.size(), kDifferencesShownMax); ++i) {
      const VerifyReport::Difference& d = report.differences[i];
      out += fmt::format(
          "line {} of the job ({}), whose result begins at byte {}: byte {} differs{}\n  found    {}\n"
          "  computed {}\n",
          d.line, d.custom_id.empty() ? "no custom_id" : d.custom_id, d.offset, d.first_byte,
          d.was_edited ? "; the line was changed after the job wrote it" : "", excerpt(d.found, d.first_byte),
          excerpt(d.computed, d.first_byte));
    }
    if (report.differences.size() > kDifferencesShownMax) {
      out += fmt::format("and {} more\n", report.differences.size() - kDifferencesShownMax);
    }
    return out;
  }

  static std::string json_text(const VerifyReport& report, const Engine& engine) {
    std::string text;
    JsonWriter out(text);
    out.begin_object();
    out.member("rows_equal", report.rows_equal);
    out.member("rows_different", static_cast<int64_t>(report.differences.size()));
    out.key("differences");
    out.begin_array();
    for (const VerifyReport::Difference& d : report.differences) {
      out.begin_object();
      out.member("line", d.line);
      out.member("custom_id", d.custom_id);
      out.member("offset", d.offset);
      out.member("first_byte", static_cast<uint64_t>(d.first_byte));
      out.member("was_edited", d.was_edited);
      out.end_object();
    }
    out.end_array();
    out.member("isa", engine.options().isa);
    out.member("threads", engine.options().threads);
    out.member("model_hash", engine.model().hash);
    out.end_object();
    return text + "\n";
  }

  std::unique_ptr<FileSystem> files_ = posix_file_system();
  VerifyOptions options_;
  std::string model_path_;
  bool json_ = false;
  EngineFlags engine_;
};

}  // namespace

std::unique_ptr<Command> add_verify_command(CLI::App& app) { return std::make_unique<VerifyCommand>(app); }

}  // namespace batchwright

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "base/format_bytes.h"
#include "base/json_writer.h"
#include "base/status_macros.h"
#include "batchwright/engine.h"
#include "cli/command.h"
#include "cli/exit_code.h"
#include "cli/help.h"
#include "cli/step_files.h"
#include "kernels/peaks/peaks.h"
#include "platform/cpu.h"
#include "platform/posix_file_system.h"

namespace batchwright {
namespace {

// Where the time of a forward pass goes.
struct StageShare {
  std::string name;
  double share = 0;                     // of the time of all stages
  double multiply_adds_per_second = 0;  // with weights
  double bytes_per_second = 0;          // of weights
};

struct BatchSpeed {
  int batch = 0;
  double prefill = 0;  // tokens a second, all sequences together; what they share counts once
  double decode = 0;
  double seconds_prefill = 0;
  double seconds_decode = 0;
  std::vector<StageShare> stages;
};

std::vector<StageShare> stage_shares(const std::vector<StageStats>& before, const std::vector<StageStats>& after) {
  std::vector<StageShare> shares;
  double total = 0;
  for (size_t i = 0; i < after.size(); ++i) total += after[i].seconds - before[i].seconds;
  for (size_t i = 0; i < after.size() && total > 0; ++i) {
    const double seconds = after[i].seconds - before[i].seconds;
    if (seconds <= 0) continue;
    shares.push_back({after[i].name, seconds / total, (after[i].multiply_adds - before[i].multiply_adds) / seconds,
                      (after[i].weight_bytes - before[i].weight_bytes) / seconds});
  }
  return shares;
}

// The share of what is neither a product with weights nor attention.
double other_share(const std::vector<StageShare>& stages) {
  double share = 0;
  for (const StageShare& stage : stages) {
    if (stage.multiply_adds_per_second <= 0 && stage.name != "attention") share += stage.share;
  }
  return share;
}

constexpr double kBillion = 1e9;

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

BatchSpeed median(const std::vector<BatchSpeed>& runs) {
  BatchSpeed result;
  result.batch = runs.front().batch;
  for (double BatchSpeed::*const figure :
       {&BatchSpeed::prefill, &BatchSpeed::decode, &BatchSpeed::seconds_prefill, &BatchSpeed::seconds_decode}) {
    std::vector<double> values;
    for (const BatchSpeed& run : runs) values.push_back(run.*figure);
    result.*figure = median(std::move(values));
  }
  return result;
}

// As llama.cpp's batched-bench: all prompts first, then all sequences generate together. The token that a prompt's last
// position gives costs no decode step, so one more than asked for is generated.
class BenchCommand : public Command {
 public:
  explicit BenchCommand(CLI::App& app) {
    CLI::App& command = *app.add_subcommand("bench", "Measure a model's speed on this machine");
    set_examples(
        command,
        "  batchwright bench -m model.gguf\n"
        "  batchwright bench -m model.gguf --prompt 64 --generate 32 --batch 1,16,64 --json\n"
        "  batchwright bench -m model.gguf --prompt 1024 --shared-prefix 1024 --batch 64\n"
        "\n"
        "Each sequence has its own random tokens, after those of --shared-prefix. Speeds are tokens a second over\n"
        "all sequences together; the shared prefix counts once. The peaks are what this machine reached now in\n"
        "hand-written loops: multiply-adds a second (int8 by maddubs+madd, by maddubs+add16 and by VNNI, fp32 by\n"
        "fma) and bytes read a second.");
    command.add_option("-m,--model", model_, "A GGUF file")->required();
    command.add_option("--prompt", prompt_, "Tokens of each prompt")
        ->check(CLI::Range(1, 1 << 20))
        ->capture_default_str();
    command
        .add_option("--shared-prefix", shared_prefix_, "Tokens at the beginning of each prompt that all have in common")
        ->check(CLI::Range(0, 1 << 20))
        ->capture_default_str();
    command.add_option("--generate", generate_, "Tokens that each sequence generates")
        ->check(CLI::Range(1, 1 << 20))
        ->capture_default_str();
    command.add_option("--batch", batches_, "Sequences together; several after commas")
        ->check(CLI::Range(1, 65536))
        ->delimiter(',')
        ->capture_default_str();
    command.add_option("--repeat", repeat_, "Runs of each, of which the median is shown")
        ->check(CLI::Range(1, 1000))
        ->capture_default_str();
    command.add_option("--max-batch-tokens", max_batch_tokens_, "Tokens in a step at most")
        ->check(CLI::Range(1, 1 << 20))
        ->capture_default_str();
    command.add_flag("--stages", stages_, "Show where the time of forward passes goes");
    command.add_flag("--json", json_, "One JSON object");
    step_files_.add_to(command, false);
    engine_.add_to(command, false);
  }

  int run() override {
    const Status status = measure();
    return status.ok() ? kExitOk : print_error(status);
  }

 private:
  Status measure() {
    if (shared_prefix_ > prompt_) {
      return invalid_argument(
          fmt::format("--shared-prefix {} is more than the {} tokens of --prompt", shared_prefix_, prompt_));
    }
    BATCHWRIGHT_RETURN_IF_ERROR(step_files_.check({model_}));
    BATCHWRIGHT_ASSIGN_OR_RETURN(EngineOptions options, engine_.options());
    options.max_batch = *std::max_element(batches_.begin(), batches_.end());
    options.max_batch_tokens = max_batch_tokens_;
    options.context_length = prompt_ + generate_ + 1;
    options.share_prefixes = shared_prefix_ > 0;
    options.prefill_first = true;
    BATCHWRIGHT_ASSIGN_OR_RETURN(const auto engine, Engine::load(model_, options));
    // Touches the weights and the KV pages once.
    BATCHWRIGHT_RETURN_IF_ERROR(run_batch(*engine, 1, std::min(prompt_, 16), 0, 1).status());
    BATCHWRIGHT_RETURN_IF_ERROR(step_files_.begin(*engine));
    std::vector<BatchSpeed> speeds;
    for (const int batch : batches_) {
      const std::vector<StageStats> before = engine->stage_stats();
      std::vector<BatchSpeed> runs;
      for (int i = 0; i < repeat_; ++i) {
        BATCHWRIGHT_ASSIGN_OR_RETURN(runs.emplace_back(),
                                     run_batch(*engine, batch, prompt_, shared_prefix_, generate_));
      }
      speeds.push_back(median(runs));
      speeds.back().stages = stage_shares(before, engine->stage_stats());
      if (!json_) fmt::print(stderr, "batch {} is done\n", batch);
    }
    for (const std::string& failure : step_files_.end(*engine, "")) fmt::print(stderr, "batchwright: {}\n", failure);
    BATCHWRIGHT_ASSIGN_OR_RETURN(const Isa isa, select_isa(engine->options().isa));
    constexpr double kPeakSeconds = 1.5;
    const Peaks peaks = measure_peaks(isa, engine->options().threads, kPeakSeconds);
    return print_result(json_ ? json_text(*engine, speeds, peaks) : plain_text(*engine, speeds, peaks));
  }

  // Appends tokens that no run before this one had.
  void append_random(std::vector<TokenId>& tokens, int count, int vocabulary_size) {
    std::mt19937_64 random(next_seed_++);
    for (int t = 0; t < count; ++t) {
      tokens.push_back(static_cast<TokenId>(random() % static_cast<uint64_t>(vocabulary_size)));
    }
  }

  Result<BatchSpeed> run_batch(Engine& engine, int batch, int prompt, int shared, int generate) {
    const int vocabulary_size = engine.model().vocabulary_size;
    std::vector<TokenId> prefix;
    append_random(prefix, shared, vocabulary_size);
    for (int i = 0; i < batch; ++i) {
      Request request;
      request.id = static_cast<uint64_t>(i) + 1;
      request.prompt = prefix;
      append_random(request.prompt, prompt - shared, vocabulary_size);
      request.sampling.temperature = 0;
      request.max_tokens = generate + 1;
      request.ignore_eos = true;
      engine.submit(std::move(request));
    }
    const EngineStats before = engine.stats();
    while (engine.active() > 0) {
      BATCHWRIGHT_ASSIGN_OR_RETURN(const std::vector<Completion> done, engine.step());
      step_files_.stepped(engine);
      for (const Completion& completion : done) BATCHWRIGHT_RETURN_IF_ERROR(completion.status);
    }
    const EngineStats after = engine.stats();
    if (after.preemptions != before.preemptions) {
      return resource_exhausted(
          fmt::format("the KV cache of {} does not hold {} sequences of {} tokens; --kv-memory gives it more",
                      format_bytes(static_cast<double>(after.kv_memory_bytes)), batch, prompt + generate + 1));
    }
    BatchSpeed speed;
    speed.batch = batch;
    const auto per_second = [](int64_t tokens, double seconds) {
      return seconds > 0 ? static_cast<double>(tokens) / seconds : 0.0;
    };
    speed.seconds_prefill = after.seconds_prefill - before.seconds_prefill;
    speed.seconds_decode = after.seconds_decode - before.seconds_decode;
    speed.prefill = per_second(shared + int64_t{batch} * (prompt - shared), speed.seconds_prefill);
    speed.decode = per_second(int64_t{batch} * generate, speed.seconds_decode);
    return speed;
  }

  std::string plain_text(const Engine& engine, const std::vector<BatchSpeed>& speeds, const Peaks& peaks) const {
    std::string out =
        fmt::format("{}, {} threads, {}; {} prompt and {} generated tokens a sequence{}\n\n", engine.model().path,
                    engine.options().threads, engine.options().isa, prompt_, generate_,
                    shared_prefix_ > 0 ? fmt::format(", the first {} in common", shared_prefix_) : "");
    out += "  batch    prefill tokens/s    decode tokens/s\n";
    for (const BatchSpeed& s : speeds)
      out += fmt::format("  {:>5} {:>19.1f} {:>18.1f}\n", s.batch, s.prefill, s.decode);
    for (const BatchSpeed& s : speeds) {
      if (!stages_) break;
      out += fmt::format("\nStages with {} sequences, prefill and decode together\n", s.batch);
      for (const StageShare& stage : s.stages) {
        out += fmt::format("  {:<17} {:>5.1f}%", stage.name, 100 * stage.share);
        if (stage.multiply_adds_per_second > 0) {
          out += fmt::format("  {:>6.1f} billion multiply-adds/s, {:>5.1f} GB/s of weights",
                             stage.multiply_adds_per_second / kBillion, stage.bytes_per_second / kBillion);
        }
        out += '\n';
      }
      out += fmt::format("  neither product nor attention: {:.1f}%\n", 100 * other_share(s.stages));
    }
    out += fmt::format(
        "\nPeaks (billions a second): int8 {:.1f} maddubs+madd, {:.1f} maddubs+add16, {:.1f} AVX-VNNI, {:.1f} VNNI; "
        "fp32 {:.1f} fma; {:.1f} bytes read\n",
        peaks.int8_maddubs_madd, peaks.int8_maddubs_add16, peaks.int8_avxvnni, peaks.int8_vnni, peaks.fp32_fma,
        peaks.read_bandwidth);
    return out;
  }

  std::string json_text(const Engine& engine, const std::vector<BatchSpeed>& speeds, const Peaks& peaks) const {
    std::string text;
    JsonWriter out(text);
    out.begin_object();
    out.member("model", engine.model().path);
    out.member("isa", engine.options().isa);
    out.member("threads", engine.options().threads);
    out.member("prompt", prompt_);
    out.member("shared_prefix", shared_prefix_);
    out.member("generate", generate_);
    out.key("results");
    out.begin_array();
    for (const BatchSpeed& speed : speeds) {
      out.begin_object();
      out.member("batch", speed.batch);
      out.member("prefill_tokens_per_second", speed.prefill);
      out.member("decode_tokens_per_second", speed.decode);
      out.member("prefill_seconds", speed.seconds_prefill);
      out.member("decode_seconds", speed.seconds_decode);
      if (stages_) {
        write_stages(out, speed.stages);
        out.member("other_share", other_share(speed.stages));
      }
      out.end_object();
    }
    out.end_array();
    out.key("peaks");
    out.begin_object();
    out.member("int8_maddubs_madd", peaks.int8_maddubs_madd * kBillion);
    out.member("int8_maddubs_add16", peaks.int8_maddubs_add16 * kBillion);
    out.member("int8_avxvnni", peaks.int8_avxvnni * kBillion);
    out.member("int8_vnni", peaks.int8_vnni * kBillion);
    out.member("fp32_fma", peaks.fp32_fma * kBillion);
    out.member("read_bytes_per_second", peaks.read_bandwidth * kBillion);
    out.end_object();
    out.end_object();
    return text + "\n";
  }

  static void write_stages(JsonWriter& out, const std::vector<StageShare>& stages) {
    out.key("stages");
    out.begin_array();
    for (const StageShare& stage : stages) {
      out.begin_object();
      out.member("name", stage.name);
      out.member("share", stage.share);
      out.member("multiply_adds_per_second", stage.multiply_adds_per_second);
      out.member("weight_bytes_per_second", stage.bytes_per_second);
      out.end_object();
    }
    out.end_array();
  }

  std::string model_;
  int prompt_ = 64;
  int shared_prefix_ = 0;
  int generate_ = 32;
  std::vector<int> batches_ = {1, 16, 64};
  int repeat_ = 1;
  int max_batch_tokens_ = 512;
  bool stages_ = false;
  bool json_ = false;
  EngineFlags engine_;
  const std::unique_ptr<FileSystem> files_ = posix_file_system();
  StepFiles step_files_{*files_};
  uint64_t next_seed_ = 1;
};

}  // namespace

std::unique_ptr<Command> add_bench_command(CLI::App& app) { return std::make_unique<BenchCommand>(app); }

}  // namespace batchwright

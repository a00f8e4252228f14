#include "cli/plan_job.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "base/format_bytes.h"
#include "base/json_writer.h"
#include "base/status_macros.h"
#include "cli/command.h"
#include "cli/exit_code.h"
#include "cli/job_prompt_encoder.h"
#include "cli/progress.h"
#include "cli/step_files.h"
#include "cli/stop_signal.h"
#include "engine/calibration.h"
#include "engine/engine_outline.h"
#include "engine/memory_plan.h"
#include "job/input_file.h"
#include "job/job_survey.h"
#include "job/result_format.h"
#include "job/row_feeder.h"
#include "model/model.h"
#include "plan/chart.h"
#include "plan/job_plan.h"
#include "platform/cpu.h"

namespace batchwright {
namespace {

// To simulate.
constexpr int64_t kRowsThatTakeSeconds = 100'000;

ModelWork work_of(const ModelShape& shape) {
  const double width = shape.embedding;
  const double attention = width * (2.0 * shape.q_width() + 2.0 * shape.kv_width());
  const double feed_forward = 3.0 * width * shape.feed_forward;
  return {shape.layers * (attention + feed_forward), width * shape.vocabulary};
}

// Lengths with that mean, each end as likely as another: as if so many had ended before.
AnswerLengths lengths_with_mean(double mean) {
  constexpr int kCount = 256;
  AnswerLengths lengths;
  for (int i = 0; i < kCount; ++i) {
    const double place = (i + 0.5) / kCount;
    lengths.record(0, static_cast<int>(std::lround(-mean * std::log1p(-place))));
  }
  return lengths;
}

std::string duration(double seconds) {
  if (seconds < 100) return fmt::format("{:.1f} s", seconds);
  const auto whole = static_cast<int64_t>(std::llround(seconds));
  if (whole < 3600) return fmt::format("{}:{:02}", whole / 60, whole % 60);
  return fmt::format("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60);
}

class Planner {
 public:
  Planner(FileSystem& files, JobFlags& job, const PlanFlags& flags)
      : files_(files), job_(job), flags_(flags), stages_(choose_progress_style(false, flags.json), steady_seconds) {}

  Status make();
  Status print() const;
  int64_t rows_bad() const { return surveyed_.rows_bad; }

 private:
  Status check_chart() const;
  Status survey(const JobSurvey& rows);
  Status learn_costs();
  Status simulate();
  Result<size_t> peak_memory() const;
  std::string plain_text() const;

  FileSystem& files_;
  JobFlags& job_;
  const PlanFlags& flags_;
  StagePrinter stages_;
  EngineOptions options_;
  EngineOutline outline_;
  SurveyedJob surveyed_;
  double order_seconds_ = 0;
  size_t job_bytes_ = 0;  // what a run takes beside the engine
  SimulatedPlan plan_;
};

// What the job reads must not be written over.
Status Planner::check_chart() const {
  if (flags_.chart_path.empty()) return {};
  std::vector<std::string> taken = {job_.job.model_path};
  if (job_.job.input != "-") taken.push_back(job_.job.input);
  if (!job_.template_path.empty()) taken.push_back(job_.template_path);
  return check_new_whole_file("--chart", flags_.chart_path, taken);
}

Status Planner::make() {
  BATCHWRIGHT_ASSIGN_OR_RETURN(options_, job_.resolve(files_));
  BATCHWRIGHT_RETURN_IF_ERROR(check_chart());
  const ReadWatch watch{stop_signalled, [this](uint64_t bytes, uint64_t total) {
                          stages_.read("reading " + input_name(job_.job.input), bytes, total);
                        }};
  BATCHWRIGHT_ASSIGN_OR_RETURN(const auto rows, JobSurvey::open(files_, job_.job, watch));
  BATCHWRIGHT_ASSIGN_OR_RETURN(outline_, read_engine_outline(job_.job.model_path, options_, default_cache_folder()));
  BATCHWRIGHT_RETURN_IF_ERROR(survey(*rows));
  if (!outline_.cost_model) BATCHWRIGHT_RETURN_IF_ERROR(learn_costs());
  if (surveyed_.rows_total >= kRowsThatTakeSeconds) stages_.begin("simulating the run");
  const Status simulated = simulate();
  stages_.finish();
  return simulated;
}

Status Planner::survey(const JobSurvey& rows) {
  const auto encoder = job_prompt_encoder(outline_.info, *outline_.tokenizer,
                                          {.limits = job_.job.limits,
                                           .date = job_.job.date,
                                           .chat_template = job_.job.chat_template,
                                           .template_origin = job_.template_path});
  const ProtocolContext context{*encoder, outline_.options.context_length, shown_model_name(outline_.info),
                                job_.job.defaults, job_.job.limits};
  const double begin = steady_seconds();
  BATCHWRIGHT_ASSIGN_OR_RETURN(
      surveyed_, rows.look(context, *outline_.vocabulary,
                           {outline_.options.threads, outline_.options.max_batch,
                            [&](int64_t looked_at) { stages_.at("reading the rows", looked_at, rows.rows_total()); }}));
  // A run that keeps the file's order does not wait for the last row before it takes the first.
  if (!job_.job.file_order) order_seconds_ = steady_seconds() - begin;
  job_bytes_ = rows.memory_bytes(surveyed_, outline_.options.max_batch);
  return {};
}

// Nothing is kept of this machine: the model itself must say how fast it is.
Status Planner::learn_costs() {
  stages_.begin(kMeasuring);
  BATCHWRIGHT_ASSIGN_OR_RETURN(const auto engine, Engine::load(job_.job.model_path, options_));
  CalibrationOptions calibration;
  calibration.cache_folder = default_cache_folder();
  calibration.tokens = 1e12;  // it is to be measured, however small the job
  calibration.seconds_worth = 0;
  calibration.measured = [this](const std::string& why_not_kept) {
    stages_.finish();
    print_measured(choose_progress_style(false, flags_.json), why_not_kept);
  };
  const Status measured = engine->calibrate(calibration);
  if (engine->cost_model() == nullptr) return measured.ok() ? internal_error("nothing was measured") : measured;
  outline_.cost_model = *engine->cost_model();
  outline_.options.max_batch_tokens = engine->options().max_batch_tokens;
  return {};
}

Status Planner::simulate() {
  AnswerLengths lengths;
  if (flags_.expected_tokens > 0) {
    lengths = lengths_with_mean(flags_.expected_tokens);
  } else {
    for (const FinishedAnswer& answer : surveyed_.finished_answers) lengths.record(answer.group, answer.tokens);
  }
  JobPlanInput input;
  input.rows = surveyed_.rows;
  input.ends_freely = &surveyed_.ends_freely;
  input.options.max_batch = outline_.options.max_batch;
  input.options.max_batch_tokens = outline_.options.max_batch_tokens;
  input.options.requests_ahead = requests_ahead(outline_.options.max_batch);
  input.options.share_prefixes = outline_.options.share_prefixes;
  input.options.page_classes = outline_.kv.specs;
  input.options.page_bytes = outline_.kv.page_bytes;
  input.model = &*outline_.cost_model;
  input.learnt = &lengths;
  input.order_seconds = order_seconds_;
  input.stop = stop_signalled;
  plan_ = simulate_plan(input, surveyed_.rows_total, surveyed_.rows_bad);
  if (plan_.stopped) return interrupted("stopped on request");
  JobPlan& plan = plan_.plan;
  plan.rows_done = surveyed_.rows_done;
  plan.kv_memory_bytes = outline_.kv.bytes();
  BATCHWRIGHT_ASSIGN_OR_RETURN(plan.peak_memory_bytes, peak_memory());
  plan.multiply_adds = multiply_adds(work_of(outline_.shape), surveyed_.rows, plan.prompt_tokens_to_compute);
  if (flags_.chart_path.empty()) return {};
  const ChartText text{job_.chart_title(), "as planned", plan.kv_memory_bytes};
  return write_file_atomically(files_, flags_.chart_path, chart_svg(plan_.expected.columns, text));
}

Result<size_t> Planner::peak_memory() const {
  MemoryUse use;
  use.positions = 1;
  use.full_logits = false;
  for (const SimulatedRow& row : surveyed_.rows) {
    use.positions = std::max<int64_t>(use.positions, int64_t{row.prompt_tokens} + row.answer_tokens);
    use.full_logits = use.full_logits || row.full_logits;
  }
  use.kv_bytes = plan_.expected.kv_bytes_touched;
  use.caller_bytes = job_bytes_;
  BATCHWRIGHT_ASSIGN_OR_RETURN(const MemoryPlan memory, plan_memory(*outline_.file, outline_.shape, options_, use));
  return memory.peak();
}

std::string Planner::plain_text() const {
  const JobPlan& plan = plan_.plan;
  std::string out;
  const auto line = [&](const char* name, const std::string& value) { out += fmt::format("{:<20}{}\n", name, value); };
  const std::string done = plan.rows_done > 0 ? fmt::format("{} done, of the others ", plan.rows_done) : "";
  line("rows", fmt::format("{}, {}{} {}bad", plan.rows, done, plan.rows_bad, done.empty() ? "of them " : ""));
  for (const BadRow& row : surveyed_.bad_rows) out += fmt::format("  line {}: {}\n", row.line, row.message);
  if (plan.rows_bad > static_cast<int64_t>(surveyed_.bad_rows.size())) out += "  ...\n";
  const double saved = plan.prompt_tokens > 0 ? 1 - static_cast<double>(plan.prompt_tokens_to_compute) /
                                                        static_cast<double>(plan.prompt_tokens)
                                              : 0;
  line("prompt tokens", fmt::format("{}, {} to compute: sharing saves {:.0f}%", plan.prompt_tokens,
                                    plan.prompt_tokens_to_compute, 100 * saved));
  const auto& generated = plan.generated_tokens;
  line("generated tokens", generated.low == generated.high
                               ? fmt::format("{}", generated.expected)
                               : fmt::format("{} ({} to {})", generated.expected, generated.low, generated.high));
  line("time", fmt::format("{} ({} to {})", duration(plan.seconds.expected), duration(plan.seconds.low),
                           duration(plan.seconds.high)));
  line("rows per hour", fmt::format("{:.0f}", plan.rows_per_hour()));
  line("peak memory", format_bytes(static_cast<double>(plan.peak_memory_bytes)));
  line("KV memory", fmt::format("{}, {} held at most", format_bytes(static_cast<double>(plan.kv_memory_bytes)),
                                format_bytes(static_cast<double>(plan_.expected.kv_bytes_held_max))));
  line("multiply-adds", fmt::format("{:.2e}", plan.multiply_adds));
  line("limited by", plan.limited_by);
  for (const Advice& advice : plan.advice) out += fmt::format("- {}\n", advice.message);
  return out;
}

Status Planner::print() const {
  if (!flags_.json) return print_result(plain_text());
  std::string text;
  JsonWriter out(text);
  append_plan(out, plan_.plan);
  return print_result(text + "\n");
}

}  // namespace

void PlanFlags::add_to(CLI::App& command, const std::string& group) {
  command
      .add_option("--expected-tokens", expected_tokens, "The mean length of answers that end freely, where it is known")
      ->check(CLI::Range(1.0, 1e9))
      ->group(group);
}

int plan_job(FileSystem& files, JobFlags& job, const PlanFlags& flags) {
  watch_stop_signals();
  Planner planner(files, job, flags);
  Status status = planner.make();
  if (status.ok()) status = planner.print();
  if (!status.ok()) return print_error(status, flags.json);
  return planner.rows_bad() > 0 ? kExitRowsFailed : kExitOk;
}

}  // namespace batchwright

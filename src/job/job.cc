#include "job/job.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/out_of_memory.h"
#include "base/status_macros.h"
#include "job/result_writer.h"
#include "job/row_feeder.h"
#include "job/row_planner.h"
#include "job/step_loop.h"

namespace batchwright {
namespace {

// So many that a slow disk's sync does not stop the steps.
constexpr size_t kRowsToWrite = 1024;

}  // namespace

Job::Job(FileSystem& files, JobOptions options, JobEnvironment environment)
    : files_(files), options_(std::move(options)), environment_(std::move(environment)), paths_(options_.output) {}

Job::~Job() {
  if (has_run_) return;
  // The journal last: without one the others would be a stranger's.
  std::stable_partition(made_.begin(), made_.end(), [&](const std::string& path) { return path != paths_.journal; });
  for (const std::string& path : made_) (void)files_.remove(path);
}

// From its record on, what the attempt does can be resumed.
Status Job::begin_attempt(const Engine& engine, int64_t unix_time) {
  parameters_.model_hash = engine.model().hash;
  parameters_.isa = engine.options().isa;
  parameters_.threads = engine.options().threads;
  parameters_.max_batch = engine.options().max_batch;
  if (is_stream()) return {};
  if (replaces_) BATCHWRIGHT_RETURN_IF_ERROR(replace());
  if (former_parameters_) {
    BATCHWRIGHT_RETURN_IF_ERROR(check_same_job());
    BATCHWRIGHT_RETURN_IF_ERROR(journal_->resume());
  }
  return journal_->write_attempt(unix_time, to_json(parameters_));
}

Result<std::unique_ptr<JobOutput>> Job::open_output(const Engine& engine) {
  const ResultOrder order = options_.ordered ? ResultOrder::kInput : ResultOrder::kCompletion;
  const std::string header = result_header(parameters_, *format_);
  if (is_stream()) return stream_output(files_, order, rows_wanted_, header);
  JournalledOutputOptions output;
  output.path = options_.output;
  output.order = order;
  output.header = header;
  output.sync_seconds = options_.sync_seconds;
  output.seconds = environment_.seconds;
  output.unix_time = environment_.unix_time;
  output.progress = [&engine, before = engine.stats()] {
    const EngineStats now = engine.stats();
    return AttemptProgress{0, now.steps - before.steps, now.steps_filled - before.steps_filled,
                           now.preemptions - before.preemptions};
  };
  output.state_files = paths_.temporaries();
  // Rows beyond --limit may be wanted later.
  if (rows_total() == index_.size()) {
    output.state_files.insert(output.state_files.end(), {paths_.index, paths_.plan, paths_.input});
  }
  return journalled_output(files_, *journal_, index_, std::move(output));
}

RowPlannerOptions Job::planner_options() const {
  RowPlannerOptions options;
  // Of a stream nothing is kept.
  if (!is_stream()) options.path = paths_.plan;
  options.key = hash128(parameters_.rows_hash + parameters_.model_hash);
  options.threads = parameters_.threads;
  options.file_order = options_.file_order;
  return options;
}

// Everything that takes much memory: where it runs out, what was begun is destroyed.
Status Job::run_rows(Engine& engine, const PromptEncoder& encoder, const ResultFormat& format,
                     const JournalSummary& before, JobOutput& output, JobObserver* observer, JobReport& report) {
  const ProtocolContext context{encoder, engine.options().context_length, shown_model_name(engine.model()),
                                options_.defaults, options_.limits};
  const RowFile rows = row_file();
  BATCHWRIGHT_ASSIGN_OR_RETURN(const std::vector<FinishedAnswer> finished,
                               finished_rows_.answers(rows, index_, context));
  ResultWriter writer(output, encoder, format, options_.sync_seconds, kRowsToWrite);
  RowPlannerOptions planning = planner_options();
  planning.neighbours = engine.options().max_batch;
  RowPlanner planner(files_, rows, index_, is_wanted_, context, planning);
  RowFeeder feeder(planner, rows, index_, context, kRowsAhead);
  StepLoop loop(engine, feeder, writer, environment_, observer, {rows_total(), before.rows[0], before.rows[1]},
                options_.admission);
  loop.learn(finished);
  Status status = loop.run();
  // A failed write goes first: it is why the loop stopped.
  if (Status written = writer.close(); !written.ok()) status = std::move(written);
  const EngineStats stats = loop.stats();
  report.kv_memory_bytes = stats.kv_memory_bytes;
  report.kv_touched_bytes = stats.kv_bytes_touched;
  report.steps = stats.steps;
  report.steps_filled = stats.steps_filled;
  report.preemptions = stats.preemptions;
  report.limited_by = loop.limited_by();
  if (stats.steps_predicted > 0) report.cost_model_error = stats.cost_model_error;
  report.ignored_fields = loop.ignored_fields();
  report.prompt_tokens_distinct = planner.prompt_tokens_distinct();
  if (!status.ok()) return status;
  BATCHWRIGHT_RETURN_IF_ERROR(output.commit(true));
  if (const int64_t rows_out = output.reported().rows(); rows_out != rows_wanted_) {
    return internal_error(fmt::format("{} rows came out of {}", rows_out, rows_wanted_));
  }
  return output.finish();
}

// What threads and steps say in a word, for people.
Status Job::explain(Status status) const {
  if (status.code() != StatusCode::kResourceExhausted || status.message() != out_of_memory().message()) return status;
  return resource_exhausted(fmt::format(
      "memory ran out while the job ran; {}: give it less --kv-memory, or --memory",
      is_stream() ? "what is not written is lost" : "rows that are done are kept, and the same command goes on"));
}

JobOutcome Job::run(Engine& engine, const PromptEncoder& encoder, double seconds_load, JobObserver* observer) {
  const double start = environment_.seconds();
  const ModelInfo& model = engine.model();
  JobOutcome outcome;
  JobReport& report = outcome.report;
  const int64_t now = environment_.unix_time();
  outcome.status = begin_attempt(engine, now);
  if (!outcome.status.ok()) return outcome;
  has_run_ = true;
  const JournalSummary before = journal_ ? journal_->summary() : JournalSummary();
  const int64_t created = before.attempts.empty() ? now : before.attempts.front().unix_time;
  const ResultFormat format = result_format(parameters_, *format_, model, created);
  auto output = open_output(engine);
  outcome.status = output.status();
  ReportedRows reported;
  if (outcome.status.ok()) {
    outcome.status = explain(
        catch_out_of_memory([&] { return run_rows(engine, encoder, format, before, **output, observer, report); }));
    if (!outcome.status.ok()) (void)(*output)->abandon();
    reported = (*output)->reported();
  }

  report.outcome = outcome.status.ok()                                 ? "complete"
                   : outcome.status.code() == StatusCode::kInterrupted ? "interrupted"
                                                                       : "failed";
  if (report.outcome == "failed") report.error = outcome.status.message();
  report.rows_total = rows_total();
  report.add(before);
  report.rows_resumed = rows_resumed_;
  report.attempts = static_cast<int64_t>(before.attempts.size()) + 1;
  report.rows_ok += reported.ok;
  report.rows_failed += reported.failed;
  report.prompt_tokens += reported.prompt_tokens;
  report.prompt_tokens_computed += reported.prompt_tokens_computed;
  report.generated_tokens += reported.generated_tokens;
  report.seconds += environment_.seconds() - start;
  report.seconds_load = seconds_load;
  report.peak_memory_bytes = environment_.peak_memory_bytes();
  report.isa = engine.options().isa;
  report.threads = engine.options().threads;
  report.model = model.path;
  report.model_hash = model.hash;
  const Status written = write_report(report);
  if (outcome.status.ok()) outcome.status = written;
  return outcome;
}

Status Job::write_report(const JobReport& report) {
  const std::string path = !options_.report.empty() ? options_.report : is_stream() ? "" : paths_.report;
  if (path.empty()) return {};
  return write_file_atomically(files_, path, report_text(report));
}

}  // namespace batchwright

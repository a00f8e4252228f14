#include "job/job.h"

#include <fmt/format.h>

#include <array>
#include <utility>

#include "base/status_macros.h"
#include "batchwright/version.h"
#include "job/result_writer.h"
#include "job/row_feeder.h"
#include "job/step_loop.h"

namespace batchwright {
namespace {

constexpr size_t kRowsAhead = 64;
constexpr size_t kRowsToWrite = 64;
constexpr size_t kSpoolBytes = size_t{256} << 10;

std::string fingerprint(const ModelInfo& model) { return fmt::format("{}-n{}", model.hash, kNumericsVersion); }

}  // namespace

Job::Job(FileSystem& files, JobOptions options, JobEnvironment environment)
    : files_(files), options_(std::move(options)), environment_(std::move(environment)) {}

Result<std::unique_ptr<Job>> Job::open(FileSystem& files, JobOptions options, JobEnvironment environment) {
  std::unique_ptr<Job> job(new Job(files, std::move(options), std::move(environment)));
  const JobOptions& o = job->options_;
  if (o.input == o.output && o.input != "-") return invalid_argument(o.input + ": is both the job and its output");
  BATCHWRIGHT_RETURN_IF_ERROR(check_output_is_free(files, o.output, o.overwrite));
  BATCHWRIGHT_RETURN_IF_ERROR(job->open_input());
  const std::string name = o.input == "-" ? "standard input" : o.input;
  BATCHWRIGHT_ASSIGN_OR_RETURN(job->index_,
                               RowIndex::build(*job->input_, name, o.limits, job->environment_.stop_requested));
  if (o.limit > 0) job->index_.truncate(o.limit);
  const ResultOrder order = o.ordered ? ResultOrder::kInput : ResultOrder::kCompletion;
  BATCHWRIGHT_ASSIGN_OR_RETURN(job->output_, JobOutput::open(files, {o.output, o.overwrite, order, job->rows()}));
  return job;
}

Job::~Job() {
  if (has_run_) return;
  if (output_) (void)output_->abandon();
  if (!spooled_path_.empty()) (void)files_.remove(spooled_path_);
}

Status Job::open_input() {
  if (options_.input == "-") {
    BATCHWRIGHT_ASSIGN_OR_RETURN(input_, spool_standard_input());
    return {};
  }
  input_path_ = options_.input;
  BATCHWRIGHT_ASSIGN_OR_RETURN(input_, files_.open_read(options_.input));
  return {};
}

Result<std::unique_ptr<ReadableFile>> Job::spool_standard_input() {
  FileSystem::Scratch spool;
  if (options_.output == "-") {
    BATCHWRIGHT_ASSIGN_OR_RETURN(spool, files_.create_scratch());
  } else {
    input_path_ = options_.output + ".input";
    BATCHWRIGHT_ASSIGN_OR_RETURN(const PathKind kind, files_.kind(input_path_));
    if (kind != PathKind::kNothing && !options_.overwrite) {
      return invalid_argument(
          input_path_ + ": holds the standard input of a run that did not finish; give it as the job, or remove it");
    }
    const CreateMode mode = options_.overwrite ? CreateMode::kReplace : CreateMode::kNew;
    BATCHWRIGHT_ASSIGN_OR_RETURN(spool.writer, files_.create(input_path_, mode));
    spooled_path_ = input_path_;
  }
  const auto stream = files_.standard_input();
  std::vector<char> buffer(kSpoolBytes);
  while (true) {
    const auto count = stream->read(buffer);
    if (environment_.stop_requested()) return interrupted("interrupted while standard input was read");
    if (count.status().code() == StatusCode::kInterrupted) continue;
    if (!count.ok()) return count.status();
    if (*count == 0) break;
    BATCHWRIGHT_RETURN_IF_ERROR(spool.writer->append(std::string_view(buffer.data(), *count)));
  }
  if (spool.reader) return std::move(spool.reader);
  BATCHWRIGHT_RETURN_IF_ERROR(spool.writer->close());
  return files_.open_read(input_path_);
}

JobOutcome Job::run(Engine& engine, const PromptEncoder& encoder, double seconds_load, JobObserver* observer) {
  has_run_ = true;
  const double start = environment_.seconds();
  const ModelInfo& model = engine.model();
  const ProtocolContext context{encoder, engine.options().context_length,
                                model.name.empty() ? model.architecture : model.name, options_.defaults,
                                options_.limits};
  const ResultContext result_context{options_.stamp_created ? environment_.unix_time() : 0, fingerprint(model)};

  JobOutcome outcome;
  JobReport& report = outcome.report;
  {
    ResultWriter writer(*output_, encoder, result_context, kRowsToWrite);
    RowFeeder feeder(*input_, index_, context, kRowsAhead);
    StepLoop loop(engine, feeder, writer, environment_, observer, rows());
    outcome.status = loop.run();
    // A failed write goes first: it is why the loop stopped.
    if (const Status written = writer.close(); !written.ok()) outcome.status = written;
    report.rows_ok = writer.rows_ok();
    report.rows_failed = writer.rows_failed();
    const EngineStats stats = loop.stats();
    report.prompt_tokens = loop.prompt_tokens_done();
    report.prompt_tokens_computed = stats.prompt_tokens_computed;
    report.generated_tokens = stats.generated_tokens;
    report.kv_memory_bytes = stats.kv_memory_bytes;
    report.limited_by = loop.limited_by();
    report.ignored_fields = loop.ignored_fields();
  }
  report.rows_total = rows();
  if (outcome.status.ok() && report.rows_ok + report.rows_failed != report.rows_total) {
    outcome.status =
        internal_error(fmt::format("{} rows came out of {}", report.rows_ok + report.rows_failed, report.rows_total));
  }
  outcome.status = end_files(outcome.status);

  report.outcome = outcome.status.ok()                                 ? "complete"
                   : outcome.status.code() == StatusCode::kInterrupted ? "interrupted"
                                                                       : "failed";
  if (report.outcome == "failed") report.error = outcome.status.message();
  report.seconds = environment_.seconds() - start;
  report.seconds_load = seconds_load;
  report.peak_memory_bytes = environment_.peak_memory_bytes();
  report.isa = engine.options().isa;
  report.threads = engine.options().threads;
  report.model = model.path;
  report.model_hash = model.hash;
  const Status reported = write_report(report);
  if (outcome.status.ok()) outcome.status = reported;
  return outcome;
}

Status Job::end_files(Status status) {
  if (status.ok()) status = output_->finish();
  if (!status.ok()) {
    (void)output_->abandon();
    return status;
  }
  if (!spooled_path_.empty()) return files_.remove(spooled_path_);
  return status;
}

Status Job::write_report(const JobReport& report) {
  std::string path = options_.report;
  if (path.empty() && options_.output != "-") path = options_.output + ".report.json";
  if (path.empty()) return {};
  return write_file_atomically(files_, path, report_text(report));
}

}  // namespace batchwright

// A job: a file of rows in, every row's answer out.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/file_system.h"
#include "batchwright/engine.h"
#include "job/job_output.h"
#include "job/report.h"
#include "job/row_index.h"
#include "protocol/prepare_request.h"

namespace batchwright {

struct JobOptions {
  std::string input;   // a path; "-" is standard input, which is copied to OUTPUT.input first
  std::string output;  // a path; "-" is standard output
  std::string report;  // where the report goes; empty: OUTPUT.report.json, none for standard output
  bool ordered = false;
  bool overwrite = false;
  int64_t limit = 0;           // the first rows of the file; 0: all
  bool stamp_created = false;  // "created" is the time of the run's start instead of 0
  RequestDefaults defaults;
  ProtocolLimits limits;
};

// What a job needs of the world. All are called from one thread at a time, stop_requested from any.
struct JobEnvironment {
  std::function<double()> seconds;     // a clock that never goes back
  std::function<int64_t()> unix_time;  // of the calendar, in seconds
  std::function<bool()> stop_requested;
  std::function<size_t()> peak_memory_bytes;
};

struct JobProgress {
  int64_t rows_total = 0;
  int64_t rows_ok = 0;
  int64_t rows_failed = 0;
  double seconds = 0;
  int64_t prompt_tokens = 0;           // of rows that ended, all choices
  int64_t prompt_tokens_computed = 0;  // of these, without those that were shared
  EngineStats engine;                  // since the run's start
  bool draining = false;
};

class JobObserver {
 public:
  virtual ~JobObserver() = default;
  // After each step, on the stepping thread.
  virtual void progressed(const JobProgress& progress) = 0;
};

struct JobOutcome {
  // ok: every row has ended, in the output or in the errors. kInterrupted, kIoError, ...: what is done lies in the
  // partial files.
  Status status;
  JobReport report;
};

class Job {
 public:
  // Looks at everything that can be wrong before a model is loaded: whether the output's place is free, and every line.
  // Then takes the output's place. Errors: those of FileSystem, RowIndex and check_output_is_free(). `files` must
  // outlive the job.
  static Result<std::unique_ptr<Job>> open(FileSystem& files, JobOptions options, JobEnvironment environment);

  // A job that was never run leaves nothing behind.
  ~Job();

  int64_t rows() const { return index_.size(); }
  // Where the rows are read from: the input, or its copy.
  const std::string& input_path() const { return input_path_; }

  // Once. Nothing else may use the engine meanwhile. The report is written in any case, if it can be.
  JobOutcome run(Engine& engine, const PromptEncoder& encoder, double seconds_load, JobObserver* observer);

 private:
  Job(FileSystem& files, JobOptions options, JobEnvironment environment);

  Status open_input();
  Result<std::unique_ptr<ReadableFile>> spool_standard_input();
  Status end_files(Status status);
  Status write_report(const JobReport& report);

  FileSystem& files_;
  JobOptions options_;
  JobEnvironment environment_;
  std::string input_path_;
  std::string spooled_path_;  // to be removed when the job is complete
  std::unique_ptr<ReadableFile> input_;
  RowIndex index_;
  std::unique_ptr<JobOutput> output_;
  bool has_run_ = false;
};

}  // namespace batchwright

// A job: a file of rows in, every row's answer out, through any crash.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/file_system.h"
#include "batchwright/engine.h"
#include "job/finished_answers.h"
#include "job/job_files.h"
#include "job/job_memory.h"
#include "job/job_output.h"
#include "job/parameters.h"
#include "job/report.h"
#include "job/row_index.h"
#include "job/row_planner.h"
#include "journal/journal.h"
#include "protocol/prepare_request.h"
#include "schedule/answer_lengths.h"

namespace batchwright {

// What becomes of what an earlier run left at the output's place.
enum class JobStart {
  kContinue,   // the same job goes on; what has no journal, and another job, are refused
  kResume,     // the same, and there must be a job to go on with
  kRestart,    // is moved aside
  kOverwrite,  // an unfinished run of the same job goes on; all else is replaced
};

struct JobOptions {
  std::string input;   // a path; "-" is standard input, which is copied to OUTPUT.input first, as is what is compressed
  std::string output;  // a path; "-" is standard output, without a journal. A table where it ends in ".csv"
  std::string report;  // where the report goes; empty: OUTPUT.report.json, none for standard output
  JobStart start = JobStart::kContinue;
  bool retry_failed = false;                     // rows that failed are run again
  bool ordered = false;                          // the results stand in the file's order
  bool file_order = false;                       // the rows run in the file's order, not in the one that costs least
  Admission admission = Admission::kPastFuture;  // not kOracle
  int64_t limit = 0;                             // the first rows of the file; 0: all
  double sync_seconds = 0.2;                     // results wait so long for others that go to the disk with them

  RowFormatOptions format;
  bool stamp_created = false;  // "created" is the time of the job's start instead of 0
  RequestDefaults defaults;
  ProtocolLimits limits;

  // What the engine and the encoder were made with: the job must be resumed with the same.
  std::string model_path;
  std::string chat_template;
  std::string date;
  int context_length = 0;
};

// What a job needs of the world. All are called from one thread at a time, stop_requested, seconds and unix_time from
// any.
struct JobEnvironment {
  std::function<double()> seconds;     // a clock that never goes back
  std::function<int64_t()> unix_time;  // of the calendar, in seconds
  std::function<bool()> stop_requested;
  std::function<size_t()> peak_memory_bytes;
  // Of the model that run() will get, to refuse another before it is loaded. May be empty.
  std::function<Result<std::string>()> model_hash;
  // Where the engine keeps what it measures of this machine; empty: nowhere.
  std::string cache_folder = {};
  bool calibrate_anew = false;  // whatever it keeps there
  // While a whole file is read before the job begins: how far, and of how much; 0: nobody knows. May be empty.
  std::function<void(uint64_t bytes, uint64_t bytes_total)> reading = {};
};

struct ResultFormat;

struct JobProgress {
  int64_t rows_total = 0;
  int64_t rows_resumed = 0;  // of rows_ok and rows_failed: by earlier runs
  int64_t rows_ok = 0;       // that were reported
  int64_t rows_failed = 0;
  int64_t rows_planned = 0;  // that were looked at, to put them in order
  double seconds = 0;
  double seconds_left = -1;            // below 0: not known yet
  int64_t prompt_tokens = 0;           // of rows that ended, all choices
  int64_t prompt_tokens_computed = 0;  // of these, without those that were shared
  EngineStats engine;                  // since the run's start
  bool draining = false;
};

class JobObserver {
 public:
  virtual ~JobObserver() = default;
  // On the stepping thread, both: after each step of the engine, which may be asked about it,
  virtual void stepped(const Engine& /*engine*/) {}
  // and after that, also where there was nothing to compute.
  virtual void progressed(const JobProgress& progress) = 0;
  // Before the first step, where the engine now takes some seconds to measure what steps cost.
  virtual void measuring() {}
  // After that; empty where later runs will know it, else why not.
  virtual void measured(const std::string& /*why_not_kept*/) {}
};

struct JobOutcome {
  // ok: every row has ended, in the output or in the errors. kInterrupted, kIoError, kResourceExhausted, ...: what is
  // done is kept, and the same job can be opened again.
  Status status;
  JobReport report;
};

class Job {
 public:
  // Looks at everything that can be wrong before a model is loaded: whether the output's place is free or holds this
  // job unfinished, and every row. Then takes the output's place. `files` must outlive the job. Errors: those of
  // FileSystem, RowFormat and RowIndex; kInvalidArgument, naming what it is, where the place is taken, another process
  // runs the job, or the job is another than the one that the journal knows; kInvalidData where the state of an
  // unfinished job is damaged.
  static Result<std::unique_ptr<Job>> open(FileSystem& files, JobOptions options, JobEnvironment environment);

  // A new job that was never run leaves nothing behind.
  ~Job();

  // Of all rows: job_memory_bytes().
  size_t memory_bytes(int max_batch) const { return job_memory_bytes(index_, max_batch); }

  // What there is to tell about how it begins, a line each.
  const std::vector<std::string>& notes() const { return notes_; }
  // All rows have ended already, as this report says; there is nothing to run.
  const std::optional<JobReport>& finished() const { return finished_; }

  // What will have ended when it is complete, earlier runs' included.
  int64_t rows_total() const { return rows_resumed_ + rows_wanted_; }
  int64_t rows_resumed() const { return rows_resumed_; }

  // Once. Nothing else may use the engine meanwhile. The report is written in any case, if it can be. kInvalidArgument
  // where the engine's model is another than that of the runs before.
  JobOutcome run(Engine& engine, const PromptEncoder& encoder, double seconds_load, JobObserver* observer);

 private:
  Job(FileSystem& files, JobOptions options, JobEnvironment environment);

  ReadWatch read_watch() const { return {environment_.stop_requested, environment_.reading}; }
  bool is_stream() const { return options_.output == "-"; }
  RowFile row_file() const { return {*input_, *format_, input_name_}; }

  // job_open.cc
  Status open_stream();
  Status open_journalled();
  Status open_new(bool replace);
  Status begin_journal();
  Status replace();
  Status save_index();
  Status open_again();
  Status open_unfinished();
  Status open_complete();
  void remove_leftovers();
  Status open_input(const std::string& spool_path);
  Status open_format();
  Status learn_rows();
  Status learn_model();
  Status check_same_job() const;
  Status check_no_stranger() const;
  Status check_nothing_reported() const;
  Status reopen(bool drop_failed);
  Status read_done_rows();
  void choose_rows();

  Status begin_attempt(const Engine& engine, int64_t unix_time);
  Result<std::unique_ptr<JobOutput>> open_output(const Engine& engine);
  Status run_rows(Engine& engine, const PromptEncoder& encoder, const ResultFormat& format,
                  const JournalSummary& before, JobOutput& output, JobObserver* observer, JobReport& report);
  Status explain(Status status) const;
  RowPlannerOptions planner_options() const;
  Status write_report(const JobReport& report);

  FileSystem& files_;
  JobOptions options_;
  JobEnvironment environment_;
  JobFiles paths_;
  std::unique_ptr<Journal> journal_;  // none for streams
  std::string input_name_;
  std::unique_ptr<ReadableFile> input_;
  std::unique_ptr<RowFormat> format_;
  RowIndex index_;
  JobParameters parameters_;
  std::optional<JobParameters> former_parameters_;  // of the run before
  std::vector<bool> is_done_;
  std::vector<bool> is_wanted_;
  int64_t rows_resumed_ = 0;
  FinishedRows finished_rows_;
  int64_t rows_wanted_ = 0;
  std::vector<std::string> notes_;
  std::optional<JobReport> finished_;
  std::vector<std::string> made_;  // files to be removed if the job is never run
  bool replaces_ = false;          // what is at the output's place, as soon as it runs
  bool has_run_ = false;
};

}  // namespace batchwright

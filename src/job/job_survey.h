// A job looked at before it runs: every row checked and tokenised, and what it will ask of the machine. Nothing is
// written.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/file_system.h"
#include "job/finished_answers.h"
#include "job/job.h"
#include "job/job_memory.h"
#include "job/row_index.h"
#include "plan/simulator.h"
#include "protocol/prepare_request.h"

namespace batchwright {

class Vocabulary;

struct BadRow {
  int64_t line = 0;
  std::optional<std::string> custom_id;
  std::string message;  // as the errors' file would have it
};

struct SurveyedJob {
  int64_t rows_total = 0;
  int64_t rows_done = 0;  // of these, by earlier runs: all that follows is of the others
  int64_t rows_bad = 0;
  std::vector<BadRow> bad_rows;  // the first of them
  int64_t prompt_tokens = 0;     // of all choices
  // Those that are right, in the order in which they run, as RowOutlook has them.
  std::vector<SimulatedRow> rows;
  std::vector<bool> ends_freely;  // of each
  std::vector<FinishedAnswer> finished_answers;
};

struct SurveyOptions {
  int threads = 1;
  int max_batch = 64;
  // Called from time to time on the thread that looks, with how many rows were looked at; may be empty.
  std::function<void(int64_t)> progressed;
};

class JobSurvey {
 public:
  static constexpr size_t kBadRowsShown = 5;

  // Of the job's options those that say what the rows are: input, format, limits, limit, file_order; and where its
  // output is, whose journal names the rows that are done: output, start, retry_failed. The errors are those of
  // Job::open() that rows and journal cause; whether the journal's job is this one is known of the rows alone, of which
  // those that changed are not done. `files` must outlive the survey.
  static Result<std::unique_ptr<JobSurvey>> open(FileSystem& files, const JobOptions& options, ReadWatch watch);

  int64_t rows_total() const { return rows_wanted_; }
  // Of a run: expected_job_memory_bytes(). looked_at: what look() gave.
  size_t memory_bytes(const SurveyedJob& looked_at, int max_batch) const {
    return expected_job_memory_bytes(index_, looked_at.rows, max_batch);
  }

  // Takes 110 bytes a row while it runs, 40 afterwards. kInterrupted once a stop is requested; kInvalidData where a row
  // is no longer what it was.
  Result<SurveyedJob> look(const ProtocolContext& context, const Vocabulary& vocabulary,
                           const SurveyOptions& options) const;

 private:
  JobSurvey(FileSystem& files, const JobOptions& options, ReadWatch watch)
      : files_(files), options_(options), watch_(std::move(watch)) {}

  RowFile row_file() const { return {*input_, *format_, input_name_}; }
  Status read_done_rows();

  FileSystem& files_;
  const JobOptions options_;
  const ReadWatch watch_;
  std::string input_name_;
  std::unique_ptr<ReadableFile> input_;
  std::unique_ptr<RowFormat> format_;
  RowIndex index_;
  int64_t rows_wanted_ = 0;
  std::vector<bool> is_done_;
  int64_t rows_done_ = 0;  // of those wanted
  FinishedRows finished_rows_;
};

}  // namespace batchwright

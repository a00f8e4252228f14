// Recomputing some of a job's rows, each alone, to see that they are the same bytes again.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/file_system.h"
#include "batchwright/engine.h"
#include "job/parameters.h"
#include "job/result_format.h"
#include "job/row_index.h"
#include "journal/journal.h"
#include "protocol/prompt_encoder.h"

namespace batchwright {

struct VerifyOptions {
  std::string output;  // X
  std::string input;   // where the rows are; empty: where the job read them
  int64_t sample = 100;
  uint64_t seed = 0;  // chooses the rows
};

struct VerifyReport {
  struct Difference {
    int64_t line = 0;  // of the row, in the input
    std::string custom_id;
    uint64_t offset = 0;      // of the result's line, in its file
    size_t first_byte = 0;    // of the line, that is another
    bool was_edited = false;  // the line is not the one that the job wrote
    std::string found;
    std::string computed;
  };
  int64_t rows_equal = 0;
  std::vector<Difference> differences;
};

class Verification {
 public:
  // Reads the receipt - the journal -, finds the rows and chooses some that have ended. Nothing is locked: a job that
  // is running can be verified as far as it is. kInvalidArgument where the rows are others than the job's, or its
  // numerics are not this program's; kNotFound where there is no journal. `files` must outlive it.
  static Result<std::unique_ptr<Verification>> open(FileSystem& files, VerifyOptions options,
                                                    const StopRequested& stop_requested);

  // With which model and defaults the job was run: engine and encoder must be made with the same.
  const JobParameters& parameters() const { return parameters_; }
  const JournalSummary& journal() const { return journal_; }
  int64_t sample_size() const { return static_cast<int64_t>(sample_.size()); }

  // kInvalidArgument where the engine's model is another. progressed: rows done, after each. kInterrupted.
  Result<VerifyReport> run(Engine& engine, const PromptEncoder& encoder, const StopRequested& stop_requested,
                           const std::function<void(int64_t)>& progressed);

 private:
  Verification(FileSystem& files, VerifyOptions options) : files_(files), options_(std::move(options)) {}

  Status open_rows(const StopRequested& stop_requested);
  Status choose();
  Status open_results();
  Result<std::string> compute(Engine& engine, const PromptEncoder& encoder, const ProtocolContext& context,
                              const ResultFormat& format, int64_t row);

  FileSystem& files_;
  const VerifyOptions options_;
  JournalSummary journal_;
  JobParameters parameters_;
  std::string input_name_;
  std::unique_ptr<ReadableFile> input_;
  std::unique_ptr<RowFormat> format_;
  RowIndex index_;
  std::unique_ptr<ReadableFile> results_[kResultKinds];
  std::vector<RowRecord> sample_;
};

}  // namespace batchwright

// The files of a job's output: X and X.errors.jsonl, or standard output.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "job/result_file.h"

namespace batchwright {

struct JobOutputOptions {
  std::string path;  // "-": standard output, which then takes the failed rows too
  bool overwrite = false;
  ResultOrder order = ResultOrder::kCompletion;
  int64_t rows = 0;
};

inline std::string errors_path(const std::string& output) { return output + ".errors.jsonl"; }

// Refuses (kInvalidArgument) to touch what an earlier run left at the path, unless overwrite is set; and what is no
// file in any case.
Status check_output_is_free(FileSystem& files, const std::string& path, bool overwrite);

// One thread at a time.
class JobOutput {
 public:
  static Result<std::unique_ptr<JobOutput>> open(FileSystem& files, JobOutputOptions options);

  Status write_result(int64_t row, std::string_view line) { return results_->write(row, line); }
  // The errors' file is made with the first of them.
  Status write_error(int64_t row, std::string_view line);

  // Puts everything in its place: the errors first, so that where X stands the job is complete.
  Status finish();
  // Leaves the partial files with what is in them.
  Status abandon();

 private:
  JobOutput(FileSystem& files, JobOutputOptions options) : files_(files), options_(std::move(options)) {}
  CreateMode mode() const { return options_.overwrite ? CreateMode::kReplace : CreateMode::kNew; }

  FileSystem& files_;
  JobOutputOptions options_;
  std::unique_ptr<ResultFile> results_;
  std::unique_ptr<ResultFile> errors_;
};

}  // namespace batchwright

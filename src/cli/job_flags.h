// What a job is, as commands that run or plan one take it.
#pragma once

#include <string>

#include "base/file_system.h"
#include "batchwright/options.h"
#include "batchwright/status.h"
#include "cli/command.h"
#include "job/job.h"

namespace CLI {  // NOLINT(readability-identifier-naming)
class App;
}  // namespace CLI

namespace batchwright {

struct JobFlags {
  // JOB, the model, and which rows run in which order.
  void add_files(CLI::App& command);
  // All else: the engine, tables, defaults and limits of rows.
  void add_to(CLI::App& command);

  // Once all options are known: checks them, and completes `job` by what follows from them. Errors name the option, or
  // a file that cannot be read.
  Result<EngineOptions> resolve(FileSystem& files);

  // Of pictures of the job's steps.
  std::string chart_title() const;

  JobOptions job;
  std::string template_path;  // of --chat-template

 private:
  void add_tables(CLI::App& command);
  void add_defaults(CLI::App& command);
  void add_limits(CLI::App& command);
  Status check(FileSystem& files);

  EngineFlags engine_;
  bool no_share_ = false;
  std::string input_format_;
  std::string url_;
  int max_tokens_ = 0;
};

}  // namespace batchwright

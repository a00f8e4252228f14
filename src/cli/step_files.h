// --trace and --chart: files that show the steps of a run.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/file_system.h"
#include "batchwright/engine.h"
#include "plan/step_columns.h"
#include "plan/step_trace.h"

namespace CLI {  // NOLINT(readability-identifier-naming)
class App;
}  // namespace CLI

namespace batchwright {

// Whether a file may be written there. kInvalidArgument, naming the option, where it is one of those that are taken;
// kNotFound where there is no folder for it.
Status check_new_file(const char* option, const std::string& path, const std::vector<std::string>& taken);

// The same of a file that is put in place by a rename, which must not replace a folder or a device.
Status check_new_whole_file(const char* option, const std::string& path, const std::vector<std::string>& taken);

// Nothing that goes wrong once the steps have begun hurts whoever runs them: it is told at the end. One thread at a
// time.
class StepFiles {
 public:
  // `files` must outlive this object.
  explicit StepFiles(FileSystem& files) : files_(files) {}

  // --trace, and where a picture over time makes sense --chart.
  void add_to(CLI::App& command, bool chart);

  const std::string& chart_path() const { return chart_path_; }

  // Before anything is touched. kInvalidArgument where one of the files is one of those, or both are the same;
  // kNotFound where there is no folder for it.
  Status check(std::vector<std::string> taken) const;

  // Makes the trace's file. What the engine did before is left out.
  Status begin(const Engine& engine);
  void stepped(const Engine& engine);
  // Writes what is left; a message for each file that could not be written whole.
  std::vector<std::string> end(const Engine& engine, const std::string& title);

 private:
  FileSystem& files_;
  std::string trace_path_;
  std::string chart_path_;
  std::unique_ptr<StepTrace> trace_;
  StepColumns columns_;
  int64_t last_step_ = 0;  // that was taken: a call may run none
};

}  // namespace batchwright

// The steps of a run in the Chrome trace event format, for chrome://tracing and Perfetto: docs/formats/trace.md.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/file_system.h"
#include "batchwright/engine.h"

namespace batchwright {

// Written as the steps come, a second of them or so at a time; after each such write the file is valid JSON, so a run
// that is killed leaves one that can be read. The first write that fails ends the trace, not its user: what was written
// before it stays, whole. One thread at a time.
class StepTrace {
 public:
  // Replaces what is there. Errors: those of FileSystem::create; a write that fails is told by close().
  static Result<std::unique_ptr<StepTrace>> create(FileSystem& files, const std::string& path);
  ~StepTrace();

  // What the stages took until now, by Engine::stage_stats(), belongs to no step of the trace.
  void leave_out(std::vector<StageStats> stages) { stages_ = std::move(stages); }

  // A step that has ended, and what the stages took with it.
  void add(const StepRecord& step, std::vector<StageStats> stages);

  // Writes the rest. The first error of all writes.
  Status close();

 private:
  explicit StepTrace(std::unique_ptr<WritableFile> file) : file_(std::move(file)) {}

  void add_stages(const std::vector<StageStats>& stages, int64_t begin, int64_t end);
  void add_counters(const StepRecord& step, int64_t nanoseconds);
  void flush();

  std::unique_ptr<WritableFile> file_;
  Status status_;
  std::string buffer_;
  uint64_t written_bytes_ = 0;      // without the end that makes the file valid JSON
  double flushed_seconds_ = 0;      // of the steps' clock
  int64_t end_nanoseconds_ = 0;     // of the last step
  std::vector<StageStats> stages_;  // when the last step ended
};

}  // namespace batchwright

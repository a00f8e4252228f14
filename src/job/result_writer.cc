#include "job/result_writer.h"

#include <algorithm>

#include "base/out_of_memory.h"
#include "base/status_macros.h"

namespace batchwright {

ResultWriter::ResultWriter(JobOutput& output, const PromptEncoder& encoder, const ResultFormat& format,
                           double commit_seconds, size_t capacity)
    : output_(output),
      encoder_(encoder),
      format_(format),
      commit_interval_(std::max<int64_t>(1, static_cast<int64_t>(commit_seconds * 1000))),
      queue_(capacity),
      thread_([this] { run(); }) {}

ResultWriter::~ResultWriter() { (void)close(); }

Status ResultWriter::close() {
  queue_.close();
  if (thread_.joinable()) thread_.join();
  return status_;
}

void ResultWriter::run() {
  while (true) {
    const auto row = queue_.pop(commit_interval_);
    if (!row && queue_.finished()) return;
    if (failed()) continue;
    status_ = catch_out_of_memory([&]() -> Status {
      if (row) BATCHWRIGHT_RETURN_IF_ERROR(output_.write(make_result(*row, encoder_, format_)));
      return output_.commit(false);
    });
    if (!status_.ok()) failed_ = true;
  }
}

}  // namespace batchwright

// A window onto a file that is read once, from its beginning to its end.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "base/file_system.h"

namespace batchwright {

class ScanBuffer {
 public:
  // The file must outlive the buffer.
  explicit ScanBuffer(const ReadableFile& file) : file_(file) {}

  // First and once. Passes over a byte order mark; kInvalidData where the file is in UTF-16.
  Status start();

  // What was read and not consumed. Valid until read_more().
  std::string_view data() const { return {buffer_.data() + begin_, end_ - begin_}; }
  // Where data() begins in the file.
  uint64_t offset() const { return offset_; }

  // Makes data() longer. False at the end of the file.
  Result<bool> read_more();
  // Precondition: at most data().size().
  void consume(size_t bytes);

 private:
  const ReadableFile& file_;
  std::vector<char> buffer_;
  size_t begin_ = 0;
  size_t end_ = 0;
  uint64_t offset_ = 0;
};

}  // namespace batchwright

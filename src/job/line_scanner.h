// The lines of a file of any size, in bounded memory.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/file_system.h"
#include "job/record_scanner.h"

namespace batchwright {

// Lines that hold something: empty ones and those of white space alone are passed over. A byte order mark at the
// beginning of the file is no part of the first line; the last line needs no end. Memory is about twice
// line_bytes_max, whatever the file.
class LineScanner : public RecordScanner {
 public:
  // The file must outlive the scanner.
  LineScanner(const ReadableFile& file, int64_t line_bytes_max);

  Result<std::optional<ScannedRecord>> next() override;

 private:
  // False at the end of the file.
  Result<bool> fill();
  Status check_encoding();

  const ReadableFile& file_;
  const size_t line_bytes_max_;
  std::vector<char> buffer_;
  size_t begin_ = 0;          // of what has not been given out, in the buffer
  size_t end_ = 0;            // of what has been read, in the buffer
  uint64_t file_offset_ = 0;  // of buffer_[begin_]
  int64_t line_ = 0;
  bool started_ = false;
};

}  // namespace batchwright

// The lines of a file of any size, in bounded memory.
#pragma once

#include <cstdint>
#include <optional>

#include "base/file_system.h"
#include "job/record_scanner.h"
#include "job/scan_buffer.h"

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
  ScanBuffer buffer_;
  const size_t line_bytes_max_;
  int64_t line_ = 0;
  bool started_ = false;
};

}  // namespace batchwright

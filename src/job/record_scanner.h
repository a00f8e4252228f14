// The records of a file of any size, in bounded memory.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "batchwright/status.h"

namespace batchwright {

struct ScannedRecord {
  int64_t line = 0;     // of its beginning, from 1; lines that hold nothing count
  uint64_t offset = 0;  // of its first byte
  uint64_t length = 0;  // without the end of its last line ("\n" or "\r\n")
  bool too_long = false;
  std::string_view text;  // empty where too_long; valid until the next call
};

class RecordScanner {
 public:
  virtual ~RecordScanner() = default;
  // Nothing at the end of the file.
  virtual Result<std::optional<ScannedRecord>> next() = 0;
};

}  // namespace batchwright

// Where each row of a job stands: the result of the one pass that checks every line before the first step.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/file_system.h"
#include "base/hash.h"
#include "job/row.h"
#include "protocol/limits.h"

namespace batchwright {

struct RowEntry {
  static constexpr uint32_t kTooLong = UINT32_MAX;

  uint64_t offset = 0;
  uint32_t length = 0;  // kTooLong: beyond the limit on lines
  uint32_t line = 0;    // from 1
  Hash128 key;          // of custom_id; zero where the line has none
};

class RowIndex {
 public:
  // `name` stands in errors. kInvalidData: the file holds no rows, two lines have the same custom_id (both are named),
  // or it is in UTF-16. Lines that are wrong by themselves are entries like any other. `stop_requested` is asked now
  // and then: kInterrupted.
  static Result<RowIndex> build(const ReadableFile& file, const std::string& name, const ProtocolLimits& limits,
                                const std::function<bool()>& stop_requested);

  int64_t size() const { return static_cast<int64_t>(entries_.size()); }
  const RowEntry& operator[](int64_t row) const { return entries_[static_cast<size_t>(row)]; }
  // Keeps the first rows.
  void truncate(int64_t rows);

  // Reads and parses a row again. kInvalidData where it is no longer what it was when the index was built.
  Result<std::variant<Row, RowError>> read(const ReadableFile& file, int64_t row, const ProtocolLimits& limits) const;

 private:
  Status check_distinct(const ReadableFile& file, const std::string& name, const ProtocolLimits& limits) const;

  std::vector<RowEntry> entries_;
};

}  // namespace batchwright

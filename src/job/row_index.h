// Where each row of a job stands: the result of the one pass that checks every record before the first step. Kept in a
// file while the job is unfinished: docs/formats/index.md.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <string>

#include "base/file_system.h"
#include "base/hash.h"
#include "job/row.h"
#include "job/row_format.h"

namespace batchwright {

struct RowEntry {
  static constexpr uint32_t kTooLong = UINT32_MAX;

  uint64_t offset = 0;
  uint32_t length = 0;  // kTooLong: beyond the limit on lines
  uint32_t line = 0;    // from 1
  Hash128 key;          // of the record's text; zero where it is too long

  friend bool operator==(const RowEntry&, const RowEntry&) = default;
};

// A file of rows and how to read it. All must outlive what uses them; `name` stands in errors.
struct RowFile {
  const ReadableFile& file;
  const RowFormat& format;
  std::string name;
};

using StopRequested = std::function<bool()>;

// Asked now and then while a whole file is read, which may take minutes. Both may be empty.
struct ReadWatch {
  StopRequested stop_requested;
  // How far the reading is; bytes_total is 0 where nobody knows.
  std::function<void(uint64_t bytes, uint64_t bytes_total)> progressed = {};
};

class RowIndex {
 public:
  RowIndex() = default;

  // kInvalidData: the file holds no rows, or two rows have the same custom_id (both are named). Records that are wrong
  // by themselves are entries like any other. kInterrupted: `watch` wants a stop. Memory: 56 bytes a
  // row, 32 when it is done.
  static Result<RowIndex> build(const RowFile& rows, const ReadWatch& watch);

  // The entries' own hash and the format's: equal for equal jobs.
  Hash128 rows_hash(const RowFormat& format) const;
  // The same without an index, and the number of rows: a pass over the file that parses nothing.
  struct Fingerprint {
    Hash128 hash;
    int64_t rows = 0;
  };
  static Result<Fingerprint> fingerprint(const RowFile& rows, const ReadWatch& watch);

  Status save(FileSystem& files, const std::string& path) const;
  // Nothing where there is no index at the path, or one that is damaged: it can be made again.
  static Result<std::optional<RowIndex>> load(FileSystem& files, const std::string& path);
  // Compares every record with its entry, without parsing. kInvalidArgument names the first that differs.
  Status check_unchanged(const RowFile& rows, const ReadWatch& watch) const;

  int64_t size() const { return static_cast<int64_t>(entries_.size()); }
  const RowEntry& operator[](int64_t row) const { return entries_[static_cast<size_t>(row)]; }

  // Reads and parses a row again. kInvalidData where it is no longer what it was when the index was built.
  Result<std::variant<Row, RowError>> read(const RowFile& rows, int64_t row) const;

 private:
  // Grows without ever being copied.
  std::deque<RowEntry> entries_;
};

}  // namespace batchwright

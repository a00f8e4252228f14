// Framed, checked, append-only records: docs/formats/journal.md.
//
// A file is a header of 16 bytes and records. A record is believed only if all before it are: reading stops at the
// first that is cut off or does not match its checksum, which is what a crash leaves of a write that was under way.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/file_system.h"

namespace batchwright {

inline constexpr uint32_t kRecordLogVersion = 1;
inline constexpr size_t kRecordLogHeaderBytes = 16;
inline constexpr uint32_t kRecordBytesMax = uint32_t{1} << 26;

struct LogRecord {
  uint8_t type = 0;
  std::string_view payload;  // valid until the next call
};

// The header, and a record as they stand in the file.
void append_log_header(std::string& out);
void append_log_record(std::string& out, uint8_t type, std::string_view payload);

class RecordLogReader {
 public:
  // Reads the header. Nothing where the file is so short that its first write never ended: it holds no record.
  // kInvalidData where it is no log, kUnsupported where it is one of another version. The file must outlive the reader.
  static Result<std::optional<RecordLogReader>> open(const ReadableFile& file);

  // Nothing at the end, or at the first record that is torn. Errors are those of reading.
  Result<std::optional<LogRecord>> next();

  // The length of what was read and is whole; where to go on writing.
  uint64_t valid_bytes() const { return valid_bytes_; }

 private:
  explicit RecordLogReader(const ReadableFile& file, uint64_t valid_bytes) : file_(&file), valid_bytes_(valid_bytes) {}
  // The next bytes, as far as the file goes, up to so many.
  Result<std::string_view> peek(size_t bytes);

  const ReadableFile* file_;
  uint64_t valid_bytes_;
  std::vector<char> buffer_;
  uint64_t buffer_offset_ = 0;  // in the file
  size_t buffer_bytes_ = 0;
};

// A log beside its file.
struct StateLog {
  std::unique_ptr<ReadableFile> file;
  RecordLogReader reader;
};

// Of what can be made again: nothing where there is no log at the path, or none that this program reads. Errors are
// those of reading.
Result<std::optional<StateLog>> open_state_log(FileSystem& files, const std::string& path);

}  // namespace batchwright

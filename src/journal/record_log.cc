#include "journal/record_log.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/crc32c.h"
#include "base/little_endian.h"
#include "base/status_macros.h"

namespace batchwright {
namespace {

constexpr std::string_view kMagic("BWRECLOG", 8);
constexpr size_t kFrameBytes = 9;  // length, checksum, type
constexpr size_t kReadBytes = size_t{1} << 18;

}  // namespace

void append_log_header(std::string& out) {
  const size_t begin = out.size();
  out += kMagic;
  append_u32(out, kRecordLogVersion);
  append_u32(out, crc32c(std::string_view(out).substr(begin)));
}

void append_log_record(std::string& out, uint8_t type, std::string_view payload) {
  append_u32(out, static_cast<uint32_t>(payload.size()));
  const char type_byte = static_cast<char>(type);
  append_u32(out, crc32c(payload, crc32c(std::string_view(&type_byte, 1))));
  out += type_byte;
  out += payload;
}

Result<std::optional<RecordLogReader>> RecordLogReader::open(const ReadableFile& file) {
  std::string header(kRecordLogHeaderBytes, '\0');
  BATCHWRIGHT_ASSIGN_OR_RETURN(const size_t count, file.read_at(0, header));
  header.resize(count);
  const bool torn = count < kRecordLogHeaderBytes ||
                    read_u32(std::string_view(header).substr(12)) != crc32c(std::string_view(header).substr(0, 12));
  const std::string_view magic = std::string_view(header).substr(0, kMagic.size());
  // What a first write leaves that never reached the disk as a whole: a beginning of it, or zeros in places.
  const auto is_unwritten = [&] {
    for (size_t i = 0; i < magic.size(); ++i) {
      if (magic[i] != kMagic[i] && magic[i] != '\0') return false;
    }
    return true;
  };
  if (torn && is_unwritten()) return std::optional<RecordLogReader>();
  if (torn) return invalid_data("is no journal of batchwright");
  if (magic != kMagic) return invalid_data("is no journal of batchwright");
  const uint32_t version = read_u32(std::string_view(header).substr(8));
  if (version != kRecordLogVersion) {
    return unsupported(
        fmt::format("is a journal of version {}; this program reads version {}", version, kRecordLogVersion));
  }
  return std::optional<RecordLogReader>(RecordLogReader(file, kRecordLogHeaderBytes));
}

Result<std::string_view> RecordLogReader::peek(size_t bytes) {
  const uint64_t begin = valid_bytes_ - buffer_offset_;
  if (valid_bytes_ < buffer_offset_ || begin + bytes > buffer_bytes_) {
    buffer_.resize(std::max(bytes, kReadBytes));
    BATCHWRIGHT_ASSIGN_OR_RETURN(buffer_bytes_, file_->read_at(valid_bytes_, buffer_));
    buffer_offset_ = valid_bytes_;
    return std::string_view(buffer_.data(), std::min(bytes, buffer_bytes_));
  }
  return std::string_view(buffer_.data() + begin, bytes);
}

Result<std::optional<LogRecord>> RecordLogReader::next() {
  BATCHWRIGHT_ASSIGN_OR_RETURN(const std::string_view frame, peek(kFrameBytes));
  if (frame.size() < kFrameBytes) return std::optional<LogRecord>();
  const uint32_t length = read_u32(frame);
  const uint32_t checksum = read_u32(frame.substr(4));
  if (length > kRecordBytesMax) return std::optional<LogRecord>();
  BATCHWRIGHT_ASSIGN_OR_RETURN(const std::string_view whole, peek(kFrameBytes + length));
  if (whole.size() < kFrameBytes + length) return std::optional<LogRecord>();
  // The checksum covers type and payload, which stand together. That of a run of zeros is not zero.
  if (crc32c(whole.substr(8)) != checksum) return std::optional<LogRecord>();
  valid_bytes_ += whole.size();
  return std::optional<LogRecord>(LogRecord{static_cast<uint8_t>(whole[8]), whole.substr(kFrameBytes)});
}

Result<std::optional<StateLog>> open_state_log(FileSystem& files, const std::string& path) {
  auto file = files.open_read(path);
  if (file.status().code() == StatusCode::kNotFound) return std::optional<StateLog>();
  if (!file.ok()) return file.status();
  auto reader = RecordLogReader::open(**file);
  if (reader.status().code() == StatusCode::kIoError) return reader.status();
  if (!reader.ok() || !*reader) return std::optional<StateLog>();
  return std::optional<StateLog>(StateLog{std::move(*file), std::move(**reader)});
}

}  // namespace batchwright

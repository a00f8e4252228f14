#include "job/line_scanner.h"

#include <algorithm>
#include <cstring>
#include <string_view>

#include "base/status_macros.h"

namespace batchwright {
namespace {

constexpr size_t kReadBytes = size_t{256} << 10;

bool is_blank(std::string_view line) { return line.find_first_not_of(" \t\r") == std::string_view::npos; }

}  // namespace

LineScanner::LineScanner(const ReadableFile& file, int64_t line_bytes_max)
    : file_(file), line_bytes_max_(static_cast<size_t>(line_bytes_max)) {}

Result<bool> LineScanner::fill() {
  if (begin_ > 0) {
    std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
  }
  if (buffer_.size() < end_ + kReadBytes) buffer_.resize(end_ + kReadBytes);
  const std::span<char> free_part(buffer_.data() + end_, buffer_.size() - end_);
  BATCHWRIGHT_ASSIGN_OR_RETURN(const size_t count, file_.read_at(file_offset_ + end_, free_part));
  end_ += count;
  return count > 0;
}

Status LineScanner::check_encoding() {
  const std::string_view start(buffer_.data(), end_);
  if (start.starts_with("\xEF\xBB\xBF")) {
    begin_ += 3;
    file_offset_ += 3;
  } else if (start.starts_with("\xFF\xFE") || start.starts_with("\xFE\xFF")) {
    return invalid_data("the file is in UTF-16; JSON Lines are UTF-8");
  }
  return {};
}

Result<std::optional<ScannedRecord>> LineScanner::next() {
  if (!started_) {
    started_ = true;
    BATCHWRIGHT_ASSIGN_OR_RETURN(const bool any, fill());
    if (any) BATCHWRIGHT_RETURN_IF_ERROR(check_encoding());
  }
  while (true) {
    ++line_;
    ScannedRecord record;
    record.line = line_;
    record.offset = file_offset_;
    size_t searched = 0;    // bytes of the line in the buffer without an end
    uint64_t dropped = 0;   // bytes of a line that is too long, no longer in the buffer
    bool ended = false;     // by a line feed
    bool carriage = false;  // the last dropped byte
    while (true) {
      const char* const from = buffer_.data() + begin_ + searched;
      const auto* const found = end_ == begin_ + searched
                                    ? nullptr
                                    : static_cast<const char*>(std::memchr(from, '\n', end_ - begin_ - searched));
      if (found != nullptr) {
        searched = static_cast<size_t>(found - (buffer_.data() + begin_));
        ended = true;
        break;
      }
      searched = end_ - begin_;
      // Two more than allowed: the line's own end.
      if (searched > line_bytes_max_ + 2) {
        carriage = buffer_[end_ - 1] == '\r';
        dropped += searched;
        file_offset_ += searched;
        begin_ = end_;
        searched = 0;
      }
      BATCHWRIGHT_ASSIGN_OR_RETURN(const bool more, fill());
      if (!more) break;
    }
    if (!ended && searched == 0 && dropped == 0) return std::optional<ScannedRecord>();

    std::string_view text(buffer_.data() + begin_, searched);
    begin_ += searched + (ended ? 1 : 0);
    file_offset_ += searched + (ended ? 1 : 0);
    record.length = dropped + searched;
    if (text.ends_with('\r') || (text.empty() && carriage)) --record.length;
    if (text.ends_with('\r')) text.remove_suffix(1);
    record.too_long = record.length > line_bytes_max_;
    if (!record.too_long && is_blank(text)) continue;
    if (!record.too_long) record.text = text;
    return std::optional<ScannedRecord>(record);
  }
}

}  // namespace batchwright

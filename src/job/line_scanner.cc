#include "job/line_scanner.h"

#include <string_view>

#include "base/status_macros.h"

namespace batchwright {
namespace {

bool is_blank(std::string_view line) { return line.find_first_not_of(" \t\r") == std::string_view::npos; }

}  // namespace

LineScanner::LineScanner(const ReadableFile& file, int64_t line_bytes_max)
    : buffer_(file), line_bytes_max_(static_cast<size_t>(line_bytes_max)) {}

Result<std::optional<ScannedRecord>> LineScanner::next() {
  if (!started_) {
    started_ = true;
    BATCHWRIGHT_RETURN_IF_ERROR(buffer_.start());
  }
  while (true) {
    ScannedRecord record;
    record.line = ++line_;
    record.offset = buffer_.offset();
    size_t searched = 0;    // bytes of the line in the buffer without an end
    uint64_t dropped = 0;   // bytes of a line that is too long, no longer in the buffer
    bool ended = false;     // by a line feed
    bool carriage = false;  // the last dropped byte
    while (true) {
      const std::string_view data = buffer_.data();
      if (const size_t found = data.find('\n', searched); found != std::string_view::npos) {
        searched = found;
        ended = true;
        break;
      }
      searched = data.size();
      // Two more than allowed: the line's own end.
      if (searched > line_bytes_max_ + 2) {
        carriage = data.back() == '\r';
        dropped += searched;
        buffer_.consume(searched);
        searched = 0;
      }
      BATCHWRIGHT_ASSIGN_OR_RETURN(const bool more, buffer_.read_more());
      if (!more) break;
    }
    if (!ended && searched == 0 && dropped == 0) return std::optional<ScannedRecord>();

    std::string_view text = buffer_.data().substr(0, searched);
    buffer_.consume(searched + (ended ? 1 : 0));
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

#include "job/csv_scanner.h"

#include <algorithm>

#include "base/status_macros.h"

namespace batchwright {
namespace {

// The place of a byte, or the size. Values are mostly short: a few bytes looked at here cost less than a call.
size_t find_byte(std::string_view data, size_t from, char byte) {
  constexpr size_t kNearBytes = 16;
  const size_t near = std::min(data.size(), from + kNearBytes);
  for (size_t i = from; i < near; ++i) {
    if (data[i] == byte) return i;
  }
  return std::min(data.find(byte, near), data.size());
}

}  // namespace

CsvScanner::CsvScanner(const ReadableFile& file, char delimiter, int64_t record_bytes_max)
    : buffer_(file), delimiter_(delimiter), record_bytes_max_(static_cast<size_t>(record_bytes_max)) {}

bool CsvScanner::advance(std::string_view data, Place& place) const {
  // Searched once for each line, however many quotes the line has.
  size_t line_feed = 0;
  bool line_feed_known = false;
  while (place.at < data.size()) {
    switch (place.state) {
      case State::kValueBegin:
      case State::kQuote:
        if (data[place.at] == '"') {
          place.state = State::kQuoted;
          ++place.at;
        } else {
          place.state = State::kText;
        }
        break;
      case State::kText: {
        if (!line_feed_known || line_feed < place.at) {
          line_feed = find_byte(data, place.at, '\n');
          line_feed_known = true;
        }
        const size_t quote = find_byte(data.substr(0, line_feed), place.at, '"');
        if (quote < line_feed) {
          // Of a quote at the very place where the scan stands it is known that it begins no value.
          if (quote > place.at && data[quote - 1] == delimiter_) place.state = State::kQuoted;
          place.at = quote + 1;
          break;
        }
        place.at = line_feed;
        if (line_feed < data.size()) return true;
        if (data.back() == delimiter_) place.state = State::kValueBegin;
        return false;
      }
      case State::kQuoted: {
        const size_t quote = find_byte(data, place.at, '"');
        place.line_feeds += std::count(data.begin() + static_cast<std::ptrdiff_t>(place.at),
                                       data.begin() + static_cast<std::ptrdiff_t>(quote), '\n');
        place.at = quote;
        if (quote == data.size()) return false;
        place.state = State::kQuote;
        ++place.at;
        break;
      }
    }
  }
  return false;
}

bool CsvScanner::is_blank(std::string_view record) const {
  return record.find_first_not_of(' ') == std::string_view::npos;
}

Result<std::optional<ScannedRecord>> CsvScanner::next() {
  if (!started_) {
    started_ = true;
    BATCHWRIGHT_RETURN_IF_ERROR(buffer_.start());
  }
  while (true) {
    ScannedRecord record;
    record.line = line_;
    record.offset = buffer_.offset();
    Place place;
    uint64_t dropped = 0;   // bytes of a record that is too long, no longer in the buffer
    bool ended = false;     // by a line feed
    bool carriage = false;  // the last dropped byte
    while (true) {
      ended = advance(buffer_.data(), place);
      if (ended) break;
      // Two more than allowed: the record's own end.
      if (place.at > record_bytes_max_ + 2) {
        carriage = buffer_.data().back() == '\r';
        dropped += place.at;
        buffer_.consume(place.at);
        place.at = 0;
      }
      BATCHWRIGHT_ASSIGN_OR_RETURN(const bool more, buffer_.read_more());
      if (!more) break;
    }
    if (!ended && place.at == 0 && dropped == 0) return std::optional<ScannedRecord>();

    std::string_view text = buffer_.data().substr(0, place.at);
    buffer_.consume(place.at + (ended ? 1 : 0));
    line_ += place.line_feeds + 1;
    record.length = dropped + text.size();
    if (text.ends_with('\r') || (text.empty() && carriage)) --record.length;
    if (text.ends_with('\r')) text.remove_suffix(1);
    record.too_long = record.length > record_bytes_max_;
    if (!record.too_long && is_blank(text)) continue;
    if (!record.too_long) record.text = text;
    return std::optional<ScannedRecord>(record);
  }
}

}  // namespace batchwright

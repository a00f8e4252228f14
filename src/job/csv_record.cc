#include "job/csv_record.h"

#include <algorithm>

namespace batchwright {
namespace {

constexpr const char* kTextAfterQuote =
    "text follows the quote that closes the value; inside a quoted value quotes are doubled";
constexpr const char* kNeverClosed = "the quote that opens the value is never closed";

// The quoted value that begins at record[at]; `at` goes behind the closing quote. False where there is none.
bool read_quoted(std::string_view record, size_t& at, std::string& value) {
  value.clear();
  size_t from = at + 1;
  while (true) {
    const size_t quote = record.find('"', from);
    if (quote == std::string_view::npos) return false;
    value += record.substr(from, quote - from);
    from = quote + 1;
    if (from == record.size() || record[from] != '"') break;
    value += '"';
    ++from;
  }
  at = from;
  return true;
}

}  // namespace

CsvSplit split_csv_record(std::string_view record, char delimiter, size_t values_max,
                          std::vector<std::string>& values) {
  values.clear();
  CsvSplit split;
  std::string value;
  for (size_t at = 0;; ++at) {
    if (at < record.size() && record[at] == '"') {
      if (!read_quoted(record, at, value)) {
        split.error = CsvError{split.count, at, kNeverClosed};
        return split;
      }
      if (at < record.size() && record[at] != delimiter) {
        split.error = CsvError{split.count, at, kTextAfterQuote};
        return split;
      }
    } else {
      const size_t end = std::min(record.find(delimiter, at), record.size());
      value = record.substr(at, end - at);
      at = end;
    }
    if (split.count++ < values_max) values.push_back(value);
    if (at == record.size()) return split;
  }
}

void append_csv_value(std::string& out, std::string_view value, bool alone) {
  const bool quotes = value.find_first_of(",\"\r\n") != std::string_view::npos || value.starts_with(' ') ||
                      value.ends_with(' ') || (alone && value.empty());
  if (!quotes) {
    out += value;
    return;
  }
  out += '"';
  for (size_t at = 0; at < value.size();) {
    const size_t quote = std::min(value.find('"', at), value.size());
    out += value.substr(at, quote - at);
    if (quote < value.size()) out += "\"\"";
    at = quote + 1;
  }
  out += '"';
}

}  // namespace batchwright

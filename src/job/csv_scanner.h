// The records of a CSV or TSV file of any size, in bounded memory.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/file_system.h"
#include "job/record_scanner.h"
#include "job/scan_buffer.h"

namespace batchwright {

// RFC 4180 as Python's csv module and pandas read it: a quote opens a value where it is the value's first byte, and is
// text elsewhere; inside, a doubled quote is one and line feeds are text. Records end at "\n" or "\r\n" outside quotes,
// the last needs no end. Lines that are empty or hold spaces alone are passed over. A byte order mark is no part of the
// first record. Memory is about twice record_bytes_max, whatever the file; time is linear.
//
// A quote that never closes makes the rest of the file one record (too_long where that is beyond the limit).
class CsvScanner : public RecordScanner {
 public:
  // The file must outlive the scanner.
  CsvScanner(const ReadableFile& file, char delimiter, int64_t record_bytes_max);

  Result<std::optional<ScannedRecord>> next() override;

 private:
  enum class State {
    kValueBegin,
    kText,    // of a value without quotes, or after the closing one; not at a value's first byte
    kQuoted,  // between quotes
    kQuote,   // after a quote between quotes: the closing one, or the first of two
  };
  // Where in a record the scan is.
  struct Place {
    State state = State::kValueBegin;
    size_t at = 0;           // in the data
    int64_t line_feeds = 0;  // in quoted values
  };
  // Goes on to the line feed that ends the record (true, `at` is its place) or the end of the data.
  bool advance(std::string_view data, Place& place) const;
  bool is_blank(std::string_view record) const;

  ScanBuffer buffer_;
  const char delimiter_;
  const size_t record_bytes_max_;
  int64_t line_ = 1;
  bool started_ = false;
};

}  // namespace batchwright

// The values of one record of a CSV or TSV file: the counterpart of csv_scanner.h.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace batchwright {

struct CsvError {
  size_t column = 0;   // from 0
  size_t offset = 0;   // in the record, of what is wrong
  std::string reason;  // "text follows the closing quote", ...
};

struct CsvSplit {
  size_t count = 0;  // of values, before the error where there is one
  std::optional<CsvError> error;
};

// Takes a record, without its line end, apart; doubled quotes become one. There is always at least one value: the empty
// record has an empty one. Only the first `values_max` are kept, so that a record of nothing but delimiters stays
// small.
CsvSplit split_csv_record(std::string_view record, char delimiter, size_t values_max, std::vector<std::string>& values);

// Appends the value as a field of CSV: in quotes where it holds a comma, a quote, a line end, or begins or ends with a
// space, or is empty and `alone` in its record.
void append_csv_value(std::string& out, std::string_view value, bool alone = false);

}  // namespace batchwright

// How the rows of a job lie in its file, and what makes a request of one.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/file_system.h"
#include "base/hash.h"
#include "job/record_scanner.h"
#include "job/row.h"

namespace batchwright {

enum class RowFileKind { kJsonLines, kCsv, kTsv };

struct RowFormatOptions {
  RowFileKind kind = RowFileKind::kJsonLines;

  // The rest is for tables, whose first record names the columns. "{title}" stands for the row's value in the column
  // "title" in `prompt` and `system`, "{{" and "}}" for braces.
  std::string prompt;  // needed
  std::string system;  // of chats; a row for which it is empty gets no system message
  Endpoint endpoint = Endpoint::kChatCompletions;
  std::string id_column;           // whose values are the custom_ids; empty: they are "row-N"
  std::vector<std::string> carry;  // columns that the results repeat

  friend bool operator==(const RowFormatOptions&, const RowFormatOptions&) = default;
};

// Thread-safe.
class RowFormat {
 public:
  virtual ~RowFormat() = default;

  // The records after the header, where there is one. The file must outlive the scanner.
  virtual std::unique_ptr<RecordScanner> scan(const ReadableFile& file) const = 0;

  // `text`: of a record that was not too long. `line`: of its beginning, from 1. `row`: the record's number among all,
  // from 0.
  virtual std::variant<Row, RowError> parse(std::string_view text, int64_t line, int64_t row) const = 0;

  // The error of a record that was too long, which parse() never sees.
  virtual RowError too_long() const = 0;

  // Of all that makes requests of records: the kind, a table's header, the options. Not the limits.
  virtual Hash128 hash() const = 0;

  // Names of the columns that each Row carries, in their order.
  virtual const std::vector<std::string>& carried() const = 0;
};

// `name`: of the file, for errors. kInvalidArgument where the options do not fit each other or name a column that the
// file lacks (the message lists those it has); kInvalidData where a table has no usable header or is in UTF-16.
Result<std::unique_ptr<RowFormat>> open_row_format(const RowFormatOptions& options, const ProtocolLimits& limits,
                                                   const ReadableFile& file, const std::string& name);

// By the name's end, with ".gz" or ".zst" taken off: ".csv", ".tsv" (also ".tab"); all else is JSON Lines.
RowFileKind row_file_kind(std::string_view path);

}  // namespace batchwright

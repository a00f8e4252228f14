#include "job/table_format.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "base/status_macros.h"
#include "base/utf8.h"
#include "job/csv_record.h"
#include "job/csv_scanner.h"
#include "job/table_prompt.h"
#include "protocol/body_reader.h"

namespace batchwright {
namespace {

constexpr size_t kColumnsMax = 65536;

char delimiter_of(RowFileKind kind) { return kind == RowFileKind::kTsv ? '\t' : ','; }

// The records after the header.
class TableScanner : public RecordScanner {
 public:
  TableScanner(const ReadableFile& file, char delimiter, int64_t record_bytes_max, const std::string& header)
      : records_(file, delimiter, record_bytes_max), header_(header) {}

  Result<std::optional<ScannedRecord>> next() override {
    if (!header_passed_) {
      header_passed_ = true;
      BATCHWRIGHT_ASSIGN_OR_RETURN(const std::optional<ScannedRecord> first, records_.next());
      if (!first || first->text != header_) {
        return invalid_data("the table's header is no longer what it was when the run began");
      }
    }
    return records_.next();
  }

 private:
  CsvScanner records_;
  const std::string header_;
  bool header_passed_ = false;
};

struct TableLayout {
  char delimiter = ',';
  std::string header;  // the record
  std::vector<std::string> columns;
  TablePrompt prompt;
  TablePrompt system;  // fills to nothing where there is none
  Endpoint endpoint = Endpoint::kChatCompletions;
  std::optional<size_t> id_column;
  std::vector<size_t> carry;
  std::vector<std::string> carried;  // names
  Hash128 hash;
};

RequestError record_error(std::string message, std::string param, std::string code) {
  RequestError error;
  error.message = std::move(message);
  error.param = std::move(param);
  error.code = std::move(code);
  return error;
}

class TableFormat : public RowFormat {
 public:
  TableFormat(TableLayout layout, const ProtocolLimits& limits) : layout_(std::move(layout)), limits_(limits) {}

  std::unique_ptr<RecordScanner> scan(const ReadableFile& file) const override {
    return std::make_unique<TableScanner>(file, layout_.delimiter, limits_.line_bytes, layout_.header);
  }

  std::variant<Row, RowError> parse(std::string_view text, int64_t line, int64_t row) const override {
    std::vector<std::string> values;
    if (auto error = read_values(text, line, values)) return RowError{id_without_values(row), std::move(*error)};
    std::vector<std::string> carried;
    for (const size_t column : layout_.carry) carried.push_back(values[column]);

    std::string id = layout_.id_column ? values[*layout_.id_column] : row_id(row);
    if (auto error = check_id(id)) return RowError{std::nullopt, std::move(*error), std::move(carried)};
    if (auto error = check_prompt_size(values)) return RowError{std::move(id), std::move(*error), std::move(carried)};

    Row result;
    result.custom_id = std::move(id);
    result.endpoint = layout_.endpoint;
    result.body = body(values);
    result.carried = std::move(carried);
    return result;
  }

  RowError too_long() const override {
    return {std::nullopt,
            record_error(fmt::format("the record is longer than the limit of {} bytes (--limit-line-bytes); where that "
                                     "cannot be, a quote in it is never closed",
                                     limits_.line_bytes),
                         "", "limit_exceeded")};
  }

  Hash128 hash() const override { return layout_.hash; }
  const std::vector<std::string>& carried() const override { return layout_.carried; }

 private:
  static std::string row_id(int64_t row) { return fmt::format("row-{}", row + 1); }

  // Of a record whose values are not known.
  std::optional<std::string> id_without_values(int64_t row) const {
    if (layout_.id_column) return std::nullopt;
    return row_id(row);
  }

  std::optional<RequestError> read_values(std::string_view text, int64_t line, std::vector<std::string>& values) const {
    const CsvSplit split = split_csv_record(text, layout_.delimiter, layout_.columns.size(), values);
    if (const auto& wrong = split.error) {
      const auto lines_before =
          std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(wrong->offset), '\n');
      return record_error(
          fmt::format("{}, line {}: {}", column_shown(wrong->column), line + lines_before, wrong->reason),
          column_name(wrong->column), "invalid_record");
    }
    if (split.count != layout_.columns.size()) {
      return record_error(
          fmt::format("the record has {} value{}; the header names {} column{}", split.count,
                      split.count == 1 ? "" : "s", layout_.columns.size(), layout_.columns.size() == 1 ? "" : "s"),
          "", "invalid_record");
    }
    if (is_valid_utf8(text)) return std::nullopt;
    const auto bad =
        std::find_if(values.begin(), values.end(), [](const auto& value) { return !is_valid_utf8(value); });
    const auto column = static_cast<size_t>(bad - values.begin());
    return record_error(fmt::format("{}: is not valid UTF-8", column_shown(column)), column_name(column),
                        "invalid_record");
  }

  std::string column_name(size_t column) const {
    return column < layout_.columns.size() ? layout_.columns[column] : "";
  }
  std::string column_shown(size_t column) const {
    if (column >= layout_.columns.size()) return fmt::format("column {}", column + 1);
    return fmt::format("column {} ({})", column + 1, shown(layout_.columns[column]));
  }

  std::optional<RequestError> check_id(const std::string& id) const {
    if (!layout_.id_column) return std::nullopt;
    const std::string& name = layout_.columns[*layout_.id_column];
    if (id.empty()) {
      return record_error(
          fmt::format("{}: is empty; it must have at least one character (--id)", column_shown(*layout_.id_column)),
          name, "out_of_range");
    }
    if (static_cast<int64_t>(id.size()) > limits_.custom_id_bytes) {
      return record_error(fmt::format("{}: is {} bytes long; at most {} are allowed (--limit-custom-id-bytes)",
                                      column_shown(*layout_.id_column), id.size(), limits_.custom_id_bytes),
                          name, "limit_exceeded");
    }
    return std::nullopt;
  }

  // Before it is filled: a prompt that names a column many times makes much of a long value.
  std::optional<RequestError> check_prompt_size(std::span<const std::string> values) const {
    const uint64_t bytes = layout_.prompt.filled_bytes(values) + layout_.system.filled_bytes(values);
    if (bytes <= static_cast<uint64_t>(limits_.prompt_bytes)) return std::nullopt;
    return record_error(fmt::format("the prompt is {} bytes long; at most {} are allowed (--limit-prompt-bytes)", bytes,
                                    limits_.prompt_bytes),
                        "prompt", "limit_exceeded");
  }

  JsonValue body(std::span<const std::string> values) const {
    JsonValue prompt(layout_.prompt.fill(values));
    if (layout_.endpoint == Endpoint::kCompletions) {
      return JsonValue(JsonValue::Object{{"prompt", std::move(prompt)}});
    }
    JsonValue::Array messages;
    const auto add = [&](const char* role, JsonValue content) {
      messages.emplace_back(JsonValue::Object{{"role", JsonValue(role)}, {"content", std::move(content)}});
    };
    if (std::string system = layout_.system.fill(values); !system.empty()) add("system", JsonValue(std::move(system)));
    add("user", std::move(prompt));
    return JsonValue(JsonValue::Object{{"messages", JsonValue(std::move(messages))}});
  }

  const TableLayout layout_;
  const ProtocolLimits limits_;
};

// --- The header and the options.

Status check_columns(const std::vector<std::string>& columns) {
  std::map<std::string_view, size_t> places;
  for (size_t i = 0; i < columns.size(); ++i) {
    if (columns[i].empty()) {
      return invalid_data(
          fmt::format("the header names no column {} of {}; each needs a name (pandas writes one "
                      "without a name unless to_csv has index=False)",
                      i + 1, columns.size()));
    }
    const auto [place, is_new] = places.emplace(columns[i], i);
    if (!is_new) {
      return invalid_data(
          fmt::format("columns {} and {} have the same name, {}", place->second + 1, i + 1, shown(columns[i])));
    }
  }
  return {};
}

Status read_header(const ReadableFile& file, const ProtocolLimits& limits, TableLayout& layout) {
  CsvScanner scanner(file, layout.delimiter, limits.line_bytes);
  BATCHWRIGHT_ASSIGN_OR_RETURN(const std::optional<ScannedRecord> record, scanner.next());
  if (!record) return invalid_data("holds no rows, and no header that names the columns");
  if (record->too_long) {
    return invalid_data(
        fmt::format("the header is longer than the limit of {} bytes (--limit-line-bytes)", limits.line_bytes));
  }
  if (!is_valid_utf8(record->text) || record->text.find('\0') != std::string_view::npos) {
    return invalid_data("the header is not valid UTF-8 text; save the table as UTF-8");
  }
  const CsvSplit split = split_csv_record(record->text, layout.delimiter, kColumnsMax, layout.columns);
  if (split.error) {
    return invalid_data(fmt::format("the header's column {}: {}", split.error->column + 1, split.error->reason));
  }
  if (split.count > kColumnsMax) {
    return invalid_data(fmt::format("the header names {} columns; at most {} are allowed", split.count, kColumnsMax));
  }
  layout.header = record->text;
  return check_columns(layout.columns);
}

Result<size_t> find_column(const TableLayout& layout, const std::string& name, const char* option) {
  const auto found = std::find(layout.columns.begin(), layout.columns.end(), name);
  if (found != layout.columns.end()) return static_cast<size_t>(found - layout.columns.begin());
  return invalid_argument(
      fmt::format("{}: the table has no column {}; it has {}", option, shown(name), list_of_columns(layout.columns)));
}

// A header of one column that holds what other programs put between columns.
std::string delimiter_hint(const TableLayout& layout) {
  if (layout.columns.size() != 1 || layout.columns[0].find_first_of(",;\t|") == std::string::npos) return "";
  return layout.delimiter == '\t' ? "; the columns of TSV are parted by tabs (--input-format csv: by commas)"
                                  : "; the columns of CSV are parted by commas (--input-format tsv: by tabs)";
}

Status apply_options(const RowFormatOptions& options, TableLayout& layout) {
  BATCHWRIGHT_ASSIGN_OR_RETURN(layout.prompt, TablePrompt::parse(options.prompt, layout.columns, "--prompt"));
  BATCHWRIGHT_ASSIGN_OR_RETURN(layout.system, TablePrompt::parse(options.system, layout.columns, "--system"));
  if (!options.id_column.empty()) {
    BATCHWRIGHT_ASSIGN_OR_RETURN(layout.id_column, find_column(layout, options.id_column, "--id"));
  }
  for (const std::string& name : options.carry) {
    BATCHWRIGHT_ASSIGN_OR_RETURN(const size_t column, find_column(layout, name, "--carry"));
    if (std::find(layout.carry.begin(), layout.carry.end(), column) != layout.carry.end()) {
      return invalid_argument(fmt::format("--carry: names {} twice", shown(name)));
    }
    layout.carry.push_back(column);
  }
  layout.carried = options.carry;
  layout.endpoint = options.endpoint;
  return {};
}

Status check_options(const RowFormatOptions& options) {
  if (options.prompt.empty()) {
    return invalid_argument("a table needs --prompt, as in --prompt 'Summarise: {text}', {text} being a column");
  }
  if (!options.system.empty() && options.endpoint == Endpoint::kCompletions) {
    return invalid_argument("--system is for chats, and --url is /v1/completions");
  }
  return {};
}

Hash128 hash_of(const RowFormatOptions& options, const TableLayout& layout) {
  Hasher128 hasher;
  const auto add = [&hasher](std::string_view part) {
    hasher.update(fmt::format("{}:", part.size()));
    hasher.update(part);
  };
  add(layout.delimiter == '\t' ? "TSV" : "CSV");
  add(layout.header);
  add(options.prompt);
  add(options.system);
  add(options.endpoint == Endpoint::kCompletions ? "text" : "chat");
  add(options.id_column);
  for (const std::string& name : options.carry) add(name);
  return hasher.digest();
}

Result<TableLayout> read_layout(const RowFormatOptions& options, const ProtocolLimits& limits,
                                const ReadableFile& file) {
  BATCHWRIGHT_RETURN_IF_ERROR(check_options(options));
  TableLayout layout;
  layout.delimiter = delimiter_of(options.kind);
  BATCHWRIGHT_RETURN_IF_ERROR(read_header(file, limits, layout));
  if (const Status status = apply_options(options, layout); !status.ok()) {
    return Status(status.code(), status.message() + delimiter_hint(layout));
  }
  layout.hash = hash_of(options, layout);
  return layout;
}

}  // namespace

Result<std::unique_ptr<RowFormat>> open_table_format(const RowFormatOptions& options, const ProtocolLimits& limits,
                                                     const ReadableFile& file, const std::string& name) {
  auto layout = read_layout(options, limits, file);
  if (!layout.ok()) return layout.status().with_context(name);
  return std::unique_ptr<RowFormat>(std::make_unique<TableFormat>(std::move(layout).value(), limits));
}

}  // namespace batchwright

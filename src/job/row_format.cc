#include "job/row_format.h"

#include <algorithm>

#include "job/json_lines_format.h"
#include "job/table_format.h"

namespace batchwright {
namespace {

std::string lower_case(std::string_view text) {
  std::string lower(text);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return lower;
}

// An option of tables that is set, or nothing.
const char* table_option(const RowFormatOptions& options) {
  if (!options.prompt.empty()) return "--prompt";
  if (!options.system.empty()) return "--system";
  if (!options.id_column.empty()) return "--id";
  if (!options.carry.empty()) return "--carry";
  return nullptr;
}

}  // namespace

RowFileKind row_file_kind(std::string_view path) {
  const std::string lower = lower_case(path);
  std::string_view name = lower;
  for (const std::string_view compressed : {".gz", ".zst"}) {
    if (!name.ends_with(compressed)) continue;
    name.remove_suffix(compressed.size());
    break;
  }
  if (name.ends_with(".csv")) return RowFileKind::kCsv;
  if (name.ends_with(".tsv") || name.ends_with(".tab")) return RowFileKind::kTsv;
  return RowFileKind::kJsonLines;
}

Result<std::unique_ptr<RowFormat>> open_row_format(const RowFormatOptions& options, const ProtocolLimits& limits,
                                                   const ReadableFile& file, const std::string& name) {
  if (options.kind == RowFileKind::kJsonLines) {
    if (const char* const option = table_option(options)) {
      return invalid_argument(
          name + ": " + option +
          " is for tables, and this is read as JSON Lines; --input-format csv or tsv says otherwise");
    }
    return json_lines_format(limits);
  }
  return open_table_format(options, limits, file, name);
}

}  // namespace batchwright

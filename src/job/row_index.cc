#include "job/row_index.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <optional>
#include <span>
#include <utility>

#include "base/status_macros.h"
#include "job/line_scanner.h"
#include "protocol/body_reader.h"

namespace batchwright {
namespace {

using ParsedRow = std::variant<Row, RowError>;

Hash128 key_of(const ParsedRow& row) {
  if (const Row* const good = std::get_if<Row>(&row)) return hash128(good->custom_id);
  const RowError& bad = std::get<RowError>(row);
  return bad.custom_id ? hash128(*bad.custom_id) : Hash128{};
}

}  // namespace

Result<RowIndex> RowIndex::build(const ReadableFile& file, const std::string& name, const ProtocolLimits& limits,
                                 const std::function<bool()>& stop_requested) {
  RowIndex index;
  LineScanner scanner(file, limits.line_bytes);
  while (true) {
    auto scanned = scanner.next();
    if (!scanned.ok()) return scanned.status().with_context(name);
    if (!*scanned) break;
    const ScannedRecord& line = **scanned;
    if (line.line >= UINT32_MAX) return resource_exhausted(name + ": has more than 4294967294 lines");
    if (line.line % 256 == 0 && stop_requested && stop_requested()) {
      return interrupted(fmt::format("{}: interrupted while line {} was read", name, line.line));
    }
    RowEntry entry;
    entry.offset = line.offset;
    entry.line = static_cast<uint32_t>(line.line);
    entry.length = line.too_long ? RowEntry::kTooLong : static_cast<uint32_t>(line.length);
    if (!line.too_long) entry.key = key_of(parse_row(line.text, line.line, limits));
    index.entries_.push_back(entry);
  }
  if (index.entries_.empty()) return invalid_data(name + ": holds no rows");
  BATCHWRIGHT_RETURN_IF_ERROR(index.check_distinct(file, name, limits));
  return index;
}

Status RowIndex::check_distinct(const ReadableFile& file, const std::string& name, const ProtocolLimits& limits) const {
  std::vector<uint32_t> order(entries_.size());
  std::iota(order.begin(), order.end(), 0U);
  const auto key = [&](uint32_t row) { return std::pair(entries_[row].key, row); };
  std::sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) { return key(a) < key(b); });
  // The duplicate that a reader of the file meets first.
  std::optional<std::pair<uint32_t, uint32_t>> first;
  for (size_t i = 1; i < order.size(); ++i) {
    const RowEntry& a = entries_[order[i - 1]];
    const RowEntry& b = entries_[order[i]];
    if (a.key != b.key || b.key == Hash128{}) continue;
    if (!first || order[i] < first->second) first = std::pair(order[i - 1], order[i]);
  }
  if (!first) return {};
  BATCHWRIGHT_ASSIGN_OR_RETURN(const ParsedRow row, read(file, first->second, limits));
  const Row* const good = std::get_if<Row>(&row);
  const std::string id = good != nullptr ? good->custom_id : std::get<RowError>(row).custom_id.value_or("");
  return invalid_data(fmt::format("{}: lines {} and {} have the same custom_id, {}", name, entries_[first->first].line,
                                  entries_[first->second].line, shown(id)));
}

void RowIndex::truncate(int64_t rows) {
  if (rows < size()) entries_.resize(static_cast<size_t>(rows));
}

Result<ParsedRow> RowIndex::read(const ReadableFile& file, int64_t row, const ProtocolLimits& limits) const {
  const RowEntry& entry = (*this)[row];
  if (entry.length == RowEntry::kTooLong) return ParsedRow(line_too_long(limits));
  std::string text(entry.length, '\0');
  BATCHWRIGHT_ASSIGN_OR_RETURN(const size_t count, file.read_at(entry.offset, text));
  ParsedRow parsed = parse_row(std::string_view(text).substr(0, count), entry.line, limits);
  if (count < text.size() || key_of(parsed) != entry.key) {
    return invalid_data(fmt::format("line {} of the job is no longer what it was when the run began", entry.line));
  }
  return parsed;
}

}  // namespace batchwright

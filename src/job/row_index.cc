#include "job/row_index.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/little_endian.h"
#include "base/status_macros.h"
#include "journal/record_log.h"
#include "protocol/body_reader.h"

namespace batchwright {
namespace {

using ParsedRow = std::variant<Row, RowError>;

// The records of the file.
constexpr uint8_t kEntriesRecord = 16;
constexpr uint8_t kEndRecord = 17;
constexpr size_t kEntryBytes = 32;
constexpr int64_t kEntriesARecord = 16384;

struct Identity {
  Hash128 custom_id;
  uint32_t row = 0;

  friend auto operator<=>(const Identity&, const Identity&) = default;
};

const std::string* custom_id_of(const ParsedRow& row) {
  if (const Row* const good = std::get_if<Row>(&row)) return &good->custom_id;
  const RowError& bad = std::get<RowError>(row);
  return bad.custom_id ? &*bad.custom_id : nullptr;
}

RowEntry entry_of(const ScannedRecord& record) {
  RowEntry entry;
  entry.offset = record.offset;
  entry.line = static_cast<uint32_t>(record.line);
  entry.length = record.too_long ? RowEntry::kTooLong : static_cast<uint32_t>(record.length);
  if (!record.too_long) entry.key = hash128(record.text);
  return entry;
}

// Calls take(record, entry) for each record of the file; take returns a Status.
template <class Take>
Status scan(const RowFile& rows, const ReadWatch& watch, Take take) {
  const auto scanner = rows.format.scan(rows.file);
  BATCHWRIGHT_ASSIGN_OR_RETURN(const uint64_t bytes_total, rows.file.size());
  for (int64_t count = 0;; ++count) {
    auto scanned = scanner->next();
    if (!scanned.ok()) return scanned.status().with_context(rows.name);
    if (!*scanned) return {};
    const ScannedRecord& record = **scanned;
    if (record.line >= UINT32_MAX) return resource_exhausted(rows.name + ": has more than 4294967294 lines");
    if (count % 256 == 0) {
      if (watch.stop_requested && watch.stop_requested()) {
        return interrupted(fmt::format("{}: interrupted while line {} was read", rows.name, record.line));
      }
      if (watch.progressed) watch.progressed(record.offset, bytes_total);
    }
    BATCHWRIGHT_RETURN_IF_ERROR(take(record, entry_of(record)));
  }
}

// Of the hash over rows: line and key; where they stand in the file is not what they are.
void update_hash(Hasher128& hasher, const RowEntry& entry) {
  std::string bytes;
  append_u32(bytes, entry.line);
  append_u32(bytes, entry.length);
  append_u64(bytes, entry.key.high);
  append_u64(bytes, entry.key.low);
  hasher.update(bytes);
}

void begin_hash(Hasher128& hasher, const RowFormat& format) { hasher.update(format.hash().hex()); }

Status check_distinct(const RowFile& rows, const RowIndex& index, std::deque<Identity>& identities) {
  std::sort(identities.begin(), identities.end());
  // The duplicate that a reader of the file meets first.
  std::optional<std::pair<uint32_t, uint32_t>> first;
  for (size_t i = 1; i < identities.size(); ++i) {
    if (identities[i - 1].custom_id != identities[i].custom_id) continue;
    if (!first || identities[i].row < first->second) first = std::pair(identities[i - 1].row, identities[i].row);
  }
  if (!first) return {};
  BATCHWRIGHT_ASSIGN_OR_RETURN(const ParsedRow row, index.read(rows, first->second));
  const std::string* const id = custom_id_of(row);
  return invalid_data(fmt::format("{}: lines {} and {} have the same custom_id, {}", rows.name,
                                  index[first->first].line, index[first->second].line,
                                  shown(id != nullptr ? *id : std::string())));
}

}  // namespace

Result<RowIndex> RowIndex::build(const RowFile& rows, const ReadWatch& watch) {
  RowIndex index;
  std::deque<Identity> identities;
  BATCHWRIGHT_RETURN_IF_ERROR(scan(rows, watch, [&](const ScannedRecord& record, const RowEntry& entry) {
    if (!record.too_long) {
      const ParsedRow row = rows.format.parse(record.text, record.line, index.size());
      if (const std::string* const id = custom_id_of(row)) {
        identities.push_back({hash128(*id), static_cast<uint32_t>(index.size())});
      }
    }
    index.entries_.push_back(entry);
    return Status();
  }));
  if (index.entries_.empty()) return invalid_data(rows.name + ": holds no rows");
  BATCHWRIGHT_RETURN_IF_ERROR(check_distinct(rows, index, identities));
  return index;
}

Hash128 RowIndex::rows_hash(const RowFormat& format) const {
  Hasher128 hasher;
  begin_hash(hasher, format);
  for (const RowEntry& entry : entries_) update_hash(hasher, entry);
  return hasher.digest();
}

Result<RowIndex::Fingerprint> RowIndex::fingerprint(const RowFile& rows, const ReadWatch& watch) {
  Hasher128 hasher;
  begin_hash(hasher, rows.format);
  Fingerprint out;
  BATCHWRIGHT_RETURN_IF_ERROR(scan(rows, watch, [&](const ScannedRecord& /*record*/, const RowEntry& entry) {
    update_hash(hasher, entry);
    ++out.rows;
    return Status();
  }));
  out.hash = hasher.digest();
  return out;
}

Status RowIndex::save(FileSystem& files, const std::string& path) const {
  BATCHWRIGHT_ASSIGN_OR_RETURN(const auto file, files.create(path, CreateMode::kReplace));
  std::string bytes;
  append_log_header(bytes);
  std::string payload;
  for (int64_t row = 0; row < size(); ++row) {
    const RowEntry& entry = (*this)[row];
    append_u64(payload, entry.offset);
    append_u32(payload, entry.length);
    append_u32(payload, entry.line);
    append_u64(payload, entry.key.high);
    append_u64(payload, entry.key.low);
    if ((row + 1) % kEntriesARecord != 0 && row + 1 != size()) continue;
    append_log_record(bytes, kEntriesRecord, payload);
    payload.clear();
    BATCHWRIGHT_RETURN_IF_ERROR(file->append(bytes));
    bytes.clear();
  }
  append_u64(payload, static_cast<uint64_t>(size()));
  append_log_record(bytes, kEndRecord, payload);
  BATCHWRIGHT_RETURN_IF_ERROR(file->append(bytes));
  BATCHWRIGHT_RETURN_IF_ERROR(file->sync());
  return file->close();
}

Result<std::optional<RowIndex>> RowIndex::load(FileSystem& files, const std::string& path) {
  const auto nothing = std::optional<RowIndex>();
  BATCHWRIGHT_ASSIGN_OR_RETURN(auto log, open_state_log(files, path));
  if (!log) return nothing;
  RowIndex index;
  while (true) {
    BATCHWRIGHT_ASSIGN_OR_RETURN(const auto record, log->reader.next());
    if (!record) return nothing;
    const std::string_view payload = record->payload;
    if (record->type == kEndRecord && payload.size() == sizeof(uint64_t)) {
      return read_u64(payload) == index.entries_.size() ? std::optional(std::move(index)) : nothing;
    }
    if (record->type != kEntriesRecord || payload.size() % kEntryBytes != 0) return nothing;
    for (NumberReader fields(payload); !fields.rest().empty();) {
      RowEntry& entry = index.entries_.emplace_back();
      entry.offset = fields.take<uint64_t>();
      entry.length = fields.take<uint32_t>();
      entry.line = fields.take<uint32_t>();
      entry.key.high = fields.take<uint64_t>();
      entry.key.low = fields.take<uint64_t>();
    }
  }
}

Status RowIndex::check_unchanged(const RowFile& rows, const ReadWatch& watch) const {
  int64_t row = 0;
  const auto changed = [&](int64_t line) {
    return invalid_argument(
        fmt::format("the rows have changed since the job began: line {} of {} is another", line, rows.name));
  };
  BATCHWRIGHT_RETURN_IF_ERROR(scan(rows, watch, [&](const ScannedRecord& record, const RowEntry& entry) {
    if (row >= size() || (*this)[row] != entry) return changed(record.line);
    ++row;
    return Status();
  }));
  if (row == size()) return {};
  return invalid_argument(fmt::format("the rows have changed since the job began: {} has {} rows where there were {}",
                                      rows.name, row, size()));
}

Result<ParsedRow> RowIndex::read(const RowFile& rows, int64_t row) const {
  const RowEntry& entry = (*this)[row];
  if (entry.length == RowEntry::kTooLong) return ParsedRow(rows.format.too_long());
  std::string text(entry.length, '\0');
  BATCHWRIGHT_ASSIGN_OR_RETURN(const size_t count, rows.file.read_at(entry.offset, text));
  if (count < text.size() || hash128(text) != entry.key) {
    return invalid_data(
        fmt::format("line {} of {} is no longer what it was when the job began", entry.line, rows.name));
  }
  return rows.format.parse(text, entry.line, row);
}

}  // namespace batchwright

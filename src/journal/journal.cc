#include "journal/journal.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/little_endian.h"
#include "base/status_macros.h"
#include "journal/record_log.h"

namespace batchwright {
namespace {

enum class RecordType : uint8_t { kAttempt = 1, kRow = 2, kProgress = 3, kComplete = 4 };

constexpr size_t kRowBytes = 49;
constexpr size_t kProgressBytes = 32;
constexpr size_t kSecondsAloneBytes = 8;  // of older programs
constexpr size_t kRewriteBytes = size_t{1} << 20;

void append_record(std::string& out, RecordType type, std::string_view payload) {
  append_log_record(out, static_cast<uint8_t>(type), payload);
}

void append_attempt(std::string& out, int64_t unix_time, std::string_view parameters) {
  std::string payload;
  append_number(payload, unix_time);
  payload += parameters;
  append_record(out, RecordType::kAttempt, payload);
}

void append_row(std::string& out, const RowRecord& row) {
  std::string payload;
  payload.reserve(kRowBytes);
  append_u32(payload, row.row);
  payload += static_cast<char>(row.kind);
  append_u64(payload, row.offset);
  append_u32(payload, row.length);
  append_u32(payload, row.checksum);
  append_u64(payload, row.key.high);
  append_u64(payload, row.key.low);
  append_u32(payload, row.prompt_tokens);
  append_u32(payload, row.prompt_tokens_computed);
  append_u32(payload, row.generated_tokens);
  append_record(out, RecordType::kRow, payload);
}

void append_progress(std::string& out, const AttemptProgress& progress) {
  std::string payload;
  append_number(payload, progress.seconds);
  append_number(payload, progress.steps);
  append_number(payload, progress.steps_filled);
  append_number(payload, progress.preemptions);
  append_record(out, RecordType::kProgress, payload);
}

RowRecord read_row(std::string_view payload) {
  NumberReader fields(payload);
  RowRecord row;
  row.row = fields.take<uint32_t>();
  row.kind = static_cast<ResultKind>(fields.take<uint8_t>());
  row.offset = fields.take<uint64_t>();
  row.length = fields.take<uint32_t>();
  row.checksum = fields.take<uint32_t>();
  row.key.high = fields.take<uint64_t>();
  row.key.low = fields.take<uint64_t>();
  row.prompt_tokens = fields.take<uint32_t>();
  row.prompt_tokens_computed = fields.take<uint32_t>();
  row.generated_tokens = fields.take<uint32_t>();
  return row;
}

// Reads records one after the other into a summary.
class Replay {
 public:
  using TakeRow = std::function<Status(const RowRecord&)>;

  explicit Replay(const TakeRow& take_row) : take_row_(take_row) {}

  // kInvalidData where a record with a right checksum makes no sense: then it was not written by this program.
  Status take(const LogRecord& record) {
    switch (static_cast<RecordType>(record.type)) {
      case RecordType::kAttempt:
        return take_attempt(record.payload);
      case RecordType::kRow:
        return take_row(record.payload);
      case RecordType::kProgress:
        return take_progress(record);
      case RecordType::kComplete:
        return take_complete(record);
    }
    return invalid_data(fmt::format("holds a record of the unknown type {}", record.type));
  }

  JournalSummary finish(uint64_t valid_bytes, uint64_t file_bytes) {
    summary_.valid_bytes = valid_bytes;
    summary_.dropped_bytes = file_bytes - valid_bytes;
    return std::move(summary_);
  }

 private:
  static Status malformed(const char* what, const LogRecord& record) {
    return invalid_data(fmt::format("holds a record ({}) of {} bytes, which cannot be", what, record.payload.size()));
  }

  Status take_attempt(std::string_view payload) {
    if (payload.size() < sizeof(int64_t)) return invalid_data("holds an attempt without its time");
    NumberReader fields(payload);
    AttemptRecord& attempt = summary_.attempts.emplace_back();
    attempt.unix_time = fields.take<int64_t>();
    attempt.parameters = fields.rest();
    summary_.complete.reset();
    return {};
  }

  Status take_row(std::string_view payload) {
    if (payload.size() != kRowBytes) {
      return invalid_data(fmt::format("holds a row's record of {} bytes; they have {}", payload.size(), kRowBytes));
    }
    const RowRecord row = read_row(payload);
    const auto kind = static_cast<size_t>(row.kind);
    if (kind >= kResultKinds) return invalid_data(fmt::format("holds a row's record of the unknown kind {}", kind));
    ++summary_.rows[kind];
    summary_.result_bytes[kind] = std::max(summary_.result_bytes[kind], row.offset + row.length);
    summary_.prompt_tokens += row.prompt_tokens;
    summary_.prompt_tokens_computed += row.prompt_tokens_computed;
    summary_.generated_tokens += row.generated_tokens;
    return take_row_ ? take_row_(row) : Status();
  }

  Status take_progress(const LogRecord& record) {
    const size_t size = record.payload.size();
    if (size != kProgressBytes && size != kSecondsAloneBytes) return malformed("progress", record);
    if (summary_.attempts.empty()) return invalid_data("holds a progress before the first attempt");
    NumberReader fields(record.payload);
    AttemptProgress& progress = summary_.attempts.back().progress;
    progress.seconds = fields.take<double>();
    if (size == kSecondsAloneBytes) return {};
    progress.steps = fields.take<int64_t>();
    progress.steps_filled = fields.take<double>();
    progress.preemptions = fields.take<int64_t>();
    return {};
  }

  Status take_complete(const LogRecord& record) {
    if (record.payload.size() != sizeof(int64_t) + 1) return malformed("complete", record);
    NumberReader fields(record.payload);
    CompleteRecord complete;
    complete.unix_time = fields.take<int64_t>();
    complete.ordered = fields.take<uint8_t>() != 0;
    summary_.complete = complete;
    return {};
  }

  const TakeRow& take_row_;
  JournalSummary summary_;
};

// Nothing where the file holds no header.
Result<std::optional<JournalSummary>> replay(const ReadableFile& file, const Replay::TakeRow& take_row) {
  BATCHWRIGHT_ASSIGN_OR_RETURN(const uint64_t size, file.size());
  BATCHWRIGHT_ASSIGN_OR_RETURN(auto reader, RecordLogReader::open(file));
  if (!reader) return std::optional<JournalSummary>();
  Replay replayed(take_row);
  while (true) {
    BATCHWRIGHT_ASSIGN_OR_RETURN(const auto record, reader->next());
    if (!record) break;
    BATCHWRIGHT_RETURN_IF_ERROR(replayed.take(*record));
  }
  return std::optional(replayed.finish(reader->valid_bytes(), size));
}

}  // namespace

AttemptProgress& operator+=(AttemptProgress& sum, const AttemptProgress& more) {
  sum.seconds += more.seconds;
  sum.steps += more.steps;
  sum.steps_filled += more.steps_filled;
  sum.preemptions += more.preemptions;
  return sum;
}

AttemptProgress JournalSummary::progress() const {
  AttemptProgress sum;
  for (const AttemptRecord& attempt : attempts) sum += attempt.progress;
  return sum;
}

Journal::Journal(FileSystem& files, std::string path, std::unique_ptr<WritableFile> writer)
    : files_(files), path_(std::move(path)), writer_(std::move(writer)) {}

Result<std::unique_ptr<Journal>> Journal::lock(FileSystem& files, const std::string& path) {
  BATCHWRIGHT_ASSIGN_OR_RETURN(auto writer, files.create(path, CreateMode::kContinue));
  BATCHWRIGHT_ASSIGN_OR_RETURN(const auto reader, files.open_read(path));
  BATCHWRIGHT_ASSIGN_OR_RETURN(const uint64_t size, reader->size());
  std::unique_ptr<Journal> journal(new Journal(files, path, std::move(writer)));
  journal->was_empty_ = size == 0;
  return journal;
}

Result<std::unique_ptr<Journal>> Journal::open(FileSystem& files, const std::string& path) {
  BATCHWRIGHT_ASSIGN_OR_RETURN(auto journal, lock(files, path));
  BATCHWRIGHT_RETURN_IF_ERROR(journal->read_summary());
  return journal;
}

Status Journal::read_summary() {
  BATCHWRIGHT_ASSIGN_OR_RETURN(const auto file, files_.open_read(path_));
  auto summary = replay(*file, nullptr);
  if (!summary.ok()) return Status(summary.status().code(), path_ + " " + summary.status().message());
  has_begun_ = summary->has_value();
  if (has_begun_) {
    summary_ = std::move(**summary);
    return {};
  }
  // The header is on the disk before anything else is written: without it there can be no more than a part of it.
  BATCHWRIGHT_ASSIGN_OR_RETURN(const uint64_t size, file->size());
  if (size <= kRecordLogHeaderBytes) return {};
  return invalid_data(path_ + " is no journal of batchwright, or its header is damaged");
}

Status Journal::read_rows(const std::function<Status(const RowRecord&)>& take) const {
  return read_journal(files_, path_, take).status();
}

Status Journal::append(const std::string& records) {
  if (failed_) return io_error(path_ + ": an earlier write failed");
  Status status = writer_->append(records);
  if (status.ok()) status = writer_->sync();
  failed_ = !status.ok();
  return status;
}

Status Journal::begin() {
  std::string header;
  append_log_header(header);
  return replace([&](WritableFile& file) { return file.append(header); });
}

// As a whole or not at all, by way of a file beside it.
Status Journal::replace(const std::function<Status(WritableFile&)>& write) {
  const std::string temporary = path_ + ".tmp";
  BATCHWRIGHT_ASSIGN_OR_RETURN(auto writer, files_.create(temporary, CreateMode::kReplace));
  Status status = write(*writer);
  if (status.ok()) status = writer->sync();
  if (status.ok()) status = files_.rename(temporary, path_);
  if (!status.ok()) {
    (void)files_.remove(temporary);
    return status;
  }
  // The lock of the new file is held before that of the old one is given up.
  writer_ = std::move(writer);
  BATCHWRIGHT_RETURN_IF_ERROR(files_.sync_folder_of(path_));
  return read_summary();
}

Status Journal::resume() {
  BATCHWRIGHT_RETURN_IF_ERROR(writer_->truncate(summary_.valid_bytes));
  return writer_->sync();
}

Status Journal::rewrite(const std::vector<RowRecord>& rows) {
  return replace([&](WritableFile& file) -> Status {
    std::string records;
    append_log_header(records);
    for (const AttemptRecord& attempt : summary_.attempts) {
      append_attempt(records, attempt.unix_time, attempt.parameters);
      append_progress(records, attempt.progress);
    }
    for (const RowRecord& row : rows) {
      append_row(records, row);
      if (records.size() < kRewriteBytes) continue;
      BATCHWRIGHT_RETURN_IF_ERROR(file.append(records));
      records.clear();
    }
    return file.append(records);
  });
}

Status Journal::write_attempt(int64_t unix_time, const std::string& parameters) {
  std::string records;
  append_attempt(records, unix_time, parameters);
  return append(records);
}

Status Journal::write_rows(const std::vector<RowRecord>& rows, const AttemptProgress& progress) {
  std::string records;
  for (const RowRecord& row : rows) append_row(records, row);
  append_progress(records, progress);
  return append(records);
}

Status Journal::write_complete(const CompleteRecord& complete) {
  std::string payload;
  append_number(payload, complete.unix_time);
  payload += complete.ordered ? '\1' : '\0';
  std::string records;
  append_record(records, RecordType::kComplete, payload);
  return append(records);
}

Status Journal::remove() {
  failed_ = true;
  return files_.remove(path_);
}

Result<JournalSummary> read_journal(FileSystem& files, const std::string& path, const Replay::TakeRow& take_row) {
  BATCHWRIGHT_ASSIGN_OR_RETURN(const auto file, files.open_read(path));
  Status taken;
  const Replay::TakeRow take = [&](const RowRecord& row) { return taken = take_row(row); };
  auto summary = replay(*file, take_row ? take : nullptr);
  if (!taken.ok()) return taken;
  if (!summary.ok()) return Status(summary.status().code(), path + " " + summary.status().message());
  if (!summary->has_value()) return invalid_data(path + " holds no record");
  return **summary;
}

}  // namespace batchwright

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <mutex>
#include <utility>

#include "base/check.h"
#include "base/crc32c.h"
#include "base/status_macros.h"
#include "job/job_files.h"
#include "job/job_output.h"

namespace batchwright {
namespace {

// Where a line stands in a partial file. length 0: the row has none there.
struct Place {
  uint64_t offset = 0;
  uint32_t length = 0;
  uint32_t checksum = 0;
};

// Gathers small lines into larger writes; only used where nobody waits for single lines.
class BufferedAppender {
 public:
  explicit BufferedAppender(WritableFile& file) : file_(file) {}

  Status append(std::string_view data) {
    buffer_ += data;
    return buffer_.size() < kFlushBytes ? Status() : flush();
  }
  Status flush() {
    const Status status = file_.append(buffer_);
    buffer_.clear();
    return status;
  }

 private:
  static constexpr size_t kFlushBytes = size_t{1} << 20;

  WritableFile& file_;
  std::string buffer_;
};

// X and X.partial, or those of the errors.
class ResultFile {
 public:
  ResultFile(FileSystem& files, std::string path, std::string header)
      : files_(files), path_(std::move(path)), partial_path_(path_ + ".partial"), header_(std::move(header)) {}

  bool is_open() const { return partial_ != nullptr; }
  uint64_t bytes() const { return bytes_; }

  Status create() {
    BATCHWRIGHT_ASSIGN_OR_RETURN(partial_, files_.create(partial_path_, CreateMode::kReplace));
    is_new_ = true;
    return append(header_);
  }

  // Nothing of it was ever reported.
  Status clear() {
    BATCHWRIGHT_RETURN_IF_ERROR(files_.remove(path_));
    return files_.remove(partial_path_);
  }

  // Finds what was reported, to be read; it stays as it is until go_on().
  Status find(uint64_t reported_bytes) {
    BATCHWRIGHT_ASSIGN_OR_RETURN(const PathKind kind, files_.kind(partial_path_));
    // The crash came when the file had its name already, or the job was complete and has been opened again.
    if (kind == PathKind::kNothing) read_path_ = path_;
    auto reader = files_.open_read(read_path_);
    if (reader.status().code() == StatusCode::kNotFound) {
      return invalid_data(partial_path_ + ": is missing; its journal names rows in it; --restart starts over");
    }
    if (!reader.ok()) return reader.status();
    reader_ = std::move(*reader);
    BATCHWRIGHT_ASSIGN_OR_RETURN(const uint64_t size, reader_->size());
    if (size < reported_bytes) {
      return invalid_data(
          fmt::format("{}: is {} bytes long; its journal names rows up to byte {}; --restart starts over", read_path_,
                      size, reported_bytes));
    }
    bytes_ = reported_bytes;
    return {};
  }

  // What find() found is what was reported: it is cut to that, and grows from here.
  Status go_on() {
    if (read_path_ == path_) {
      BATCHWRIGHT_RETURN_IF_ERROR(files_.rename(path_, partial_path_));
      BATCHWRIGHT_RETURN_IF_ERROR(files_.sync_folder_of(path_));
      read_path_ = partial_path_;
    }
    BATCHWRIGHT_ASSIGN_OR_RETURN(partial_, files_.create(partial_path_, CreateMode::kContinue));
    BATCHWRIGHT_RETURN_IF_ERROR(partial_->truncate(bytes_));
    is_dirty_ = true;
    return {};
  }

  Status append(std::string_view data) {
    if (data.empty()) return {};
    is_dirty_ = true;
    BATCHWRIGHT_RETURN_IF_ERROR(partial_->append(data));
    bytes_ += data.size();
    return {};
  }

  // What was appended, and the file's name, are on the disk.
  Status sync() {
    if (is_dirty_) BATCHWRIGHT_RETURN_IF_ERROR(partial_->sync());
    is_dirty_ = false;
    if (is_new_) BATCHWRIGHT_RETURN_IF_ERROR(files_.sync_folder_of(partial_path_));
    is_new_ = false;
    return {};
  }

  // The line at a place, which must be what it was when it was written.
  Status read(const Place& place, std::string& line) {
    if (!reader_) {
      BATCHWRIGHT_ASSIGN_OR_RETURN(reader_, files_.open_read(partial_path_));
    }
    line.resize(place.length);
    BATCHWRIGHT_ASSIGN_OR_RETURN(const size_t count, reader_->read_at(place.offset, line));
    if (count == line.size() && crc32c(line) == place.checksum) return {};
    return invalid_data(
        fmt::format("{}: the {} bytes from {} on are not the line that the journal names; --restart starts over",
                    read_path_, place.length, place.offset));
  }

  Status put_in_place() {
    BATCHWRIGHT_RETURN_IF_ERROR(sync());
    BATCHWRIGHT_RETURN_IF_ERROR(partial_->close());
    return files_.rename(partial_path_, path_);
  }

  // The partial file stays until the journal says that the job is complete.
  Status put_in_order(const std::vector<Place>& places) {
    BATCHWRIGHT_RETURN_IF_ERROR(sync());
    const std::string ordered_path = path_ + ".ordered.tmp";
    const Status status = write_ordered(places, ordered_path);
    if (!status.ok()) {
      (void)files_.remove(ordered_path);
      return status;
    }
    return files_.rename(ordered_path, path_);
  }

 private:
  Status write_ordered(const std::vector<Place>& places, const std::string& ordered_path) {
    BATCHWRIGHT_ASSIGN_OR_RETURN(const auto ordered, files_.create(ordered_path, CreateMode::kReplace));
    BufferedAppender out(*ordered);
    BATCHWRIGHT_RETURN_IF_ERROR(out.append(header_));
    std::string line;
    for (const Place& place : places) {
      if (place.length == 0) continue;
      BATCHWRIGHT_RETURN_IF_ERROR(read(place, line));
      BATCHWRIGHT_RETURN_IF_ERROR(out.append(line));
    }
    BATCHWRIGHT_RETURN_IF_ERROR(out.flush());
    BATCHWRIGHT_RETURN_IF_ERROR(ordered->sync());
    return ordered->close();
  }

  FileSystem& files_;
  const std::string path_;
  const std::string partial_path_;
  std::string read_path_ = partial_path_;
  const std::string header_;
  std::unique_ptr<WritableFile> partial_;
  std::unique_ptr<ReadableFile> reader_;
  uint64_t bytes_ = 0;  // of the partial file, as far as it counts
  bool is_dirty_ = false;
  bool is_new_ = false;
};

class JournalledOutput : public JobOutput {
 public:
  JournalledOutput(FileSystem& files, Journal& journal, const RowIndex& index, JournalledOutputOptions options)
      : files_(files),
        journal_(journal),
        index_(index),
        options_(std::move(options)),
        results_{ResultFile(files, options_.path, options_.header), ResultFile(files, errors_path(options_.path), "")},
        start_seconds_(options_.seconds()),
        last_commit_seconds_(start_seconds_) {}

  Status open() {
    const JournalSummary& done = journal_.summary();
    // All is looked at before any of it is changed: what is damaged is left as it is.
    for (size_t kind = 0; kind < kResultKinds; ++kind) {
      if (done.rows[kind] > 0) BATCHWRIGHT_RETURN_IF_ERROR(results_[kind].find(done.result_bytes[kind]));
    }
    std::string line;
    BATCHWRIGHT_RETURN_IF_ERROR(journal_.read_rows([&](const RowRecord& row) {
      return file_of(row.kind).read({row.offset, row.length, row.checksum}, line);
    }));
    for (size_t kind = 0; kind < kResultKinds; ++kind) {
      ResultFile& file = results_[kind];
      if (done.rows[kind] > 0) {
        BATCHWRIGHT_RETURN_IF_ERROR(file.go_on());
      } else {
        BATCHWRIGHT_RETURN_IF_ERROR(file.clear());
        if (kind == static_cast<size_t>(ResultKind::kAnswer)) BATCHWRIGHT_RETURN_IF_ERROR(file.create());
      }
    }
    return {};
  }

  Status write(const RowResult& result) override {
    ResultFile& file = file_of(result.kind);
    if (!file.is_open()) BATCHWRIGHT_RETURN_IF_ERROR(file.create());
    RowRecord record;
    record.row = static_cast<uint32_t>(result.row);
    record.kind = result.kind;
    record.offset = file.bytes();
    record.length = static_cast<uint32_t>(result.line.size());
    record.checksum = crc32c(result.line);
    record.key = index_[result.row].key;
    record.prompt_tokens = clamped(result.prompt_tokens);
    record.prompt_tokens_computed = clamped(result.prompt_tokens_computed);
    record.generated_tokens = clamped(result.generated_tokens);
    if (result.line.size() > UINT32_MAX) return resource_exhausted("a row's result is longer than 4 GiB");
    // A line that was cut off is behind all that will be journalled.
    BATCHWRIGHT_RETURN_IF_ERROR(file.append(result.line));
    pending_.push_back(record);
    pending_sum_.add(result);
    return {};
  }

  Status commit(bool now) override {
    const double seconds = options_.seconds();
    if (pending_.empty() || failed_) return {};
    if (!now && seconds < last_commit_seconds_ + options_.sync_seconds) return {};
    // Also where it does not return: what it was doing may be done or not, and is not to be done twice.
    failed_ = true;
    Status status = commit_pending(seconds);
    failed_ = !status.ok();
    return status;
  }

  // The errors first, so that where X stands the rest does too.
  Status finish() override {
    BATCHWRIGHT_RETURN_IF_ERROR(commit(true));
    for (const ResultKind kind : {ResultKind::kError, ResultKind::kAnswer}) {
      ResultFile& file = file_of(kind);
      if (!file.is_open()) continue;
      if (options_.order == ResultOrder::kInput) {
        BATCHWRIGHT_ASSIGN_OR_RETURN(const std::vector<Place> places, read_places(kind));
        BATCHWRIGHT_RETURN_IF_ERROR(file.put_in_order(places));
      } else {
        BATCHWRIGHT_RETURN_IF_ERROR(file.put_in_place());
      }
    }
    BATCHWRIGHT_RETURN_IF_ERROR(files_.sync_folder_of(options_.path));
    BATCHWRIGHT_RETURN_IF_ERROR(journal_.write_complete({options_.unix_time(), options_.order == ResultOrder::kInput}));
    // From here on the job is complete, whatever becomes of the rest.
    for (const std::string& path : options_.state_files) (void)files_.remove(path);
    return {};
  }

  Status abandon() override { return commit(true); }

  ReportedRows reported() const override {
    const std::lock_guard lock(mutex_);
    return reported_;
  }

 private:
  static uint32_t clamped(int64_t count) {
    return static_cast<uint32_t>(std::clamp<int64_t>(count, 0, int64_t{UINT32_MAX}));
  }
  ResultFile& file_of(ResultKind kind) { return results_[static_cast<size_t>(kind)]; }

  Status commit_pending(double seconds) {
    for (ResultFile& file : results_) BATCHWRIGHT_RETURN_IF_ERROR(file.sync());
    AttemptProgress progress = options_.progress();
    progress.seconds = seconds - start_seconds_;
    BATCHWRIGHT_RETURN_IF_ERROR(journal_.write_rows(pending_, progress));
    pending_.clear();
    last_commit_seconds_ = seconds;
    const std::lock_guard lock(mutex_);
    reported_ += std::exchange(pending_sum_, {});
    return {};
  }

  Result<std::vector<Place>> read_places(ResultKind kind) const {
    std::vector<Place> places(static_cast<size_t>(index_.size()));
    BATCHWRIGHT_RETURN_IF_ERROR(journal_.read_rows([&](const RowRecord& row) {
      if (row.kind != kind) return Status();
      BATCHWRIGHT_CHECK(row.row < places.size() && places[row.row].length == 0);
      places[row.row] = {row.offset, row.length, row.checksum};
      return Status();
    }));
    return places;
  }

  FileSystem& files_;
  Journal& journal_;
  const RowIndex& index_;
  const JournalledOutputOptions options_;
  std::array<ResultFile, kResultKinds> results_;
  const double start_seconds_;
  double last_commit_seconds_;
  std::vector<RowRecord> pending_;
  ReportedRows pending_sum_;
  bool failed_ = false;
  mutable std::mutex mutex_;
  ReportedRows reported_;
};

}  // namespace

Result<std::unique_ptr<JobOutput>> journalled_output(FileSystem& files, Journal& journal, const RowIndex& index,
                                                     JournalledOutputOptions options) {
  auto output = std::make_unique<JournalledOutput>(files, journal, index, std::move(options));
  BATCHWRIGHT_RETURN_IF_ERROR(output->open());
  return std::unique_ptr<JobOutput>(std::move(output));
}

}  // namespace batchwright

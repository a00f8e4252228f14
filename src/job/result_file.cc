#include "job/result_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "base/check.h"
#include "base/status_macros.h"

namespace batchwright {
namespace {

// Where each row's line stands in a file that is written in order of completion.
class LinePlaces {
 public:
  explicit LinePlaces(int64_t rows) : offsets_(static_cast<size_t>(rows)), lengths_(static_cast<size_t>(rows)) {}

  void set(int64_t row, uint64_t offset, size_t length) {
    const auto i = static_cast<size_t>(row);
    BATCHWRIGHT_CHECK(i < lengths_.size() && lengths_[i] == 0 && length > 0 && length <= UINT32_MAX);
    offsets_[i] = offset;
    lengths_[i] = static_cast<uint32_t>(length);
  }
  int64_t rows() const { return static_cast<int64_t>(lengths_.size()); }
  bool has(int64_t row) const { return lengths_[static_cast<size_t>(row)] != 0; }

  Status copy(int64_t row, const ReadableFile& from, WritableFile& to) {
    const auto i = static_cast<size_t>(row);
    buffer_.resize(lengths_[i]);
    BATCHWRIGHT_ASSIGN_OR_RETURN(const size_t count, from.read_at(offsets_[i], buffer_));
    if (count != buffer_.size()) return io_error("the partial output became shorter while it was ordered");
    return to.append(buffer_);
  }

 private:
  std::vector<uint64_t> offsets_;
  std::vector<uint32_t> lengths_;
  std::string buffer_;
};

// Gathers small lines into larger writes; only used where nobody waits for single lines.
class BufferedFile : public WritableFile {
 public:
  explicit BufferedFile(WritableFile& file) : file_(file) {}

  Status append(std::string_view data) override {
    buffer_ += data;
    return buffer_.size() < kFlushBytes ? Status() : flush();
  }
  Status sync() override {
    BATCHWRIGHT_RETURN_IF_ERROR(flush());
    return file_.sync();
  }
  Status truncate(uint64_t bytes) override {
    BATCHWRIGHT_RETURN_IF_ERROR(flush());
    return file_.truncate(bytes);
  }
  Status close() override {
    BATCHWRIGHT_RETURN_IF_ERROR(flush());
    return file_.close();
  }

 private:
  static constexpr size_t kFlushBytes = size_t{1} << 20;

  Status flush() {
    const Status status = file_.append(buffer_);
    buffer_.clear();
    return status;
  }

  WritableFile& file_;
  std::string buffer_;
};

class PartialFile : public ResultFile {
 public:
  PartialFile(FileSystem& files, std::string path, std::unique_ptr<WritableFile> partial, ResultOrder order,
              int64_t rows)
      : files_(files),
        path_(std::move(path)),
        partial_(std::move(partial)),
        order_(order),
        places_(order == ResultOrder::kInput ? rows : 0) {}

  Status write(int64_t row, std::string_view line) override {
    BATCHWRIGHT_RETURN_IF_ERROR(partial_->append(line));
    if (order_ == ResultOrder::kInput) places_.set(row, bytes_, line.size());
    bytes_ += line.size();
    return {};
  }

  Status finish() override {
    BATCHWRIGHT_RETURN_IF_ERROR(partial_->sync());
    const std::string partial_path = path_ + ".partial";
    if (order_ == ResultOrder::kInput) {
      const std::string ordered_path = path_ + ".ordered.tmp";
      const Status status = write_ordered(partial_path, ordered_path);
      if (!status.ok()) {
        (void)files_.remove(ordered_path);
        return status;
      }
      BATCHWRIGHT_RETURN_IF_ERROR(files_.rename(ordered_path, path_));
      BATCHWRIGHT_RETURN_IF_ERROR(files_.remove(partial_path));
    } else {
      BATCHWRIGHT_RETURN_IF_ERROR(files_.rename(partial_path, path_));
    }
    BATCHWRIGHT_RETURN_IF_ERROR(partial_->close());
    return files_.sync_folder_of(path_);
  }

  Status abandon() override {
    // Without rows there is nothing to keep, and nothing that should stand in the way of the next run.
    if (bytes_ == 0) return files_.remove(path_ + ".partial");
    BATCHWRIGHT_RETURN_IF_ERROR(partial_->sync());
    return partial_->close();
  }

 private:
  Status write_ordered(const std::string& partial_path, const std::string& ordered_path) {
    BATCHWRIGHT_ASSIGN_OR_RETURN(const auto partial, files_.open_read(partial_path));
    BATCHWRIGHT_ASSIGN_OR_RETURN(const auto ordered, files_.create(ordered_path, CreateMode::kReplace));
    BufferedFile out(*ordered);
    for (int64_t row = 0; row < places_.rows(); ++row) {
      if (places_.has(row)) BATCHWRIGHT_RETURN_IF_ERROR(places_.copy(row, *partial, out));
    }
    BATCHWRIGHT_RETURN_IF_ERROR(out.sync());
    return out.close();
  }

  FileSystem& files_;
  std::string path_;
  std::unique_ptr<WritableFile> partial_;
  ResultOrder order_;
  LinePlaces places_;
  uint64_t bytes_ = 0;
};

class CompletionStream : public ResultFile {
 public:
  explicit CompletionStream(std::unique_ptr<WritableFile> out) : out_(std::move(out)) {}
  Status write(int64_t /*row*/, std::string_view line) override { return out_->append(line); }
  Status finish() override {
    BATCHWRIGHT_RETURN_IF_ERROR(out_->sync());
    return out_->close();
  }
  Status abandon() override { return out_->close(); }

 private:
  std::unique_ptr<WritableFile> out_;
};

class OrderedStream : public ResultFile {
 public:
  OrderedStream(std::unique_ptr<WritableFile> out, FileSystem::Scratch scratch, int64_t rows)
      : out_(std::move(out)), scratch_(std::move(scratch)), places_(rows) {}

  Status write(int64_t row, std::string_view line) override {
    if (row != next_) {
      BATCHWRIGHT_RETURN_IF_ERROR(scratch_.writer->append(line));
      places_.set(row, scratch_bytes_, line.size());
      scratch_bytes_ += line.size();
      return {};
    }
    BATCHWRIGHT_RETURN_IF_ERROR(out_->append(line));
    for (++next_; next_ < places_.rows() && places_.has(next_); ++next_) {
      BATCHWRIGHT_RETURN_IF_ERROR(places_.copy(next_, *scratch_.reader, *out_));
    }
    return {};
  }

  Status finish() override {
    BATCHWRIGHT_CHECK(next_ == places_.rows());
    BATCHWRIGHT_RETURN_IF_ERROR(out_->sync());
    return out_->close();
  }

  // Rows that are done are given out even where others before them are missing.
  Status abandon() override {
    for (; next_ < places_.rows(); ++next_) {
      if (places_.has(next_)) BATCHWRIGHT_RETURN_IF_ERROR(places_.copy(next_, *scratch_.reader, *out_));
    }
    return out_->close();
  }

 private:
  std::unique_ptr<WritableFile> out_;
  FileSystem::Scratch scratch_;
  LinePlaces places_;
  uint64_t scratch_bytes_ = 0;
  int64_t next_ = 0;
};

}  // namespace

Result<std::unique_ptr<ResultFile>> open_result_file(FileSystem& files, const std::string& path, CreateMode mode,
                                                     ResultOrder order, int64_t rows) {
  BATCHWRIGHT_ASSIGN_OR_RETURN(auto partial, files.create(path + ".partial", mode));
  return std::unique_ptr<ResultFile>(std::make_unique<PartialFile>(files, path, std::move(partial), order, rows));
}

Result<std::unique_ptr<ResultFile>> open_result_stream(FileSystem& files, ResultOrder order, int64_t rows) {
  if (order == ResultOrder::kCompletion) {
    return std::unique_ptr<ResultFile>(std::make_unique<CompletionStream>(files.standard_output()));
  }
  BATCHWRIGHT_ASSIGN_OR_RETURN(FileSystem::Scratch scratch, files.create_scratch());
  return std::unique_ptr<ResultFile>(
      std::make_unique<OrderedStream>(files.standard_output(), std::move(scratch), rows));
}

}  // namespace batchwright

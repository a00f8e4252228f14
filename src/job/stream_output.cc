#include <mutex>
#include <utility>

#include "base/check.h"
#include "base/status_macros.h"
#include "job/job_output.h"

namespace batchwright {
namespace {

class StreamOutput : public JobOutput {
 public:
  explicit StreamOutput(std::unique_ptr<WritableFile> out) : out_(std::move(out)) {}

  Status begin(const std::string& header) { return header.empty() ? Status() : out_->append(header); }

  Status write(const RowResult& result) override {
    BATCHWRIGHT_RETURN_IF_ERROR(put(result));
    const std::lock_guard lock(mutex_);
    reported_.add(result);
    return {};
  }
  Status commit(bool /*now*/) override { return {}; }
  Status finish() override {
    BATCHWRIGHT_RETURN_IF_ERROR(out_->sync());
    return out_->close();
  }
  Status abandon() override { return out_->close(); }

  ReportedRows reported() const override {
    const std::lock_guard lock(mutex_);
    return reported_;
  }

 protected:
  virtual Status put(const RowResult& result) { return out_->append(result.line); }
  WritableFile& out() { return *out_; }

 private:
  std::unique_ptr<WritableFile> out_;
  mutable std::mutex mutex_;
  ReportedRows reported_;
};

class OrderedStreamOutput : public StreamOutput {
 public:
  OrderedStreamOutput(std::unique_ptr<WritableFile> out, FileSystem::Scratch scratch, int64_t rows)
      : StreamOutput(std::move(out)), scratch_(std::move(scratch)), places_(static_cast<size_t>(rows)) {}

  Status finish() override {
    BATCHWRIGHT_CHECK(next_ == places_.size());
    return StreamOutput::finish();
  }

  // Rows that are done are given out even where others before them are missing.
  Status abandon() override {
    for (; next_ < places_.size(); ++next_) {
      if (places_[next_].length > 0) BATCHWRIGHT_RETURN_IF_ERROR(copy(places_[next_]));
    }
    return StreamOutput::abandon();
  }

 protected:
  Status put(const RowResult& result) override {
    const auto row = static_cast<size_t>(result.row);
    if (row != next_) {
      BATCHWRIGHT_RETURN_IF_ERROR(scratch_.writer->append(result.line));
      places_.at(row) = {scratch_bytes_, result.line.size()};
      scratch_bytes_ += result.line.size();
      return {};
    }
    BATCHWRIGHT_RETURN_IF_ERROR(out().append(result.line));
    for (++next_; next_ < places_.size() && places_[next_].length > 0; ++next_) {
      BATCHWRIGHT_RETURN_IF_ERROR(copy(places_[next_]));
    }
    return {};
  }

 private:
  struct Place {
    uint64_t offset = 0;
    size_t length = 0;
  };

  Status copy(const Place& place) {
    std::string line(place.length, '\0');
    BATCHWRIGHT_ASSIGN_OR_RETURN(const size_t count, scratch_.reader->read_at(place.offset, line));
    if (count != line.size()) return io_error("the scratch file became shorter while the output was ordered");
    return out().append(line);
  }

  FileSystem::Scratch scratch_;
  std::vector<Place> places_;
  uint64_t scratch_bytes_ = 0;
  size_t next_ = 0;
};

}  // namespace

void ReportedRows::add(const RowResult& result) {
  ++(result.kind == ResultKind::kAnswer ? ok : failed);
  prompt_tokens += result.prompt_tokens;
  prompt_tokens_computed += result.prompt_tokens_computed;
  generated_tokens += result.generated_tokens;
}

ReportedRows& operator+=(ReportedRows& sum, const ReportedRows& more) {
  sum.ok += more.ok;
  sum.failed += more.failed;
  sum.prompt_tokens += more.prompt_tokens;
  sum.prompt_tokens_computed += more.prompt_tokens_computed;
  sum.generated_tokens += more.generated_tokens;
  return sum;
}

Result<std::unique_ptr<JobOutput>> stream_output(FileSystem& files, ResultOrder order, int64_t rows,
                                                 const std::string& header) {
  std::unique_ptr<StreamOutput> output;
  if (order == ResultOrder::kCompletion) {
    output = std::make_unique<StreamOutput>(files.standard_output());
  } else {
    BATCHWRIGHT_ASSIGN_OR_RETURN(FileSystem::Scratch scratch, files.create_scratch());
    output = std::make_unique<OrderedStreamOutput>(files.standard_output(), std::move(scratch), rows);
  }
  BATCHWRIGHT_RETURN_IF_ERROR(output->begin(header));
  return std::unique_ptr<JobOutput>(std::move(output));
}

}  // namespace batchwright

#include "job/scan_buffer.h"

#include <cstring>

#include "base/check.h"
#include "base/status_macros.h"

namespace batchwright {
namespace {

constexpr size_t kReadBytes = size_t{256} << 10;

}  // namespace

Status ScanBuffer::start() {
  BATCHWRIGHT_ASSIGN_OR_RETURN(const bool any, read_more());
  if (!any) return {};
  if (data().starts_with("\xFF\xFE") || data().starts_with("\xFE\xFF")) {
    return invalid_data("the file is in UTF-16; it must be in UTF-8");
  }
  if (data().starts_with("\xEF\xBB\xBF")) consume(3);
  return {};
}

Result<bool> ScanBuffer::read_more() {
  if (begin_ > 0) {
    std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
  }
  if (buffer_.size() < end_ + kReadBytes) buffer_.resize(end_ + kReadBytes);
  const std::span<char> free_part(buffer_.data() + end_, buffer_.size() - end_);
  BATCHWRIGHT_ASSIGN_OR_RETURN(const size_t count, file_.read_at(offset_ + end_, free_part));
  end_ += count;
  return count > 0;
}

void ScanBuffer::consume(size_t bytes) {
  BATCHWRIGHT_CHECK(bytes <= end_ - begin_);
  begin_ += bytes;
  offset_ += bytes;
}

}  // namespace batchwright

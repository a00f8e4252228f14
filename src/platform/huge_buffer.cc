#include "platform/huge_buffer.h"

#include <sys/mman.h>

#include <utility>

namespace batchwright {
namespace {

constexpr size_t kAlignment = 64;
constexpr size_t kHugePage = size_t{2} << 20;

}  // namespace

HugeBuffer::HugeBuffer(size_t bytes) {
  if (bytes == 0 || bytes > SIZE_MAX / 2) return;
  // The kernel places large anonymous mappings on huge-page boundaries, or the first part stays in small pages.
  const size_t size = (bytes + kHugePage - 1) / kHugePage * kHugePage;
  void* memory = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) return;
  (void)madvise(memory, size, MADV_HUGEPAGE);
  data_ = static_cast<uint8_t*>(memory);
  size_ = size;
}

HugeBuffer::HugeBuffer(HugeBuffer&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)),
      used_(std::exchange(other.used_, 0)) {}

HugeBuffer& HugeBuffer::operator=(HugeBuffer&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  std::swap(used_, other.used_);
  return *this;
}

HugeBuffer::~HugeBuffer() {
  if (data_ != nullptr) munmap(data_, size_);
}

std::span<uint8_t> HugeBuffer::take(size_t bytes) {
  if (bytes > size_ - used_) return {};
  const std::span<uint8_t> taken(data_ + used_, bytes);
  used_ += (bytes + kAlignment - 1) / kAlignment * kAlignment;  // fits: size_ and used_ are multiples too
  return taken;
}

}  // namespace batchwright

// One large piece of memory that is given out once and for ever.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace batchwright {

// Zeroed memory, in huge pages where the system has them: streaming through weights in pages of 4 KiB reaches about
// four fifths of the speed, as each page must be looked up. It takes room only where it is touched. Owns; moves.
class HugeBuffer {
 public:
  HugeBuffer() = default;
  // At least `bytes`; empty where the system does not give them.
  explicit HugeBuffer(size_t bytes);
  HugeBuffer(HugeBuffer&& other) noexcept;
  HugeBuffer& operator=(HugeBuffer&& other) noexcept;
  HugeBuffer(const HugeBuffer&) = delete;
  HugeBuffer& operator=(const HugeBuffer&) = delete;
  ~HugeBuffer();

  // The next `bytes`, on a 64-byte boundary; empty where too few are left.
  std::span<uint8_t> take(size_t bytes);

 private:
  uint8_t* data_ = nullptr;
  size_t size_ = 0;
  size_t used_ = 0;
};

}  // namespace batchwright

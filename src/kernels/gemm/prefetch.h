// Asking for packed weights before they are needed. Include in files of one instruction set only.
#pragma once

#include <cstddef>

#include "kernels/gemm/unpack_bits.h"

namespace batchwright {
namespace {

// How far ahead, in bytes: beyond the page where the hardware's own prefetching stops.
constexpr size_t kAheadBytes = 4096;

// The kBytes that follow `p`, kAheadBytes further on. What lies behind the end is never read.
template <size_t kBytes>
BATCHWRIGHT_INLINE void prefetch_ahead(const void* p) {
  const char* at = static_cast<const char*>(p) + kAheadBytes;
#pragma GCC unroll 64
  for (size_t i = 0; i < kBytes; i += 64) __builtin_prefetch(at + i);
}

}  // namespace
}  // namespace batchwright

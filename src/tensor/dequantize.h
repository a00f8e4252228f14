// Floats from stored elements. The result has exactly the bits that the formats' definitions give in single precision
// (block_formats.h, every product and difference rounded once, in the order written there, no fma); the Python `gguf`
// package gives the same.
#pragma once

#include <cstdint>

#include "tensor/element_type.h"

namespace batchwright {

// Writes n floats to dst from the n elements at src (row_bytes(type, n) bytes, any alignment). n is a whole number of
// blocks; anything else is a broken invariant. Scales that are infinite or NaN give infinities and NaNs.
void dequantize_row(ElementType type, const void* src, int64_t n, float* dst);

}  // namespace batchwright

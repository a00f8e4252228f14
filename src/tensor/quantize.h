// Stored elements from floats, by plain rounding: for tests and for making models of random weights. Not the searches
// for the least error that llama.cpp makes; what its tools write has other bits and a smaller error.
#pragma once

#include <cstdint>

#include "tensor/element_type.h"

namespace batchwright {

// Writes row_bytes(type, n) bytes to dst (any alignment) for the n finite floats at src; n is a whole number of blocks.
// F32, F16 and BF16 round to nearest even. In the quantised types scales are rounded so that every value of a block
// lies within reach: each |x - dequantised| is at most half a step, where the step is, with lo and hi the least and
// greatest value (within a percent, for scales that are normal f16 numbers):
//   Q8_0         max|x| / 127 of the block
//   Q5_0, Q4_0   max|x| / 15 and max|x| / 7 of the block, or less
//   Q5_1, Q4_1   (hi - lo) / 31 and / 15 of the block (lo being rounded down to an f16)
//   Q6_K         max|x| / 31 of the 16 plus max|x| / (31 * 127) of the 256
//   Q5_K, Q4_K   R / 31 and R / 15, R = max(hi, 0) - min(lo, 0) of the 32, plus 1/63 of the greatest such of the 256,
//                twice
// Values beyond what an f16 scale can express are clipped; NaN and infinities give unspecified blocks.
void quantize_row(ElementType type, const float* src, int64_t n, void* dst);

}  // namespace batchwright

#include "kernels/math/simd_avx512.h"
#include "kernels/rows/rows_body.h"

BATCHWRIGHT_DEFINE_ROWS(avx512, Avx512)

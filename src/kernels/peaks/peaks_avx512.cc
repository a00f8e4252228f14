#include "kernels/peaks/loops.h"

namespace batchwright {
namespace {

#define ZERO(sum) "vpxord %%zmm" #sum ", %%zmm" #sum ", %%zmm" #sum "\n\t"
#define FMA_STEP(sum) "vfmadd231ps %%zmm14, %%zmm15, %%zmm" #sum "\n\t"

void fma(int64_t iterations) {
  asm volatile(ZERO(0) ZERO(1) ZERO(2) ZERO(3) ZERO(4) ZERO(5) ZERO(6) ZERO(7) ZERO(8) ZERO(9) ZERO(10) ZERO(11)
                   ZERO(14) ZERO(15) "1:\n\t" FMA_STEP(0) FMA_STEP(1) FMA_STEP(2) FMA_STEP(3) FMA_STEP(4) FMA_STEP(5)
                       FMA_STEP(6) FMA_STEP(7) FMA_STEP(8) FMA_STEP(9) FMA_STEP(10) FMA_STEP(11) "dec %0\n\tjnz 1b"
               : "+r"(iterations)
               :
               : "cc", "zmm0", "zmm1", "zmm2", "zmm3", "zmm4", "zmm5", "zmm6", "zmm7", "zmm8", "zmm9", "zmm10", "zmm11",
                 "zmm14", "zmm15");
}

}  // namespace

const PeakLoop kPeakFma512 = {fma, 12 * 16};

}  // namespace batchwright

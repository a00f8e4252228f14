#include "kernels/peaks/loops.h"

// The sums are never read: the statements are volatile, and integer adds on whatever the registers hold cost the same.
// The floats are zeroed first, so that no subnormal slows them.
namespace batchwright {
namespace {

#define YMM_ALL                                                                                                       \
  "ymm0", "ymm1", "ymm2", "ymm3", "ymm4", "ymm5", "ymm6", "ymm7", "ymm8", "ymm9", "ymm10", "ymm11", "ymm12", "ymm13", \
      "ymm14", "ymm15"

#define MADD_STEP(sum, product)                         \
  "vpmaddubsw %%ymm14, %%ymm15, %%ymm" #product         \
  "\n\t"                                                \
  "vpmaddwd %%ymm13, %%ymm" #product ", %%ymm" #product \
  "\n\t"                                                \
  "vpaddd %%ymm" #product ", %%ymm" #sum ", %%ymm" #sum "\n\t"

void maddubs_madd(int64_t iterations) {
  asm volatile("1:\n\t" MADD_STEP(0, 8) MADD_STEP(1, 9) MADD_STEP(2, 10) MADD_STEP(3, 11) MADD_STEP(4, 8)
                   MADD_STEP(5, 9) MADD_STEP(6, 10) MADD_STEP(7, 11) "dec %0\n\tjnz 1b"
               : "+r"(iterations)
               :
               : "cc", YMM_ALL);
}

#define ADD16_STEP(sum, product)                \
  "vpmaddubsw %%ymm14, %%ymm15, %%ymm" #product \
  "\n\t"                                        \
  "vpaddw %%ymm" #product ", %%ymm" #sum ", %%ymm" #sum "\n\t"

void maddubs_add16(int64_t iterations) {
  asm volatile("1:\n\t" ADD16_STEP(0, 8) ADD16_STEP(1, 9) ADD16_STEP(2, 10) ADD16_STEP(3, 11) ADD16_STEP(4, 8)
                   ADD16_STEP(5, 9) ADD16_STEP(6, 10) ADD16_STEP(7, 11) "dec %0\n\tjnz 1b"
               : "+r"(iterations)
               :
               : "cc", YMM_ALL);
}

#define ZERO(sum) "vxorps %%ymm" #sum ", %%ymm" #sum ", %%ymm" #sum "\n\t"
#define FMA_STEP(sum) "vfmadd231ps %%ymm14, %%ymm15, %%ymm" #sum "\n\t"

void fma(int64_t iterations) {
  asm volatile(ZERO(0) ZERO(1) ZERO(2) ZERO(3) ZERO(4) ZERO(5) ZERO(6) ZERO(7) ZERO(8) ZERO(9) ZERO(10) ZERO(11)
                   ZERO(14) ZERO(15) "1:\n\t" FMA_STEP(0) FMA_STEP(1) FMA_STEP(2) FMA_STEP(3) FMA_STEP(4) FMA_STEP(5)
                       FMA_STEP(6) FMA_STEP(7) FMA_STEP(8) FMA_STEP(9) FMA_STEP(10) FMA_STEP(11) "dec %0\n\tjnz 1b"
               : "+r"(iterations)
               :
               : "cc", YMM_ALL);
}

}  // namespace

const PeakLoop kPeakMaddubsMadd = {maddubs_madd, 8 * 32};
const PeakLoop kPeakMaddubsAdd16 = {maddubs_add16, 8 * 32};
const PeakLoop kPeakFma256 = {fma, 12 * 8};

}  // namespace batchwright

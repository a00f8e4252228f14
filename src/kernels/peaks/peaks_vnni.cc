#include "kernels/peaks/loops.h"

namespace batchwright {
namespace {

#define DOT_STEP(sum) "vpdpbusd %%zmm14, %%zmm15, %%zmm" #sum "\n\t"

void vnni(int64_t iterations) {
  asm volatile("1:\n\t" DOT_STEP(0) DOT_STEP(1) DOT_STEP(2) DOT_STEP(3) DOT_STEP(4) DOT_STEP(5) DOT_STEP(6) DOT_STEP(7)
                   DOT_STEP(8) DOT_STEP(9) DOT_STEP(10) DOT_STEP(11) "dec %0\n\tjnz 1b"
               : "+r"(iterations)
               :
               : "cc", "zmm0", "zmm1", "zmm2", "zmm3", "zmm4", "zmm5", "zmm6", "zmm7", "zmm8", "zmm9", "zmm10",
                 "zmm11");
}

}  // namespace

const PeakLoop kPeakVnni = {vnni, 12 * 64};

}  // namespace batchwright

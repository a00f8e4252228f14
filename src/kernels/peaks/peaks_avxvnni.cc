#include "kernels/peaks/loops.h"

namespace batchwright {
namespace {

// {vex}: the assembler would choose the encoding of AVX-512.
#define DOT_STEP(sum) "%{vex%} vpdpbusd %%ymm14, %%ymm15, %%ymm" #sum "\n\t"

void vnni(int64_t iterations) {
  asm volatile("1:\n\t" DOT_STEP(0) DOT_STEP(1) DOT_STEP(2) DOT_STEP(3) DOT_STEP(4) DOT_STEP(5) DOT_STEP(6) DOT_STEP(7)
                   DOT_STEP(8) DOT_STEP(9) DOT_STEP(10) DOT_STEP(11) "dec %0\n\tjnz 1b"
               : "+r"(iterations)
               :
               : "cc", "ymm0", "ymm1", "ymm2", "ymm3", "ymm4", "ymm5", "ymm6", "ymm7", "ymm8", "ymm9", "ymm10",
                 "ymm11");
}

}  // namespace

const PeakLoop kPeakAvxVnni = {vnni, 12 * 32};

}  // namespace batchwright

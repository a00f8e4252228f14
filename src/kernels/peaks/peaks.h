// What this machine can do at most, measured now by hand-written loops: the yardsticks beside every figure of speed.
#pragma once

#include <cstddef>

#include "batchwright/options.h"

namespace batchwright {

struct Peaks {
  // Billions of multiply-adds a second of one thread; 0 where the machine lacks the instructions.
  double int8_maddubs_madd = 0;   // vpmaddubsw + vpmaddwd + vpaddd, 256 bits
  double int8_maddubs_add16 = 0;  // vpmaddubsw + vpaddw, 256 bits
  double int8_avxvnni = 0;        // vpdpbusd, 256 bits
  double int8_vnni = 0;           // vpdpbusd, 512 bits
  double fp32_fma = 0;            // vfmadd231ps of the widest set that is selected
  // Billions of bytes a second that `threads` threads together read from memory.
  double read_bandwidth = 0;
};

// Takes about `seconds` in all, and the time to touch the memory that is read. The int8 and fp32 figures are sums over
// `threads` threads running at once. `read_bytes` is what the bandwidth is measured on; 0: eight times the last-level
// cache, 256 MiB at least, at most a quarter of the free memory.
Peaks measure_peaks(Isa isa, int threads, double seconds, size_t read_bytes = 0);

}  // namespace batchwright

// The loops behind peaks.h, for benchmarks that set their figures beside a peak of the same moment. Each runs
// `iterations` times over independent registers and touches no memory. Call only what the machine has.
#pragma once

#include <cstdint>

namespace batchwright {

struct PeakLoop {
  void (*run)(int64_t iterations);
  int64_t multiply_adds;  // of one iteration
};

extern const PeakLoop kPeakMaddubsMadd;   // AVX2: vpmaddubsw + vpmaddwd + vpaddd
extern const PeakLoop kPeakMaddubsAdd16;  // AVX2: vpmaddubsw + vpaddw
extern const PeakLoop kPeakAvxVnni;       // AVX-VNNI: vpdpbusd of 256 bits
extern const PeakLoop kPeakFma256;        // AVX2 + FMA: vfmadd231ps
extern const PeakLoop kPeakFma512;        // AVX-512
extern const PeakLoop kPeakVnni;          // AVX-512 VNNI: vpdpbusd

}  // namespace batchwright

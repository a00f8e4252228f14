// What the benchmarks of kernels share.
#pragma once

#include <algorithm>
#include <cstdint>
#include <ctime>
#include <vector>

#include "kernels/peaks/loops.h"

namespace batchwright {

// The thread's own time: other programs that take turns on the CPU do not count.
inline double thread_seconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

inline double median(std::vector<double>& values) {
  std::sort(values.begin(), values.end());
  return values.empty() ? 0 : values[values.size() / 2];
}

// G multiply-adds/s of a slice of about a tenth of a millisecond.
inline double peak_slice(const PeakLoop& loop) {
  constexpr int64_t kIterations = 40'000;
  const double start = thread_seconds();
  loop.run(kIterations);
  return static_cast<double>(kIterations * loop.multiply_adds) / (thread_seconds() - start) / 1e9;
}

}  // namespace batchwright

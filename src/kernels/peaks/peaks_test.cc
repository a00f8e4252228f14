#include "kernels/peaks/peaks.h"

#include <gtest/gtest.h>

#include "platform/cpu.h"

namespace batchwright {
namespace {

constexpr size_t kReadBytes = size_t{16} << 20;  // small: touching fresh memory may take seconds

TEST(Peaks, AreWhatSuchMachinesReach) {
  const Peaks peaks = measure_peaks(strongest_isa(), 1, 0.1, kReadBytes);
  std::printf("maddubs+madd %.1f, maddubs+add16 %.1f, avxvnni %.1f, vnni %.1f, fma %.1f G multiply-adds/s; %.1f GB/s\n",
              peaks.int8_maddubs_madd, peaks.int8_maddubs_add16, peaks.int8_avxvnni, peaks.int8_vnni, peaks.fp32_fma,
              peaks.read_bandwidth);
  if (machine_has(Isa::kAvx2)) {
    EXPECT_GT(peaks.int8_maddubs_madd, 1);
    EXPECT_LT(peaks.int8_maddubs_madd, 2000);
    EXPECT_GT(peaks.int8_maddubs_add16, peaks.int8_maddubs_madd * 0.8);
    EXPECT_GT(peaks.fp32_fma, 1);
    EXPECT_LT(peaks.fp32_fma, 1000);
  } else {
    EXPECT_EQ(peaks.int8_maddubs_madd, 0);
    EXPECT_EQ(peaks.fp32_fma, 0);
  }
  EXPECT_EQ(peaks.int8_avxvnni > 0, machine_has(Isa::kAvxVnni));
  EXPECT_EQ(peaks.int8_vnni > 0, machine_has(Isa::kVnni));
  EXPECT_GT(peaks.read_bandwidth, 0.1);
  EXPECT_LT(peaks.read_bandwidth, 2000);
}

TEST(Peaks, TheScalarSetHasNoFma) { EXPECT_EQ(measure_peaks(Isa::kScalar, 2, 0.01, kReadBytes).fp32_fma, 0); }

}  // namespace
}  // namespace batchwright

#include "platform/cpu.h"

#include <gtest/gtest.h>
#include <sched.h>

#include <atomic>
#include <chrono>
#include <string>
#include <thread>

namespace batchwright {
namespace {

TEST(Cpu, ASetIncludesThoseThatItIsBuiltOn) {
  for (const Isa isa : all_isas()) {
    EXPECT_TRUE(includes(isa, isa)) << isa_name(isa);
    EXPECT_TRUE(includes(isa, Isa::kScalar)) << isa_name(isa);
    EXPECT_EQ(includes(isa, Isa::kAvx2), isa != Isa::kScalar) << isa_name(isa);
    EXPECT_EQ(includes(isa, Isa::kAvxVnni), isa == Isa::kAvxVnni) << isa_name(isa);
  }
  EXPECT_TRUE(includes(Isa::kAmx, Isa::kVnni));
  EXPECT_TRUE(includes(Isa::kVnni, Isa::kAvx512));
  EXPECT_FALSE(includes(Isa::kAvxVnni, Isa::kAvx512));
  EXPECT_FALSE(includes(Isa::kAvx512, Isa::kVnni));
}

TEST(Cpu, AMachineHasWhatItsSetsAreBuiltOn) {
  for (const Isa isa : all_isas()) {
    for (const Isa needed : all_isas()) {
      if (!machine_has(isa) || !includes(isa, needed)) continue;
      EXPECT_TRUE(machine_has(needed)) << isa_name(needed);
    }
  }
  EXPECT_TRUE(machine_has(strongest_isa()));
}

TEST(Cpu, SetsAreChosenByName) {
  for (const Isa isa : all_isas()) {
    const auto selected = select_isa(isa_name(isa));
    ASSERT_EQ(selected.ok(), machine_has(isa)) << isa_name(isa);
    if (!selected.ok()) continue;
    EXPECT_EQ(*selected, isa);
  }
  const auto unknown = select_isa("avx9000");
  ASSERT_FALSE(unknown.ok());
  for (const Isa isa : all_isas()) EXPECT_NE(unknown.status().message().find(isa_name(isa)), std::string::npos);
  EXPECT_EQ(*select_isa("auto"), default_isa());
  EXPECT_TRUE(includes(strongest_isa(), default_isa()));
  EXPECT_NE(default_isa(), Isa::kAmx);
}

// Two threads on one CPU take turns.
TEST(Cpu, PreemptionsAreCounted) {
  cpu_set_t all;
  ASSERT_EQ(sched_getaffinity(0, sizeof all, &all), 0);
  cpu_set_t one;
  CPU_ZERO(&one);
  for (int cpu = 0; cpu < CPU_SETSIZE && CPU_COUNT(&one) == 0; ++cpu) {
    if (CPU_ISSET(cpu, &all)) CPU_SET(cpu, &one);
  }
  ASSERT_EQ(sched_setaffinity(0, sizeof one, &one), 0);
  const int64_t before = preemptions();
  std::atomic<bool> stop = false;
  std::thread other([&] {
    while (!stop) continue;
  });
  const auto begin = std::chrono::steady_clock::now();
  while (preemptions() < before + 10 && std::chrono::steady_clock::now() < begin + std::chrono::seconds(60)) continue;
  stop = true;
  other.join();
  EXPECT_GE(preemptions(), before + 10);
  ASSERT_EQ(sched_setaffinity(0, sizeof all, &all), 0);
}

}  // namespace
}  // namespace batchwright

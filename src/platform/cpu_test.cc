#include "platform/cpu.h"

#include <gtest/gtest.h>

#include <string>

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

}  // namespace
}  // namespace batchwright

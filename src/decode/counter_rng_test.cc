#include "decode/counter_rng.h"

#include <gtest/gtest.h>

#include <set>

namespace batchwright {
namespace {

// Random123's kat_vectors.
TEST(Philox, GivesThePublishedVectors) {
  using Words = std::array<uint32_t, 4>;
  EXPECT_EQ(philox4x32_10({0, 0, 0, 0}, {0, 0}), (Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(philox4x32_10({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, {0xffffffff, 0xffffffff}),
            (Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox4x32_10({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(UniformDraw, TakesTheUpper53BitsOfTheFirstTwoWords) {
  EXPECT_EQ(uniform_draw(0, 0, 0, 0), static_cast<double>(0xe169c58d6627e8d5U >> 11) / 9007199254740992.0);
}

TEST(UniformDraw, DependsOnEveryPartOfItsKey) {
  const std::set<double> draws{uniform_draw(1, 2, 3, 4), uniform_draw(1 + (uint64_t{1} << 32), 2, 3, 4),
                               uniform_draw(2, 2, 3, 4), uniform_draw(1, 3, 3, 4),
                               uniform_draw(1, 2, 4, 4), uniform_draw(1, 2, 3, 5)};
  EXPECT_EQ(draws.size(), 6U);
}

TEST(UniformDraw, FillsTheUnitIntervalEvenlyAlongPositionsAndChoices) {
  constexpr uint32_t kCells = 64;
  constexpr uint32_t kDraws = 64 * 1000;
  for (const bool along_choices : {false, true}) {
    std::array<int, kCells> counts{};
    for (uint32_t i = 0; i < kDraws; ++i) {
      const double u = along_choices ? uniform_draw(7, i, 0, 0) : uniform_draw(7, 0, i, 0);
      ASSERT_GE(u, 0.0);
      ASSERT_LT(u, 1.0);
      ++counts[static_cast<size_t>(u * kCells)];
    }
    double chi_square = 0;
    for (const int count : counts) chi_square += (count - 1000.0) * (count - 1000.0) / 1000.0;
    EXPECT_LT(chi_square, 103.4);  // 63 degrees of freedom, probability 0.001
    EXPECT_GT(chi_square, 32.0);   // too even is wrong too
  }
}

}  // namespace
}  // namespace batchwright

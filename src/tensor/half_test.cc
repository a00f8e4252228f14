#include "tensor/half.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace batchwright {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

static_assert(f16_to_f32(0x3c00) == 1.0f && f16_to_f32(0x7bff) == 65504.0f && f16_to_f32(0x0001) == 0x1p-24f);
static_assert(f32_to_f16(1.0f) == 0x3c00 && f32_to_f16(65519.0f) == 0x7bff && f32_to_f16(65520.0f) == 0x7c00);
static_assert(bf16_to_f32(0x3f80) == 1.0f && f32_to_bf16(1.0f) == 0x3f80);

TEST(Half, EveryF16SurvivesTheRoundTrip) {
  for (uint32_t bits = 0; bits <= 0xffff; ++bits) {
    const float x = f16_to_f32(static_cast<uint16_t>(bits));
    const bool is_nan = (bits & 0x7fff) > 0x7c00;
    EXPECT_EQ(std::isnan(x), is_nan) << bits;
    const uint32_t expected = is_nan ? bits | 0x0200 : bits;
    ASSERT_EQ(f32_to_f16(x), expected) << bits;
  }
}

TEST(Half, EveryBf16SurvivesTheRoundTrip) {
  for (uint32_t bits = 0; bits <= 0xffff; ++bits) {
    const bool is_nan = (bits & 0x7fff) > 0x7f80;
    const uint32_t expected = is_nan ? bits | 0x0040 : bits;
    ASSERT_EQ(f32_to_bf16(bf16_to_f32(static_cast<uint16_t>(bits))), expected) << bits;
  }
}

// Between each two neighbours: the middle goes to the even one, a hair to either side to the nearer.
template <class ToFloat, class FromFloat>
void check_rounding(uint32_t infinity, ToFloat to_float, FromFloat from_float) {
  for (uint32_t low = 0; low + 1 < infinity; ++low) {
    const auto high = static_cast<uint16_t>(low + 1);
    const float a = to_float(static_cast<uint16_t>(low));
    const float b = to_float(high);
    const auto middle = static_cast<float>((double{a} + double{b}) / 2);
    ASSERT_EQ(double{middle}, (double{a} + double{b}) / 2);
    ASSERT_EQ(from_float(middle), low % 2 == 0 ? low : high) << low;
    ASSERT_EQ(from_float(std::nextafter(middle, -kInfinity)), low) << low;
    ASSERT_EQ(from_float(std::nextafter(middle, kInfinity)), high) << low;
    ASSERT_EQ(from_float(-middle), 0x8000u | (low % 2 == 0 ? low : high)) << low;
  }
}

TEST(Half, F16RoundsToNearestEven) {
  check_rounding(
      0x7c00, [](uint16_t h) { return f16_to_f32(h); }, [](float x) { return f32_to_f16(x); });
}

TEST(Half, Bf16RoundsToNearestEven) {
  check_rounding(
      0x7f80, [](uint16_t h) { return bf16_to_f32(h); }, [](float x) { return f32_to_bf16(x); });
}

TEST(Half, TheLargeBecomeInfinite) {
  EXPECT_EQ(f32_to_f16(1e30f), 0x7c00);
  EXPECT_EQ(f32_to_f16(-kInfinity), 0xfc00);
  EXPECT_EQ(f32_to_bf16(std::numeric_limits<float>::max()), 0x7f80);
  EXPECT_EQ(f32_to_bf16(-kInfinity), 0xff80);
}

}  // namespace
}  // namespace batchwright

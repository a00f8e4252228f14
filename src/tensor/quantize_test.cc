#include "tensor/quantize.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "tensor/dequantize.h"

namespace batchwright {
namespace {

constexpr int64_t kElements = 2048;

std::vector<float> round_trip(ElementType type, const std::vector<float>& x) {
  const auto n = static_cast<int64_t>(x.size());
  std::vector<char> bytes(*row_bytes(type, n));
  quantize_row(type, x.data(), n, bytes.data());
  std::vector<float> out(x.size());
  dequantize_row(type, bytes.data(), n, out.data());
  return out;
}

struct Range {
  float lo;
  float hi;
  float amax() const { return std::max(std::abs(lo), std::abs(hi)); }
  float with_zero() const { return std::max(hi, 0.0f) - std::min(lo, 0.0f); }
};

// Of the `length` elements among which element i lies.
Range range_around(const std::vector<float>& x, size_t i, size_t length) {
  const auto first = x.begin() + static_cast<std::ptrdiff_t>(i / length * length);
  const auto [lo, hi] = std::minmax_element(first, first + static_cast<std::ptrdiff_t>(length));
  return {*lo, *hi};
}

float greatest_range_with_zero(const std::vector<float>& x, size_t i) {
  float greatest = 0;
  for (size_t s = i / 256 * 256; s < i / 256 * 256 + 256; s += 32) {
    greatest = std::max(greatest, range_around(x, s, 32).with_zero());
  }
  return greatest;
}

// The step that quantize.h promises at element i; rounding of the scales adds a percent.
float promised_step(ElementType type, const std::vector<float>& x, size_t i) {
  const Range block = range_around(x, i, 32);
  // The minimum is an f16 at most two units below.
  const float min_slack = std::abs(block.lo) * 0x1p-10f + 0x1p-24f;
  switch (type) {
    case ElementType::kF32:
      return 0;
    case ElementType::kF16:
      return std::max(std::abs(x[i]) * 0x1p-10f, 0x1p-24f);
    case ElementType::kBF16:
      return std::abs(x[i]) * 0x1p-7f;
    case ElementType::kQ8_0:
      return block.amax() / 127;
    case ElementType::kQ5_0:
      return block.amax() / 15;
    case ElementType::kQ4_0:
      return block.amax() / 7;
    case ElementType::kQ5_1:
      return (block.hi - block.lo + min_slack) / 31;
    case ElementType::kQ4_1:
      return (block.hi - block.lo + min_slack) / 15;
    case ElementType::kQ6_K:
      return range_around(x, i, 16).amax() / 31 + range_around(x, i, 256).amax() / (31 * 127);
    case ElementType::kQ5_K:
      return (block.with_zero() + 2 * greatest_range_with_zero(x, i) / 63) / 31;
    case ElementType::kQ4_K:
      return (block.with_zero() + 2 * greatest_range_with_zero(x, i) / 63) / 15;
  }
  return 0;
}

struct Sample {
  std::string name;
  std::vector<float> values;
};

std::vector<Sample> samples() {
  std::mt19937 random(7);
  std::normal_distribution<float> normal;
  std::vector<Sample> all = {{"normal", {}},   {"all positive", {}}, {"all negative", {}}, {"far from zero", {}},
                             {"outliers", {}}, {"one sided", {}},    {"zeros", {}},        {"constant", {}},
                             {"large", {}},    {"block scales", {}}};
  for (int64_t i = 0; i < kElements; ++i) {
    const float x = normal(random);
    all[0].values.push_back(x);
    all[1].values.push_back(std::abs(x) + 0.1f);
    all[2].values.push_back(-std::abs(x) - 0.1f);
    all[3].values.push_back(100 + x);
    all[4].values.push_back(i % 97 == 0 ? 50 * x : x);
    all[5].values.push_back(x > 0 ? x : 0.1f * x);
    all[6].values.push_back(0);
    all[7].values.push_back(-0.75f);
    all[8].values.push_back(10000 * x);
    all[9].values.push_back(x * std::ldexp(1.0f, static_cast<int>(i / 32 % 8) - 4));
  }
  return all;
}

TEST(Quantize, RoundTripStaysWithinHalfAStep) {
  for (const Sample& sample : samples()) {
    for (const ElementTypeInfo& info : kElementTypes) {
      const std::vector<float> back = round_trip(info.type, sample.values);
      for (size_t i = 0; i < back.size(); ++i) {
        const float x = sample.values[i];
        const float most = 0.5f * 1.01f * promised_step(info.type, sample.values, i) + std::abs(x) * 0x1p-22f;
        ASSERT_LE(std::abs(back[i] - x), most)
            << info.name << ", " << sample.name << ", element " << i << ": " << x << " became " << back[i];
      }
    }
  }
}

TEST(Quantize, WhatTheFormatCanSayIsKept) {
  // Whole multiples of a power of two, the ends of the range among them in every sub-block.
  for (const ElementTypeInfo& info : kElementTypes) {
    if (info.type == ElementType::kQ6_K || info.type == ElementType::kQ4_K || info.type == ElementType::kQ5_K) continue;
    const bool with_min = info.type == ElementType::kQ4_1 || info.type == ElementType::kQ5_1;
    const int levels = info.type == ElementType::kQ4_0 || info.type == ElementType::kQ4_1 ? 8 : 16;
    std::vector<float> x;
    for (int i = 0; i < 64; ++i) {
      const int q = i % (2 * levels) - levels;
      x.push_back(info.type == ElementType::kQ8_0 ? static_cast<float>(i % 2 == 0 ? 127 : 2 * i - 64) * 0.25f
                                                  : static_cast<float>(q) * 0.25f + (with_min ? 3.0f : 0.0f));
    }
    EXPECT_EQ(round_trip(info.type, x), x) << info.name;
  }
}

TEST(Quantize, ZerosStayZerosAndTinyValuesStayFinite) {
  for (const ElementTypeInfo& info : kElementTypes) {
    EXPECT_EQ(round_trip(info.type, std::vector<float>(256, 0.0f)), std::vector<float>(256, 0.0f)) << info.name;
    for (const float tiny : {1e-45f, 1e-30f, 3e-8f, 1e-5f}) {
      std::vector<float> x(256, tiny);
      x[3] = -tiny;
      for (const float back : round_trip(info.type, x)) EXPECT_LE(std::abs(back), 2 * tiny + 0x1p-23f) << info.name;
    }
  }
}

TEST(Quantize, HugeValuesAreClippedToFiniteOnes) {
  for (const ElementTypeInfo& info : kElementTypes) {
    if (!is_quantized(info.type)) continue;
    std::vector<float> x(256, 1e30f);
    x[100] = -1e30f;
    for (const float back : round_trip(info.type, x)) EXPECT_TRUE(std::isfinite(back)) << info.name;
  }
}

TEST(Quantize, EveryElementHasItsOwnPlace) {
  // One outlier at a time: only its own element may come back large.
  for (const ElementTypeInfo& info : kElementTypes) {
    for (size_t place = 0; place < 256; ++place) {
      std::vector<float> x(256, 0.0f);
      x[place] = 1.0f;
      const std::vector<float> back = round_trip(info.type, x);
      for (size_t i = 0; i < 256; ++i) ASSERT_NEAR(back[i], x[i], 0.02) << info.name << " " << place << " " << i;
    }
  }
}

}  // namespace
}  // namespace batchwright

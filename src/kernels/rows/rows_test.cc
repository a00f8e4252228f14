#include "kernels/rows/rows.h"

#include <gtest/gtest.h>
#include <xmmintrin.h>

#include <algorithm>
#include <bit>
#include <cfloat>
#include <cmath>
#include <limits>
#include <ostream>
#include <random>
#include <vector>

#include "kernels/math/math.h"
#include "platform/cpu.h"

namespace batchwright {

// How gtest shows the parameter, found by its type's namespace.
static void PrintTo(const RowKernels& kernels, std::ostream* out) { *out << isa_name(kernels.isa); }

namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr int64_t kSizes[] = {1, 2, 7, 8, 9, 15, 16, 17, 31, 33, 64, 100, 640, 896, 4095, 4096, 4097, 9000, 12300};

// Bit patterns; all NaN count as one.
uint32_t bits(float x) { return std::isnan(x) ? 0x7fc00000U : std::bit_cast<uint32_t>(x); }

void expect_same(const std::vector<float>& got, const std::vector<float>& wanted) {
  ASSERT_EQ(got.size(), wanted.size());
  for (size_t i = 0; i < got.size(); ++i) {
    ASSERT_EQ(bits(got[i]), bits(wanted[i])) << "at " << i << ": " << got[i] << " and " << wanted[i];
  }
}

std::vector<float> random_row(int64_t n, uint32_t seed, float size = 3.0F) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0.0F, size);
  std::vector<float> row(static_cast<size_t>(n));
  for (float& x : row) x = normal(random);
  return row;
}

// Every 2^12th pattern and a little more: subnormals, both infinities and NaNs are among them.
std::vector<float> all_kinds() {
  std::vector<float> values = {0.0F, -0.0F, kInf, -kInf, kNan, -kNan, FLT_MIN, -FLT_MIN, FLT_MAX, -FLT_MAX};
  for (uint64_t b = 0; b <= UINT32_MAX; b += 8209) values.push_back(std::bit_cast<float>(static_cast<uint32_t>(b)));
  for (const float edge : {-0x1.5d589ep+6F, 0x1.62e42ep+6F, 0.625F, -0.625F, 0.3125F, 9.0F, -9.0F, 1.0F}) {
    float below = edge;
    float above = edge;
    for (int i = 0; i < 20; ++i) {
      values.push_back(below);
      values.push_back(above);
      below = std::nextafter(below, -kInf);
      above = std::nextafter(above, kInf);
    }
  }
  return values;
}

class Rows : public testing::TestWithParam<RowKernels> {
 protected:
  void SetUp() override {
    if (!machine_has(GetParam().isa)) GTEST_SKIP() << "this machine has no " << isa_name(GetParam().isa);
  }
  const RowKernels& tested() const { return GetParam(); }
  const RowKernels& scalar() const { return row_kernels(Isa::kScalar); }
};

TEST_P(Rows, RmsNorm) {
  for (const int64_t n : kSizes) {
    const auto x = random_row(n, 1);
    const auto weight = random_row(n, 2);
    std::vector<float> got(x.size());
    std::vector<float> wanted(x.size());
    tested().rms_norm(x.data(), weight.data(), 1e-6F, n, got.data());
    scalar().rms_norm(x.data(), weight.data(), 1e-6F, n, wanted.data());
    expect_same(got, wanted);
    auto in_place = x;
    tested().rms_norm(in_place.data(), weight.data(), 1e-6F, n, in_place.data());
    expect_same(in_place, wanted);
  }
}

TEST_P(Rows, RmsNormIsTheNorm) {
  const auto x = random_row(9000, 3);
  const auto weight = random_row(9000, 4);
  double squares = 0;
  for (const float v : x) squares += static_cast<double>(v) * static_cast<double>(v);
  const double r = 1.0 / std::sqrt(squares / 9000.0 + 1e-5);
  std::vector<float> out(x.size());
  tested().rms_norm(x.data(), weight.data(), 1e-5F, 9000, out.data());
  for (size_t i = 0; i < x.size(); ++i) {
    const double wanted = static_cast<double>(x[i]) * r * static_cast<double>(weight[i]);
    ASSERT_NEAR(static_cast<double>(out[i]), wanted, 1e-6 * std::fabs(wanted) + 1e-12);
  }
}

TEST_P(Rows, Rope) {
  for (const int dim : {2, 8, 16, 64, 80, 128, 256}) {
    const auto x = random_row(dim, 5);
    const auto angles = random_row(dim / 2, 6);
    std::vector<float> cosines;
    std::vector<float> sines;
    for (const float a : angles) {
      cosines.push_back(std::cos(a));
      sines.push_back(std::sin(a));
    }
    auto got = x;
    auto wanted = x;
    tested().rope(got.data(), cosines.data(), sines.data(), dim);
    scalar().rope(wanted.data(), cosines.data(), sines.data(), dim);
    expect_same(got, wanted);
    for (size_t i = 0; i < angles.size(); ++i) {
      const float a = x[i];
      const float b = x[i + angles.size()];
      ASSERT_NEAR(got[i], a * cosines[i] - b * sines[i], 1e-5F);
      ASSERT_NEAR(got[i + angles.size()], a * sines[i] + b * cosines[i], 1e-5F);
    }
  }
}

TEST_P(Rows, Elementwise) {
  for (const int64_t n : kSizes) {
    const auto x = random_row(n, 7);
    const auto y = random_row(n, 8);
    auto got = x;
    auto wanted = x;
    tested().add(got.data(), y.data(), n);
    scalar().add(wanted.data(), y.data(), n);
    expect_same(got, wanted);
    tested().scale(got.data(), 0.123F, n);
    scalar().scale(wanted.data(), 0.123F, n);
    expect_same(got, wanted);
  }
}

TEST_P(Rows, ActivationsOfEveryKindOfValue) {
  const auto gate = all_kinds();
  const auto up = random_row(static_cast<int64_t>(gate.size()), 9);
  std::vector<float> got(gate.size());
  std::vector<float> wanted(gate.size());
  const auto n = static_cast<int64_t>(gate.size());
  tested().silu_mul(gate.data(), up.data(), n, got.data());
  scalar().silu_mul(gate.data(), up.data(), n, wanted.data());
  expect_same(got, wanted);
  tested().gelu_mul(gate.data(), up.data(), n, got.data());
  scalar().gelu_mul(gate.data(), up.data(), n, wanted.data());
  expect_same(got, wanted);
  got = gate;
  wanted = gate;
  tested().soft_cap(got.data(), 30.0F, n);
  scalar().soft_cap(wanted.data(), 30.0F, n);
  expect_same(got, wanted);
}

TEST_P(Rows, ActivationsAreWhatTheyAreCalled) {
  const auto gate = random_row(3000, 10);
  const auto up = random_row(3000, 11);
  std::vector<float> silu(gate.size());
  std::vector<float> gelu(gate.size());
  tested().silu_mul(gate.data(), up.data(), 3000, silu.data());
  tested().gelu_mul(gate.data(), up.data(), 3000, gelu.data());
  auto capped = gate;
  tested().soft_cap(capped.data(), 2.0F, 3000);
  for (size_t i = 0; i < gate.size(); ++i) {
    const auto g = static_cast<double>(gate[i]);
    const auto u = static_cast<double>(up[i]);
    ASSERT_NEAR(static_cast<double>(silu[i]), g / (1.0 + std::exp(-g)) * u, 3e-6);
    const double inner = std::sqrt(2.0 / 3.14159265358979323846) * (g + 0.044715 * g * g * g);
    ASSERT_NEAR(static_cast<double>(gelu[i]), 0.5 * g * (1.0 + std::tanh(inner)) * u, 1e-5);
    ASSERT_NEAR(static_cast<double>(capped[i]), 2.0 * std::tanh(g / 2.0), 1e-6);
  }
}

// n = 1 and an all-ones gradient make the kernels show exp, tanh and sigmoid alone, for every kind of value.
TEST_P(Rows, VectorMathHasTheScalarBits) {
  const auto values = all_kinds();
  const std::vector<float> ones(values.size(), 1.0F);
  for (size_t i = 0; i < values.size(); i += 16) {
    for (const size_t count : {size_t{1}, size_t{3}}) {
      const float zero =
          tested().sum_exp(values.data() + i, 0.0F, static_cast<int64_t>(std::min(count, values.size() - i)));
      const float wanted =
          scalar().sum_exp(values.data() + i, 0.0F, static_cast<int64_t>(std::min(count, values.size() - i)));
      ASSERT_EQ(bits(zero), bits(wanted)) << values[i];
    }
  }
  for (const float x : values) ASSERT_EQ(bits(tested().sum_exp(&x, 0.0F, 1)), bits(exp_f32(x - 0.0F))) << x;
  auto tanh = values;
  tested().soft_cap(tanh.data(), 1.0F, static_cast<int64_t>(tanh.size()));
  for (size_t i = 0; i < values.size(); ++i) ASSERT_EQ(bits(tanh[i]), bits(tanh_f32(values[i]))) << values[i];
  std::vector<float> silu(values.size());
  tested().silu_mul(values.data(), ones.data(), static_cast<int64_t>(values.size()), silu.data());
  for (size_t i = 0; i < values.size(); ++i) {
    ASSERT_EQ(bits(silu[i]), bits((values[i] * sigmoid_f32(values[i])) * 1.0F)) << values[i];
  }
}

TEST_P(Rows, ArgMaxAndMax) {
  for (const int64_t n : kSizes) {
    auto x = random_row(n, 12);
    if (n > 5) {
      x[3] = kNan;
      x[static_cast<size_t>(n) - 1] = x[static_cast<size_t>(n) / 2] = 50.0F;
    }
    const ArgMax got = tested().argmax(x.data(), n);
    const ArgMax wanted = scalar().argmax(x.data(), n);
    EXPECT_EQ(got.index, wanted.index);
    EXPECT_EQ(bits(got.value), bits(wanted.value));
    EXPECT_EQ(bits(tested().max(x.data(), n)), bits(scalar().max(x.data(), n)));
    if (n > 5) {
      EXPECT_EQ(got.index, n / 2);
    }
  }
}

TEST_P(Rows, ArgMaxAtTheBounds) {
  const float lowest[] = {-kInf, kNan, -kInf};
  EXPECT_EQ(tested().argmax(lowest, 3).index, 0);
  EXPECT_EQ(tested().argmax(lowest, 3).value, -kInf);
  EXPECT_EQ(tested().argmax(lowest, 0).value, -kInf);
  EXPECT_EQ(tested().max(lowest, 0), -kInf);
  EXPECT_EQ(tested().max(lowest, 3), -kInf);
  const float zeros[] = {-1.0F, -0.0F, 0.0F};
  EXPECT_EQ(tested().argmax(zeros, 3).index, 1);
  EXPECT_EQ(bits(tested().argmax(zeros, 3).value), 0x80000000U);
  EXPECT_EQ(bits(tested().max(zeros, 2)), 0U);
  const float below[] = {kNan, -3.0F, -2.0F, -4.0F, kNan};
  for (int64_t n = 3; n <= 5; ++n) EXPECT_EQ(tested().argmax(below, n).index, 2);
  const float infinite[] = {1.0F, kInf, kInf};
  EXPECT_EQ(tested().argmax(infinite, 3).index, 1);
}

TEST_P(Rows, SumExp) {
  for (const int64_t n : kSizes) {
    const auto x = random_row(n, 13);
    const float maximum = scalar().max(x.data(), n);
    EXPECT_EQ(bits(tested().sum_exp(x.data(), maximum, n)), bits(scalar().sum_exp(x.data(), maximum, n))) << n;
  }
  const auto x = random_row(12300, 14);
  double sum = 0;
  for (const float v : x) sum += std::exp(static_cast<double>(v) - 9.0);
  EXPECT_NEAR(static_cast<double>(tested().sum_exp(x.data(), 9.0F, 12300)), sum, sum * 1e-6);
}

// A long row's sum is that of its pieces, added in ascending order.
TEST_P(Rows, PiecesMayBeSummedAnywhere) {
  const auto x = random_row(12300, 15);
  float sum = tested().sum_exp(x.data(), 9.0F, 4096);
  sum += tested().sum_exp(x.data() + 4096, 9.0F, 4096);
  sum += tested().sum_exp(x.data() + 8192, 9.0F, 4096);
  sum += tested().sum_exp(x.data() + 12288, 9.0F, 12);
  EXPECT_EQ(bits(tested().sum_exp(x.data(), 9.0F, 12300)), bits(sum));
}

TEST_P(Rows, TheHostsFloatEnvironmentDoesNotMatter) {
  auto x = random_row(777, 16, 1e-38F);  // sums of squares and products become subnormal
  const auto y = random_row(777, 17, 0.1F);
  std::vector<float> got(x.size());
  std::vector<float> wanted(x.size());
  scalar().silu_mul(x.data(), y.data(), 777, wanted.data());
  ASSERT_TRUE(std::any_of(wanted.begin(), wanted.end(), [](float v) { return std::fpclassify(v) == FP_SUBNORMAL; }));
  const unsigned saved = _mm_getcsr();
  _mm_setcsr(saved | 0x8040);  // flush to zero, denormals are zero
  {
    const FloatEnvironment environment;
    tested().silu_mul(x.data(), y.data(), 777, got.data());
  }
  EXPECT_EQ(_mm_getcsr() & 0x8040, 0x8040U);
  _mm_setcsr(saved);
  expect_same(got, wanted);
}

INSTANTIATE_TEST_SUITE_P(, Rows, testing::ValuesIn(all_row_kernels().begin(), all_row_kernels().end()),
                         [](const auto& kernels) { return isa_name(kernels.param.isa); });

}  // namespace
}  // namespace batchwright

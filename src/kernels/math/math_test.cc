#include "kernels/math/math.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <random>

namespace batchwright {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

// Error in units of the last place of the exact value's f32 neighbourhood.
double ulp_error(float got, double exact) {
  if (std::fabs(exact) > std::numeric_limits<float>::max()) return std::isinf(got) ? 0.0 : 1e9;
  int exponent = 0;
  std::frexp(exact, &exponent);
  const double ulp = std::ldexp(1.0, std::max(exponent - 24, -149));
  return std::fabs(got - exact) / ulp;
}

// The stride over all bit patterns of f32; BATCHWRIGHT_MATH_STRIDE=1 sweeps every float (minutes a function).
uint64_t stride() {
  const char* text = std::getenv("BATCHWRIGHT_MATH_STRIDE");
  return text != nullptr ? std::strtoull(text, nullptr, 10) : 4099;
}

template <class Function, class Exact, class Domain>
double largest_error(const Function& function, const Exact& exact, const Domain& domain) {
  double worst = 0;
  float worst_x = 0;
  for (uint64_t bits = 0; bits <= UINT32_MAX; bits += stride()) {
    const auto x = std::bit_cast<float>(static_cast<uint32_t>(bits));
    if (std::isnan(x) || !domain(x)) continue;
    const double error = ulp_error(function(x), exact(static_cast<double>(x)));
    if (error > worst) {
      worst = error;
      worst_x = x;
    }
  }
  std::printf("largest error %.4f ulp at %a\n", worst, static_cast<double>(worst_x));
  return worst;
}

bool everywhere(float) { return true; }

TEST(Math, ExpIsAccurate) {
  const auto domain = [](float x) { return std::fabs(x) < 87.3365F; };
  EXPECT_LT(largest_error(
                exp_f32, [](double x) { return std::exp(x); }, domain),
            0.90);
}

TEST(Math, ExpAtTheBounds) {
  EXPECT_EQ(exp_f32(0.0F), 1.0F);
  EXPECT_EQ(exp_f32(-0.0F), 1.0F);
  EXPECT_EQ(exp_f32(std::numeric_limits<float>::denorm_min()), 1.0F);
  EXPECT_EQ(exp_f32(kInf), kInf);
  EXPECT_EQ(std::bit_cast<uint32_t>(exp_f32(-kInf)), 0U);
  EXPECT_TRUE(std::isnan(exp_f32(kNan)));
  EXPECT_TRUE(std::isnan(exp_f32(-kNan)));
  EXPECT_TRUE(std::isnan(exp_f32(std::bit_cast<float>(0x7fc00155U))));
  // Every float near both ends: zero or normal below, finite or infinite above, as the exact value is.
  for (float x = -87.35F; x < -87.32F; x = std::nextafter(x, kInf)) {
    const double exact = std::exp(static_cast<double>(x));
    if (exact < std::numeric_limits<float>::min()) {
      ASSERT_EQ(std::bit_cast<uint32_t>(exp_f32(x)), 0U) << x;
    } else {
      ASSERT_LT(ulp_error(exp_f32(x), exact), 0.90) << x;
    }
  }
  for (float x = 88.71F; x < 88.73F; x = std::nextafter(x, kInf)) {
    ASSERT_LT(ulp_error(exp_f32(x), std::exp(static_cast<double>(x))), 0.90) << x;
  }
}

TEST(Math, ExpIsMonotonicBelowZeroAndNeverAboveOne) {
  float last = 0.0F;
  for (float x = -87.5F; x <= 0.0F; x += 0.00037F) {
    const float y = exp_f32(x);
    ASSERT_GE(y, last) << x;
    ASSERT_LE(y, 1.0F) << x;
    last = y;
  }
}

TEST(Math, TanhIsAccurate) {
  EXPECT_LT(largest_error(
                tanh_f32, [](double x) { return std::tanh(x); }, everywhere),
            1.5);
  EXPECT_EQ(std::bit_cast<uint32_t>(tanh_f32(-0.0F)), 0x80000000U);
  EXPECT_EQ(std::bit_cast<uint32_t>(tanh_f32(0.0F)), 0U);
  EXPECT_EQ(tanh_f32(kInf), 1.0F);
  EXPECT_EQ(tanh_f32(-kInf), -1.0F);
  EXPECT_TRUE(std::isnan(tanh_f32(kNan)));
}

TEST(Math, SigmoidIsAccurate) {
  // Below -87.3 the result is subnormal.
  const auto domain = [](float x) { return x > -87.3F; };
  EXPECT_LT(largest_error(
                sigmoid_f32, [](double x) { return 1.0 / (1.0 + std::exp(-x)); }, domain),
            2.5);
  EXPECT_EQ(sigmoid_f32(0.0F), 0.5F);
  EXPECT_EQ(sigmoid_f32(kInf), 1.0F);
  EXPECT_EQ(sigmoid_f32(-kInf), 0.0F);
  EXPECT_TRUE(std::isnan(sigmoid_f32(kNan)));
}

TEST(Math, ErfIsAccurate) {
  EXPECT_LT(largest_error(
                erf_f32, [](double x) { return std::erf(x); }, everywhere),
            1.5);
  EXPECT_EQ(std::bit_cast<uint32_t>(erf_f32(-0.0F)), 0x80000000U);
  EXPECT_EQ(erf_f32(kInf), 1.0F);
  EXPECT_EQ(erf_f32(-kInf), -1.0F);
  EXPECT_TRUE(std::isnan(erf_f32(kNan)));
}

TEST(Math, LogIsAccurate) {
  const auto domain = [](float x) { return x > 0.0F && std::isfinite(x); };
  EXPECT_LT(largest_error(
                log_f32, [](double x) { return std::log(x); }, domain),
            1.0);
  EXPECT_EQ(log_f32(1.0F), 0.0F);
  EXPECT_EQ(log_f32(0.0F), -kInf);
  EXPECT_EQ(log_f32(-0.0F), -kInf);
  EXPECT_EQ(log_f32(kInf), kInf);
  EXPECT_TRUE(std::isnan(log_f32(-1.0F)));
  EXPECT_TRUE(std::isnan(log_f32(-kInf)));
  EXPECT_TRUE(std::isnan(log_f32(kNan)));
}

// Error of a double against a long double, in units of the last place.
double ulp_error_f64(double got, long double exact) {
  int exponent = 0;
  std::frexp(static_cast<double>(exact), &exponent);
  return static_cast<double>(std::fabs(static_cast<long double>(got) - exact)) / std::ldexp(1.0, exponent - 53);
}

TEST(Math, PowIsAccurate) {
  std::mt19937_64 random(7);
  std::uniform_real_distribution<double> unit(0.0, 1.0);
  double worst = 0;
  for (int i = 0; i < 200000; ++i) {
    const double base = std::exp(unit(random) * 40.0 - 20.0);
    const double exponent = unit(random) * 2.0 - 1.0;
    worst = std::max(worst, ulp_error_f64(pow_f64(base, exponent), std::pow(static_cast<long double>(base),
                                                                            static_cast<long double>(exponent))));
  }
  std::printf("largest error %.4f ulp\n", worst);
  EXPECT_LT(worst, 1.0);
  EXPECT_EQ(pow_f64(10000.0, 0.0), 1.0);
  EXPECT_EQ(pow_f64(1.0, -0.7), 1.0);
  EXPECT_EQ(pow_f64(2.0, -10.0), 0x1p-10);
  EXPECT_EQ(pow_f64(4.0, 0.5), 2.0);
  EXPECT_EQ(pow_f64(10.0, 400.0), std::numeric_limits<double>::infinity());
  EXPECT_EQ(pow_f64(10.0, -400.0), 0.0);
  EXPECT_NEAR(pow_f64(0x1p-1070, 0.5) / 0x1p-535, 1.0, 1e-15);
}

TEST(Math, SinAndCosAreAccurate) {
  std::mt19937_64 random(11);
  std::uniform_real_distribution<double> unit(-1.0, 1.0);
  double worst = 0;
  for (int i = 0; i < 300000; ++i) {
    const double limits[] = {1.0, 10.0, 1e4, 1e6, 0x1p31};
    const double x = unit(random) * limits[i % 5];
    worst = std::max(worst, ulp_error_f64(sin_f64(x), std::sin(static_cast<long double>(x))));
    worst = std::max(worst, ulp_error_f64(cos_f64(x), std::cos(static_cast<long double>(x))));
  }
  // The doubles next to multiples of pi/2, where nearly all digits cancel.
  for (int64_t n = 1; n < 1'300'000'000; n = n * 9 / 8 + 1) {
    const auto x = static_cast<double>(static_cast<long double>(n) * 1.570796326794896619231321691639751442L);
    worst = std::max(worst, ulp_error_f64(sin_f64(x), std::sin(static_cast<long double>(x))));
    worst = std::max(worst, ulp_error_f64(cos_f64(x), std::cos(static_cast<long double>(x))));
  }
  std::printf("largest error %.4f ulp\n", worst);
  EXPECT_LT(worst, 1.0);
  EXPECT_EQ(sin_f64(0.0), 0.0);
  EXPECT_EQ(cos_f64(0.0), 1.0);
}

TEST(Math, RopeTableHoldsTheAngles) {
  const RopeTable table = make_rope_table(64, 1e6, 0.125, 300);
  ASSERT_EQ(table.cos.size(), 300U * 32U);
  for (int64_t position = 0; position < 300; position += 13) {
    for (int i = 0; i < 32; ++i) {
      const long double angle = position * std::pow(1e6L, -2.0L * i / 64.0L) * 0.125L;
      EXPECT_NEAR(table.cos_at(position)[i], static_cast<double>(std::cos(angle)), 3.1e-8);
      EXPECT_NEAR(table.sin_at(position)[i], static_cast<double>(std::sin(angle)), 3.1e-8);
    }
  }
  EXPECT_EQ(table.cos_at(0)[5], 1.0F);
  EXPECT_EQ(table.sin_at(0)[5], 0.0F);
}

}  // namespace
}  // namespace batchwright

#include "kernels/math/math.h"

#include <bit>
#include <cmath>
#include <limits>

#include "kernels/math/constants.h"

namespace batchwright {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// c[0] + c[1] x + ... by Horner, one fma a step.
template <size_t N>
float horner(const float (&c)[N], float x) {
  float sum = c[N - 1];
  for (size_t i = N - 1; i-- > 0;) sum = std::fma(sum, x, c[i]);
  return sum;
}

}  // namespace

float exp_f32(float x) {
  if (!(x <= math::kExpHighest)) return x + kInfinity;  // NaN too
  if (x < math::kExpLowest) return 0.0F;
  const float t = std::fma(x, math::kLog2E, math::kRoundMagic);
  const float n = t - math::kRoundMagic;
  float r = std::fma(n, -math::kLn2High, x);
  r = std::fma(n, -math::kLn2Low, r);
  float p = horner(math::kExpCoefficients, r);
  p = std::fma(p, r, 1.0F);
  p = std::fma(p, r, 1.0F);
  return std::bit_cast<float>(std::bit_cast<uint32_t>(p) + (std::bit_cast<uint32_t>(t) << 23));
}

float tanh_f32(float x) {
  const float a = std::fabs(x);
  float y = 0;
  if (a < math::kTanhSmall) {
    const float z = a * a;
    y = std::fma(a * z, horner(math::kTanhCoefficients, z), a);
  } else {
    y = 1.0F - 2.0F / (exp_f32(a + a) + 1.0F);
  }
  return std::copysign(y, x);
}

float sigmoid_f32(float x) { return 1.0F / (1.0F + exp_f32(-x)); }

float erf_f32(float x) {
  if (std::isnan(x)) return x;
  const float a = std::fabs(x);
  float y = 1.0F;
  if (a < math::kErfSmall) {
    y = std::fma(a, horner(math::kErfCoefficients, a * a), a);
  } else if (a < math::kErfLarge) {
    y = 1.0F - exp_f32(horner(math::kErfcCoefficients, a));
  }
  return std::copysign(y, x);
}

float log_f32(float x) {
  if (!(x > 0.0F)) return x == 0.0F ? -kInfinity : std::numeric_limits<float>::quiet_NaN();
  if (x == kInfinity) return x;
  float exponent = 0;
  if (x < std::numeric_limits<float>::min()) {
    x *= 0x1p24F;
    exponent = -24;
  }
  // Moves sqrt(1/2) to an exponent's boundary, so that m lies in [sqrt(1/2), sqrt(2)).
  constexpr uint32_t kSqrtHalf = std::bit_cast<uint32_t>(0x1.6a09e6p-1F);
  const uint32_t offset = std::bit_cast<uint32_t>(x) - kSqrtHalf;
  exponent += static_cast<float>(static_cast<int32_t>(offset) >> 23);
  const float f = std::bit_cast<float>((offset & 0x7fffffU) + kSqrtHalf) - 1.0F;
  const float f2 = f * f;
  float y = (f2 * f) * horner(math::kLogCoefficients, f);
  y = std::fma(exponent, math::kLn2Low, y);
  y = std::fma(-0.5F, f2, y);
  return std::fma(exponent, math::kLn2High, f + y);
}

}  // namespace batchwright

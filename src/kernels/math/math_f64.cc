// fp64 pow, sin, cos. All coefficients are those of the Taylor series, so that nothing but this text defines the bits;
// cost does not matter here. Values of two doubles (hi + lo) stand where one is too short.
#include <bit>
#include <cmath>
#include <limits>

#include "base/check.h"
#include "kernels/math/math.h"

namespace batchwright {
namespace {

struct TwoDoubles {
  double hi;
  double lo;
};

// Exact sum (Knuth 1969).
TwoDoubles two_sum(double a, double b) {
  const double s = a + b;
  const double t = s - a;
  return {s, (a - (s - t)) + (b - t)};
}

// Exact product.
TwoDoubles two_product(double a, double b) {
  const double p = a * b;
  return {p, std::fma(a, b, -p)};
}

constexpr TwoDoubles kLn2 = {0x1.62e42fefa39efp-1, 0x1.abc9e3b39803fp-56};

// log(x) to about 2^-60 relative, x > 0 and normal: with s = (m-1)/(m+1), log m = 2 (s + s^3/3 + s^5/5 + ...).
TwoDoubles log_two_doubles(double x) {
  constexpr uint64_t kSqrtHalf = std::bit_cast<uint64_t>(0x1.6a09e667f3bcdp-1);
  const uint64_t offset = std::bit_cast<uint64_t>(x) - kSqrtHalf;
  const auto exponent = static_cast<double>(static_cast<int64_t>(offset) >> 52);
  const double m = std::bit_cast<double>((offset & ((uint64_t{1} << 52) - 1)) + kSqrtHalf);

  const double f = m - 1.0;
  const TwoDoubles g = two_sum(m, 1.0);
  const double s = f / g.hi;
  const double s_lo = (std::fma(-s, g.hi, f) - s * g.lo) / g.hi;
  const double z = s * s;
  double tail = 0;
  for (int k = 27; k >= 3; k -= 2) tail = tail * z + 1.0 / k;
  tail = s * (z * tail);

  const TwoDoubles e = two_product(exponent, kLn2.hi);
  const TwoDoubles sum = two_sum(e.hi, 2.0 * s);
  const TwoDoubles with_tail = two_sum(sum.hi, 2.0 * tail);
  return {with_tail.hi, with_tail.lo + (sum.lo + (e.lo + (exponent * kLn2.lo + 2.0 * s_lo)))};
}

// 2^n for n in [-1022, 1023].
double power_of_two(int n) { return std::bit_cast<double>(static_cast<uint64_t>(n + 1023) << 52); }

double exp_two_doubles(double hi, double lo) {
  if (hi > 710.0) return std::numeric_limits<double>::infinity();
  if (hi < -746.0) return 0.0;
  const double n = std::nearbyint(hi * 0x1.71547652b82fep+0);
  const TwoDoubles product = two_product(n, kLn2.hi);
  // The first difference is exact, as both are close.
  const auto [r, r_lo] = two_sum(hi - product.hi, lo - product.lo - n * kLn2.lo);
  double p = 0;
  double factorial = 1.0;
  for (int k = 2; k <= 16; ++k) factorial *= k;
  for (int k = 16; k >= 2; --k) {
    p = p * r + 1.0 / factorial;
    factorial /= k;
  }
  const double y = 1.0 + (r + (r_lo + (r * r * p + r * r_lo)));
  const int half = static_cast<int>(n) / 2;
  return y * power_of_two(half) * power_of_two(static_cast<int>(n) - half);
}

// x = quadrant * pi/2 + (hi + lo), |hi| <= pi/4 (Cody and Waite 1980; the first step is exact as n < 2^31).
TwoDoubles reduce_angle(double x, int& quadrant) {
  BATCHWRIGHT_CHECK(std::fabs(x) < 0x1p31);
  constexpr double kHalfPi1 = 0x1.921fb54442d18p+0;
  constexpr double kHalfPi2 = 0x1.1a62633145c07p-54;
  constexpr double kHalfPi3 = -0x1.f1976b7ed8fbcp-110;
  const double n = std::nearbyint(x * 0x1.45f306dc9c883p-1);
  quadrant = static_cast<int>(static_cast<int64_t>(n) & 3);
  const double r = std::fma(-n, kHalfPi1, x);
  const TwoDoubles second = two_product(-n, kHalfPi2);
  const TwoDoubles sum = two_sum(r, second.hi);
  return two_sum(sum.hi, sum.lo + (second.lo - n * kHalfPi3));
}

// 1/3!, 1/5!, ... and 1/4!, 1/6!, ... with alternating signs.
constexpr double kSinSeries[] = {-1.0 / 6,
                                 1.0 / 120,
                                 -1.0 / 5040,
                                 1.0 / 362880,
                                 -1.0 / 39916800,
                                 1.0 / 6227020800.0,
                                 -1.0 / 1307674368000.0,
                                 1.0 / 355687428096000.0};
constexpr double kCosSeries[] = {1.0 / 24,
                                 -1.0 / 720,
                                 1.0 / 40320,
                                 -1.0 / 3628800,
                                 1.0 / 479001600.0,
                                 -1.0 / 87178291200.0,
                                 1.0 / 20922789888000.0,
                                 -1.0 / 6402373705728000.0};

template <size_t N>
double horner(const double (&c)[N], double x) {
  double sum = c[N - 1];
  for (size_t i = N - 1; i-- > 0;) sum = sum * x + c[i];
  return sum;
}

double sin_reduced(TwoDoubles r) {
  const double z = r.hi * r.hi;
  return r.hi + (r.lo * (1.0 - 0.5 * z) + r.hi * z * horner(kSinSeries, z));
}

double cos_reduced(TwoDoubles r) {
  const double z = r.hi * r.hi;
  const double half = 0.5 * z;
  const double one = 1.0 - half;
  return one + (((1.0 - one) - half) + (z * z * horner(kCosSeries, z) - r.hi * r.lo));
}

}  // namespace

double pow_f64(double base, double exponent) {
  BATCHWRIGHT_CHECK(base > 0.0 && std::isfinite(base) && std::isfinite(exponent));
  double scale = 0;
  if (base < std::numeric_limits<double>::min()) {
    base *= 0x1p54;
    scale = -54;
  }
  TwoDoubles log_base = log_two_doubles(base);
  if (scale != 0) log_base = two_sum(log_base.hi, log_base.lo + scale * kLn2.hi);
  const TwoDoubles product = two_product(exponent, log_base.hi);
  if (!std::isfinite(product.hi) || std::fabs(product.hi) > 800.0) {
    return product.hi > 0 ? std::numeric_limits<double>::infinity() : 0.0;
  }
  return exp_two_doubles(product.hi, product.lo + exponent * log_base.lo);
}

double sin_f64(double x) {
  int quadrant = 0;
  const TwoDoubles r = reduce_angle(x, quadrant);
  const double y = (quadrant & 1) == 0 ? sin_reduced(r) : cos_reduced(r);
  return (quadrant & 2) == 0 ? y : -y;
}

double cos_f64(double x) {
  int quadrant = 0;
  const TwoDoubles r = reduce_angle(x, quadrant);
  const double y = (quadrant & 1) == 0 ? cos_reduced(r) : sin_reduced(r);
  return quadrant == 1 || quadrant == 2 ? -y : y;
}

RopeTable make_rope_table(int dim, double base, double scale, int64_t positions) {
  BATCHWRIGHT_CHECK(dim > 0 && dim % 2 == 0 && positions >= 0);
  RopeTable table;
  table.dim = dim;
  table.positions = positions;
  const int half = dim / 2;
  std::vector<double> frequencies(static_cast<size_t>(half));
  for (int i = 0; i < half; ++i) frequencies[static_cast<size_t>(i)] = pow_f64(base, -(2.0 * i) / dim) * scale;
  table.cos.reserve(static_cast<size_t>(positions) * frequencies.size());
  table.sin.reserve(static_cast<size_t>(positions) * frequencies.size());
  for (int64_t position = 0; position < positions; ++position) {
    for (const double frequency : frequencies) {
      const double angle = static_cast<double>(position) * frequency;
      table.cos.push_back(static_cast<float>(cos_f64(angle)));
      table.sin.push_back(static_cast<float>(sin_f64(angle)));
    }
  }
  return table;
}

}  // namespace batchwright

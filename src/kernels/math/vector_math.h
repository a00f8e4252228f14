// exp, tanh and sigmoid over the registers of an instruction set V (simd_avx2.h, simd_avx512.h): the steps of math.cc
// one by one, hence the same bits. Only files compiled for an instruction set include this.
#pragma once

#include "kernels/math/constants.h"
#include "kernels/math/simd_avx2.h"

namespace batchwright {
namespace {

template <class V, int N>
[[gnu::always_inline]] inline typename V::F horner_vector(const float (&c)[N], typename V::F x) {
  typename V::F sum = V::set1(c[N - 1]);
#pragma GCC unroll 16
  for (int i = N - 2; i >= 0; --i) sum = V::fma(sum, x, V::set1(c[i]));
  return sum;
}

// e^r with r = x - n ln 2, and n in the low bits of t; NaN stays NaN.
template <class V>
[[gnu::always_inline]] inline typename V::F exp_reduced(typename V::F x, typename V::F& t) {
  using F = typename V::F;
  const F magic = V::set1(math::kRoundMagic);
  const F one = V::set1(1.0F);
  t = V::fma(x, V::set1(math::kLog2E), magic);
  const F n = V::sub(t, magic);
  F r = V::fnma(n, V::set1(math::kLn2High), x);
  r = V::fnma(n, V::set1(math::kLn2Low), r);
  F p = horner_vector<V>(math::kExpCoefficients, r);
  p = V::fma(p, r, one);
  return V::fma(p, r, one);
}

template <class V>
[[gnu::always_inline]] inline typename V::F exp_vector(typename V::F x) {
  using F = typename V::F;
  F t;
  const F p = exp_reduced<V>(x, t);
  const F y = V::zero_where(V::less(x, V::set1(math::kExpLowest)), V::add_exponent(p, t));
  return V::select(V::not_less_equal(x, V::set1(math::kExpHighest)), V::add(x, V::set1(__builtin_inff())), y);
}

// exp for x <= 0 and NaN in fewer steps: the product by 2^n, n >= -126, is exact and keeps NaN.
template <class V>
[[gnu::always_inline]] inline typename V::F exp_nonpositive_vector(typename V::F x) {
  using F = typename V::F;
  F t;
  const F p = exp_reduced<V>(x, t);
  const F y = V::mul(p, V::add_exponent(V::set1(1.0F), t));
  return V::zero_where(V::less(x, V::set1(math::kExpLowest)), y);
}

template <class V>
[[gnu::always_inline]] inline typename V::F tanh_vector(typename V::F x) {
  using F = typename V::F;
  const F one = V::set1(1.0F);
  const F a = V::absolute(x);
  const F z = V::mul(a, a);
  const F small = V::fma(V::mul(a, z), horner_vector<V>(math::kTanhCoefficients, z), a);
  // From 2a = 40 on the result is 1; below, 2^n and its product are exact.
  F t;
  const F p = exp_reduced<V>(V::min(V::set1(40.0F), V::add(a, a)), t);
  const F e = V::mul(p, V::add_exponent(one, t));
  const F large = V::sub(one, V::div(V::set1(2.0F), V::add(e, one)));
  return V::bits_or(V::select(V::less(a, V::set1(math::kTanhSmall)), small, large), V::sign(x));
}

template <class V>
[[gnu::always_inline]] inline typename V::F sigmoid_vector(typename V::F x) {
  const typename V::F one = V::set1(1.0F);
  return V::div(one, V::add(one, exp_vector<V>(V::bits_xor(x, V::set1(-0.0F)))));
}

}  // namespace
}  // namespace batchwright

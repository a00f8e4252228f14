// The row operations over the registers of an instruction set V; bit-equal to rows.cc, whose steps they follow.
// Only files compiled for an instruction set include this.
#pragma once

#include "kernels/math/vector_math.h"
#include "kernels/rows/rows_isa.h"

namespace batchwright::rows {
namespace {

constexpr int64_t kPiece = 4096;

// out[i] = f(x[i], y[i]) for n elements.
template <class V, class F>
[[gnu::always_inline]] inline void map(const float* x, const float* y, float* out, int64_t n, const F& f) {
  int64_t i = 0;
  for (; i + V::kLanes <= n; i += V::kLanes) V::store(out + i, f(V::load(x + i), V::load(y + i)));
  if (i < n) V::store_first(out + i, f(V::load_first(x + i, n - i), V::load_first(y + i, n - i)), n - i);
}

// The canonical sum: accumulate(lanes, x, n) adds the first n of V::kLanes elements to the lanes' sums.
template <class V, class Accumulate>
[[gnu::always_inline]] inline float reduce(const float* x, int64_t n, const Accumulate& accumulate) {
  constexpr int kRegisters = 16 / V::kLanes;
  float total = 0;
  for (int64_t begin = 0; begin < n; begin += kPiece) {
    const int64_t end = n - begin < kPiece ? n : begin + kPiece;
    typename V::F lanes[kRegisters];
    for (auto& lane : lanes) lane = V::zero();
    int64_t i = begin;
    for (; i + 16 <= end; i += 16) {
#pragma GCC unroll 2
      for (int k = 0; k < kRegisters; ++k) lanes[k] = accumulate(lanes[k], V::load(x + i + k * V::kLanes), V::kLanes);
    }
    for (int k = 0; k < kRegisters && i < end; ++k, i += V::kLanes) {
      const int64_t left = end - i;
      lanes[k] = left >= V::kLanes ? accumulate(lanes[k], V::load(x + i), V::kLanes)
                                   : accumulate(lanes[k], V::load_first(x + i, left), left);
    }
    const float piece = V::tree_sum16(lanes);
    total = begin == 0 ? piece : total + piece;
  }
  return total;
}

template <class V>
void rms_norm(const float* x, const float* weight, float eps, int64_t n, float* out) {
  using F = typename V::F;
  // The lanes behind a row's end add +0 * +0 to a sum of squares: nothing.
  const float squares = reduce<V>(x, n, [](F sum, F v, int64_t) { return V::fma(v, v, sum); });
  const F r = V::set1(1.0F / __builtin_sqrtf(squares / static_cast<float>(n) + eps));
  map<V>(x, weight, out, n, [r](F v, F w) { return V::mul(V::mul(v, r), w); });
}

template <class V>
void rope(float* x, const float* cos, const float* sin, int dim) {
  using F = typename V::F;
  const int half = dim / 2;
  const auto rotate = [](F& a, F& b, F c, F s) {
    const F turned = V::fms(a, c, V::mul(b, s));
    b = V::fma(a, s, V::mul(b, c));
    a = turned;
  };
  int i = 0;
  for (; i + V::kLanes <= half; i += V::kLanes) {
    F a = V::load(x + i);
    F b = V::load(x + half + i);
    rotate(a, b, V::load(cos + i), V::load(sin + i));
    V::store(x + i, a);
    V::store(x + half + i, b);
  }
  if (i < half) {
    const int left = half - i;
    F a = V::load_first(x + i, left);
    F b = V::load_first(x + half + i, left);
    rotate(a, b, V::load_first(cos + i, left), V::load_first(sin + i, left));
    V::store_first(x + i, a, left);
    V::store_first(x + half + i, b, left);
  }
}

template <class V>
void add(float* x, const float* y, int64_t n) {
  using F = typename V::F;
  map<V>(x, y, x, n, [](F a, F b) { return V::add(a, b); });
}

template <class V>
void scale(float* x, float factor, int64_t n) {
  using F = typename V::F;
  const F f = V::set1(factor);
  map<V>(x, x, x, n, [f](F a, F) { return V::mul(a, f); });
}

template <class V>
void silu_mul(const float* gate, const float* up, int64_t n, float* out) {
  using F = typename V::F;
  map<V>(gate, up, out, n, [](F g, F u) { return V::mul(V::mul(g, sigmoid_vector<V>(g)), u); });
}

template <class V>
void gelu_mul(const float* gate, const float* up, int64_t n, float* out) {
  using F = typename V::F;
  map<V>(gate, up, out, n, [](F g, F u) {
    const F w = V::fma(V::mul(V::set1(kGeluCubic), V::mul(g, g)), g, g);
    const F one_more = V::add(V::set1(1.0F), tanh_vector<V>(V::mul(V::set1(kGeluScale), w)));
    return V::mul(V::mul(V::mul(V::set1(0.5F), g), one_more), u);
  });
}

template <class V>
void soft_cap(float* x, float cap, int64_t n) {
  using F = typename V::F;
  const F c = V::set1(cap);
  map<V>(x, x, x, n, [c](F v, F) { return V::mul(c, tanh_vector<V>(V::div(v, c))); });
}

// The largest value, -inf where nothing is greater than that.
template <class V>
[[gnu::always_inline]] inline float largest(const float* x, int64_t n) {
  using F = typename V::F;
  const F lowest = V::set1(-__builtin_inff());
  // Several, as each maximum waits for the one before it.
  F best[4] = {lowest, lowest, lowest, lowest};
  int64_t i = 0;
  for (; i + 4 * V::kLanes <= n; i += 4 * V::kLanes) {
#pragma GCC unroll 4
    for (int k = 0; k < 4; ++k) best[k] = V::max(V::load(x + i + k * V::kLanes), best[k]);
  }
  for (; i + V::kLanes <= n; i += V::kLanes) best[0] = V::max(V::load(x + i), best[0]);
  if (i < n) {
    const F tail = V::select(V::lanes_between(0, static_cast<int>(n - i)), V::load_first(x + i, n - i), lowest);
    best[0] = V::max(tail, best[0]);
  }
  return V::largest(V::max(V::max(best[0], best[1]), V::max(best[2], best[3])));
}

template <class V>
int64_t argmax_index(const float* x, int64_t n) {
  const float value = largest<V>(x, n);
  if (value == -__builtin_inff()) return -1;
  const typename V::F wanted = V::set1(value);
  int64_t i = 0;
  for (; i + V::kLanes <= n; i += V::kLanes) {
    const uint32_t found = V::mask_bits(V::equal(V::load(x + i), wanted));
    if (found != 0) return i + __builtin_ctz(found);
  }
  while (x[i] != value) ++i;
  return i;
}

template <class V>
float max(const float* x, int64_t n) {
  return largest<V>(x, n) + 0.0F;
}

template <class V>
float sum_exp(const float* x, float maximum, int64_t n) {
  using F = typename V::F;
  const F m = V::set1(maximum);
  return reduce<V>(x, n, [m](F sum, F v, int64_t count) {
    const F p = exp_vector<V>(V::sub(v, m));
    return V::add(sum, count == V::kLanes ? p : V::keep_first(p, count));
  });
}

}  // namespace
}  // namespace batchwright::rows

// Defines what rows_isa.h declares.
#define BATCHWRIGHT_DEFINE_ROWS(NAME, V)                                                                             \
  namespace batchwright::rows {                                                                                      \
  void rms_norm_##NAME(const float* x, const float* weight, float eps, int64_t n, float* out) {                      \
    rms_norm<V>(x, weight, eps, n, out);                                                                             \
  }                                                                                                                  \
  void rope_##NAME(float* x, const float* cos, const float* sin, int dim) { rope<V>(x, cos, sin, dim); }             \
  void add_##NAME(float* x, const float* y, int64_t n) { add<V>(x, y, n); }                                          \
  void scale_##NAME(float* x, float factor, int64_t n) { scale<V>(x, factor, n); }                                   \
  void silu_mul_##NAME(const float* gate, const float* up, int64_t n, float* out) { silu_mul<V>(gate, up, n, out); } \
  void gelu_mul_##NAME(const float* gate, const float* up, int64_t n, float* out) { gelu_mul<V>(gate, up, n, out); } \
  void soft_cap_##NAME(float* x, float cap, int64_t n) { soft_cap<V>(x, cap, n); }                                   \
  int64_t argmax_index_##NAME(const float* x, int64_t n) { return argmax_index<V>(x, n); }                           \
  float max_##NAME(const float* x, int64_t n) { return max<V>(x, n); }                                               \
  float sum_exp_##NAME(const float* x, float maximum, int64_t n) { return sum_exp<V>(x, maximum, n); }               \
  }

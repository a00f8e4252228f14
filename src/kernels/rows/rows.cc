// The scalar definition of the row operations, and their table.
//
// GELU, step by step (each a single rounding):
//   c = 0.044715 * (g * g);  w = fma(c, g, g);  t = tanh(k * w), k = sqrt(2/pi);  out = ((0.5 * g) * (1 + t)) * u
#include "kernels/rows/rows.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/math/math.h"
#include "kernels/rows/rows_isa.h"
#include "platform/cpu.h"

namespace batchwright {
namespace {

using rows::kGeluCubic;
using rows::kGeluScale;

constexpr int64_t kLanes = 16;

float sum_lanes(float (&lanes)[kLanes]) {
  for (int64_t width = kLanes / 2; width > 0; width /= 2) {
    for (int64_t i = 0; i < width; ++i) lanes[i] += lanes[i + width];
  }
  return lanes[0];
}

// The canonical sum over n values; accumulate(sum, i) adds element i to a lane's sum.
template <class Accumulate>
float reduce(int64_t n, const Accumulate& accumulate) {
  float total = 0;
  for (int64_t begin = 0; begin < n; begin += kReductionPiece) {
    const int64_t end = std::min(n, begin + kReductionPiece);
    float lanes[kLanes] = {};
    for (int64_t i = begin; i < end; ++i) lanes[i % kLanes] = accumulate(lanes[i % kLanes], i);
    const float piece = sum_lanes(lanes);
    total = begin == 0 ? piece : total + piece;
  }
  return total;
}

void rms_norm_scalar(const float* x, const float* weight, float eps, int64_t n, float* out) {
  const float squares = reduce(n, [x](float sum, int64_t i) { return std::fma(x[i], x[i], sum); });
  const float r = 1.0F / std::sqrt(squares / static_cast<float>(n) + eps);
  for (int64_t i = 0; i < n; ++i) out[i] = (x[i] * r) * weight[i];
}

void rope_scalar(float* x, const float* cos, const float* sin, int dim) {
  const int half = dim / 2;
  for (int i = 0; i < half; ++i) {
    const float a = x[i];
    const float b = x[i + half];
    x[i] = std::fma(a, cos[i], -(b * sin[i]));
    x[i + half] = std::fma(a, sin[i], b * cos[i]);
  }
}

void add_scalar(float* x, const float* y, int64_t n) {
  for (int64_t i = 0; i < n; ++i) x[i] += y[i];
}

void scale_scalar(float* x, float factor, int64_t n) {
  for (int64_t i = 0; i < n; ++i) x[i] *= factor;
}

void silu_mul_scalar(const float* gate, const float* up, int64_t n, float* out) {
  for (int64_t i = 0; i < n; ++i) out[i] = (gate[i] * sigmoid_f32(gate[i])) * up[i];
}

void gelu_mul_scalar(const float* gate, const float* up, int64_t n, float* out) {
  for (int64_t i = 0; i < n; ++i) {
    const float g = gate[i];
    const float w = std::fma(kGeluCubic * (g * g), g, g);
    out[i] = ((0.5F * g) * (1.0F + tanh_f32(kGeluScale * w))) * up[i];
  }
}

void soft_cap_scalar(float* x, float cap, int64_t n) {
  for (int64_t i = 0; i < n; ++i) x[i] = cap * tanh_f32(x[i] / cap);
}

ArgMax argmax_scalar(const float* x, int64_t n) {
  ArgMax best{-std::numeric_limits<float>::infinity(), 0};
  for (int64_t i = 0; i < n; ++i) {
    if (x[i] > best.value) best = {x[i], i};
  }
  return best;
}

float max_scalar(const float* x, int64_t n) { return argmax_scalar(x, n).value + 0.0F; }

float sum_exp_scalar(const float* x, float maximum, int64_t n) {
  return reduce(n, [x, maximum](float sum, int64_t i) { return sum + exp_f32(x[i] - maximum); });
}

constexpr RowKernels kScalar = {Isa::kScalar,  rms_norm_scalar, rope_scalar,     add_scalar,
                                scale_scalar,  silu_mul_scalar, gelu_mul_scalar, soft_cap_scalar,
                                argmax_scalar, max_scalar,      sum_exp_scalar};

template <int64_t (*kIndex)(const float*, int64_t)>
ArgMax argmax_by_index(const float* x, int64_t n) {
  const int64_t index = kIndex(x, n);
  return index < 0 ? ArgMax{-std::numeric_limits<float>::infinity(), 0} : ArgMax{x[index], index};
}

#define BATCHWRIGHT_ROWS_OF(ISA, NAME)                                                                              \
  {                                                                                                                 \
    ISA, rows::rms_norm_##NAME, rows::rope_##NAME, rows::add_##NAME, rows::scale_##NAME, rows::silu_mul_##NAME,     \
        rows::gelu_mul_##NAME, rows::soft_cap_##NAME, argmax_by_index<rows::argmax_index_##NAME>, rows::max_##NAME, \
        rows::sum_exp_##NAME                                                                                        \
  }

constexpr RowKernels kTable[] = {
    kScalar,
    BATCHWRIGHT_ROWS_OF(Isa::kAvx2, avx2),
    BATCHWRIGHT_ROWS_OF(Isa::kAvx512, avx512),
};

}  // namespace

const RowKernels& row_kernels(Isa isa) {
  const RowKernels* chosen = &kTable[0];
  for (const RowKernels& kernels : kTable) {
    if (includes(isa, kernels.isa)) chosen = &kernels;
  }
  return *chosen;
}

std::span<const RowKernels> all_row_kernels() { return kTable; }

}  // namespace batchwright

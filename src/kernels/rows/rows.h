// What is neither matrix product nor attention: operations on single rows of f32, bit-equal on every instruction set.
//
// Row reductions follow one canonical order (docs/numerics.md): element i goes to lane i mod 16, ascending; then the
// tree i+8, i+4, i+2, i+1. Rows over 4,096 elements are cut at multiples of 4,096 and the pieces' results added in
// ascending order.
#pragma once

#include <cstdint>
#include <span>

#include "batchwright/options.h"

namespace batchwright {

inline constexpr int64_t kReductionPiece = 4096;

struct ArgMax {
  float value;    // -inf where nothing compares greater (all NaN or -inf)
  int64_t index;  // the lowest of equals; 0 where nothing compares greater
};

struct RowKernels {
  Isa isa;

  // out = (x * r) * weight with r = 1 / sqrt(sum(x * x) / n + eps); the sum by fma into the lanes. out may be x.
  // (Zhang and Sennrich 2019, RMSNorm.)
  void (*rms_norm)(const float* x, const float* weight, float eps, int64_t n, float* out);

  // Rotates pairs (i, i + dim / 2) of one head in place (the "NeoX" order; Su et al. 2021, RoPE):
  //   a' = fma(a, cos_i, -(b * sin_i)), b' = fma(a, sin_i, b * cos_i)
  void (*rope)(float* x, const float* cos, const float* sin, int dim);

  void (*add)(float* x, const float* y, int64_t n);                             // x += y
  void (*scale)(float* x, float factor, int64_t n);                             // x *= factor
  void (*silu_mul)(const float* gate, const float* up, int64_t n, float* out);  // (g * sigmoid(g)) * u
  // GELU by tanh: (0.5 * g * (1 + tanh(sqrt(2/pi) * (g + 0.044715 * g^3)))) * u; the order of steps stands in rows.cc.
  void (*gelu_mul)(const float* gate, const float* up, int64_t n, float* out);
  void (*soft_cap)(float* x, float cap, int64_t n);  // cap * tanh(x / cap)

  ArgMax (*argmax)(const float* x, int64_t n);  // NaN never wins
  float (*max)(const float* x, int64_t n);      // -inf for n = 0; NaN ignored
  // Sum of exp(x[i] - maximum), in the canonical order.
  float (*sum_exp)(const float* x, float maximum, int64_t n);
};

const RowKernels& row_kernels(Isa isa);
std::span<const RowKernels> all_row_kernels();

}  // namespace batchwright

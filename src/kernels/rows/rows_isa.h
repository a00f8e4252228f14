// The row operations of each instruction set, as rows.h describes them; rows.cc puts them into the table.
// No std types here: files compiled for an instruction set include this.
#pragma once

#include <cstdint>

namespace batchwright::rows {

constexpr float kGeluScale = 0x1.988454p-1F;  // sqrt(2 / pi)
constexpr float kGeluCubic = 0.044715F;

// argmax_index: -1 where nothing is greater than -inf.
#define BATCHWRIGHT_DECLARE_ROWS(NAME)                                                         \
  void rms_norm_##NAME(const float* x, const float* weight, float eps, int64_t n, float* out); \
  void rope_##NAME(float* x, const float* cos, const float* sin, int dim);                     \
  void add_##NAME(float* x, const float* y, int64_t n);                                        \
  void scale_##NAME(float* x, float factor, int64_t n);                                        \
  void silu_mul_##NAME(const float* gate, const float* up, int64_t n, float* out);             \
  void gelu_mul_##NAME(const float* gate, const float* up, int64_t n, float* out);             \
  void soft_cap_##NAME(float* x, float cap, int64_t n);                                        \
  int64_t argmax_index_##NAME(const float* x, int64_t n);                                      \
  float max_##NAME(const float* x, int64_t n);                                                 \
  float sum_exp_##NAME(const float* x, float maximum, int64_t n)

BATCHWRIGHT_DECLARE_ROWS(avx2);
BATCHWRIGHT_DECLARE_ROWS(avx512);

}  // namespace batchwright::rows

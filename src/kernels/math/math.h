// Our own transcendentals: one definition each, the same bits on every machine (libm's differ from machine to machine).
// The scalar functions here are the definition; the vector forms in the *_math headers evaluate the same polynomial
// with the same explicit fma's. The largest error of each, measured against fp64 over every third float
// (BATCHWRIGHT_MATH_STRIDE=3 kernels_test --gtest_filter='Math.*'), stands beside it. All expect the floating-point
// environment of platform/cpu.h, and are thread-safe.
#pragma once

#include <cstdint>
#include <vector>

namespace batchwright {

// e^x. exp(0) = 1 exactly; +0 where the result would be below FLT_MIN; +inf above the range; NaN stays NaN.
// Largest error 0.90 ulp.
float exp_f32(float x);
// Keeps the sign of zero. Largest error 1.4 ulp.
float tanh_f32(float x);
// 1 / (1 + exp(-x)). Largest error 2.5 ulp for x > -87.3; +0 below -88.73.
float sigmoid_f32(float x);
// Keeps the sign of zero. Largest error 1.1 ulp.
float erf_f32(float x);
// Natural logarithm for log-probabilities; -inf at 0, NaN below. Largest error 0.81 ulp.
float log_f32(float x);

// fp64, for tables that are made once; errors below 1 ulp.
double pow_f64(double base, double exponent);  // base > 0, both finite; the error holds for results in [1e-9, 1e9]
double sin_f64(double x);                      // |x| < 2^31
double cos_f64(double x);

// cos and sin of position * base^(-2i/dim) * scale for i in [0, dim/2), each computed in fp64 and rounded once to f32:
// frequency_i = pow_f64(base, -(2i) / dim) * scale; angle = position * frequency_i; every step one fp64 operation.
struct RopeTable {
  int dim = 0;
  int64_t positions = 0;
  std::vector<float> cos;  // [positions][dim/2]
  std::vector<float> sin;

  const float* cos_at(int64_t position) const { return cos.data() + position * (dim / 2); }
  const float* sin_at(int64_t position) const { return sin.data() + position * (dim / 2); }
};
RopeTable make_rope_table(int dim, double base, double scale, int64_t positions);

}  // namespace batchwright

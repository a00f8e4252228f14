// Our own transcendentals: one definition each, the same bits on every machine (libm's differ from machine to machine).
// The scalar functions here are the definition; the vector forms in the *_math headers evaluate the same polynomial
// with the same explicit fma's. The measured largest error of each stands beside it.
#pragma once

#include <cstdint>
#include <vector>

namespace batchwright {

// e^x. exp(0) = 1 exactly; +0 where the result would be below FLT_MIN; +inf above the range; NaN stays NaN.
float exp_f32(float x);
float tanh_f32(float x);
float sigmoid_f32(float x);
float erf_f32(float x);
// Natural logarithm for log-probabilities; -inf at 0, NaN below.
float log_f32(float x);

// fp64, for tables that are made once.
double pow_f64(double base, double exponent);  // base > 0
double sin_f64(double x);                      // |x| < 2^31
double cos_f64(double x);

// cos and sin of position * base^(-2i/dim) * scale for i in [0, dim/2), each computed in fp64 and rounded once.
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

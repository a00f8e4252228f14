// The numbers of the f32 transcendentals, shared by the scalar definition (math.cc) and the vector forms
// (vector_math.h). The polynomials are printed by scripts/fit_math_polynomials.py.
//
// Every name has internal linkage, so that files compiled for an instruction set may include this.
#pragma once

namespace batchwright::math {

// exp: t = fma(x, log2(e), 1.5 * 2^23) holds n = rne(x * log2(e)) in its low bits; r = x - n * ln 2 in two fma, the
// first of which is exact; e^r = 1 + r + r^2 (c0 + c1 r + ...) by Horner; n is added to the exponent's bits.
constexpr float kLog2E = 0x1.715476p+0F;
constexpr float kRoundMagic = 0x1.8p+23F;
constexpr float kLn2High = 0x1.62e4p-1F;  // 15 bits: products with |n| < 2^9 are exact
constexpr float kLn2Low = 0x1.7f7d1cp-20F;
constexpr float kExpLowest = -0x1.5d589ep+6F;  // below it e^x < FLT_MIN
constexpr float kExpHighest = 0x1.62e42ep+6F;  // above it e^x > FLT_MAX
// largest relative error of the polynomial: 2^-28.2
constexpr float kExpCoefficients[] = {0x1.fffffcp-2F, 0x1.555492p-3F, 0x1.5558acp-5F, 0x1.12398ap-7F, 0x1.6a52bap-10F};

// tanh: with a = |x| and z = a^2, a + a z (c0 + c1 z + ...) below kTanhSmall, else 1 - 2 / (e^(2a) + 1); then x's sign.
constexpr float kTanhSmall = 0.625F;
// largest relative error of the polynomial: 2^-27.7
constexpr float kTanhCoefficients[] = {-0x1.555532p-2F, 0x1.1106fap-3F, -0x1.b83682p-5F, 0x1.520024p-6F,
                                       -0x1.7533a2p-8F};

// log: x = 2^e * m with m in [sqrt(1/2), sqrt(2)), f = m - 1, log m = f - f^2 / 2 + f^3 (c0 + c1 f + ...).
// largest relative error of the polynomial: 2^-30.3
constexpr float kLogCoefficients[] = {0x1.555548p-2F,  -0x1.000006p-2F, 0x1.99a478p-3F,
                                      -0x1.555c52p-3F, 0x1.233b7cp-3F,  -0x1.fc25c4p-4F,
                                      0x1.e6bee8p-4F,  -0x1.de1692p-4F, 0x1.14914cp-4F};

// erf: with a = |x| and z = a^2, a + a (c0 + c1 z + ...) below kErfSmall, else 1 - exp(d0 + d1 a + ...), where a is at
// most kErfLarge: the result is 1 from there on; then x's sign.
constexpr float kErfSmall = 0.92F;
constexpr float kErfLarge = 4.0F;
// largest relative error of the polynomial: 2^-30.1
constexpr float kErfCoefficients[] = {0x1.06eba8p-3F, -0x1.812740p-2F,  0x1.ce2d64p-4F, -0x1.b8011ap-6F,
                                      0x1.544a1ap-8F, -0x1.a60a2cp-11F, 0x1.4f674ap-14F};
// largest absolute error of exp(polynomial): 2^-34.2
constexpr float kErfcCoefficients[] = {0x1.6b4ca8p-13F, -0x1.212772p+0F, -0x1.4447ccp-1F, -0x1.bb74ecp-4F,
                                       0x1.9b68ecp-6F,  -0x1.11238cp-8F, 0x1.c6e0fep-12F, -0x1.610036p-16F};

}  // namespace batchwright::math

// Exact conversions between float and the two 16-bit formats, in integer arithmetic: the same bits on every machine,
// usable in constant expressions. To 16 bits they round to nearest, ties to even; what is too large becomes infinity,
// subnormals are kept. A NaN stays a NaN, becomes quiet and keeps the upper bits of its payload, as F16C does it.
//
// The functions are always inlined, so that a file compiled for one instruction set emits no copy that others link to.
#pragma once

#include <bit>
#include <cstdint>

namespace batchwright {

[[gnu::always_inline]] constexpr float f16_to_f32(uint16_t half) {
  const uint32_t sign = (uint32_t{half} & 0x8000u) << 16;
  const uint32_t exponent = (uint32_t{half} >> 10) & 0x1fu;
  const uint32_t mantissa = uint32_t{half} & 0x3ffu;
  if (exponent == 0x1f) {
    const uint32_t quiet = mantissa != 0 ? 0x00400000u : 0u;
    return std::bit_cast<float>(sign | 0x7f800000u | quiet | (mantissa << 13));
  }
  if (exponent != 0) return std::bit_cast<float>(sign | ((exponent + 112) << 23) | (mantissa << 13));
  if (mantissa == 0) return std::bit_cast<float>(sign);
  // The value is mantissa * 2^-24: its highest bit becomes the implicit one.
  const uint32_t high = 31u - static_cast<uint32_t>(std::countl_zero(mantissa));
  return std::bit_cast<float>(sign | ((high + 103) << 23) | ((mantissa << (23 - high)) & 0x007fffffu));
}

[[gnu::always_inline]] constexpr uint16_t f32_to_f16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const uint32_t sign = (bits >> 16) & 0x8000u;
  const uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return static_cast<uint16_t>(sign | 0x7e00u | ((magnitude >> 13) & 0x3ffu));
  if (magnitude >= 0x477ff000u) return static_cast<uint16_t>(sign | 0x7c00u);  // 65520 and more
  if (magnitude >= 0x38800000u) {                                              // a normal half
    const uint32_t rounded = magnitude + 0xfffu + ((magnitude >> 13) & 1u);
    return static_cast<uint16_t>(sign | ((rounded - 0x38000000u) >> 13));
  }
  if (magnitude <= 0x33000000u) return static_cast<uint16_t>(sign);  // 2^-25, half of the smallest, ties to zero
  const uint32_t exponent = magnitude >> 23;                         // 102 to 112
  const uint32_t mantissa = (magnitude & 0x007fffffu) | 0x00800000u;
  const uint32_t shift = 126 - exponent;  // 14 to 24
  const uint32_t kept = mantissa >> shift;
  const uint32_t rest = mantissa & ((1u << shift) - 1);
  const uint32_t middle = 1u << (shift - 1);
  const uint32_t up = rest > middle || (rest == middle && (kept & 1u) != 0) ? 1u : 0u;
  return static_cast<uint16_t>(sign | (kept + up));
}

[[gnu::always_inline]] constexpr float bf16_to_f32(uint16_t bits) { return std::bit_cast<float>(uint32_t{bits} << 16); }

[[gnu::always_inline]] constexpr uint16_t f32_to_bf16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<uint16_t>((bits >> 16) | 0x40u);
  return static_cast<uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

}  // namespace batchwright

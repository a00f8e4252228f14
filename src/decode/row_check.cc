#include "decode/row_check.h"

#include <fmt/format.h>

#include <bit>
#include <cstddef>
#include <cstdint>

namespace batchwright::decode {
namespace {

// On bit patterns, so that the compiler may vectorise the pass.
constexpr uint32_t kPlusInfinity = 0x7F800000;
constexpr uint32_t kMinusInfinity = 0xFF800000;

uint32_t is_broken(float x) {
  const uint32_t bits = std::bit_cast<uint32_t>(x);
  return static_cast<uint32_t>((bits & 0x7FFFFFFF) >= kPlusInfinity) & static_cast<uint32_t>(bits != kMinusInfinity);
}

}  // namespace

Status check_logits(std::span<const float> logits) {
  uint32_t broken = 0;
  for (const float x : logits) broken |= is_broken(x);
  if (broken == 0) return {};
  size_t i = 0;
  while (is_broken(logits[i]) == 0) ++i;
  return invalid_data(fmt::format("the model's logit of token {} is {}, not a finite number", i, logits[i]));
}

}  // namespace batchwright::decode

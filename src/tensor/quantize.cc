#include "tensor/quantize.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstring>

#include "base/check.h"
#include "tensor/block_formats.h"
#include "tensor/half.h"

namespace batchwright {
namespace {

constexpr float kF16Max = 65504.0f;

// The least f16 that is not below x.
uint16_t f16_at_least(float x) {
  uint16_t half = f32_to_f16(std::clamp(x, -kF16Max, kF16Max));
  if (f16_to_f32(half) >= x || half == 0x7bff) return half;
  if (half == 0x8000) return 0x0001;
  return static_cast<uint16_t>((half & 0x8000) != 0 ? half - 1 : half + 1);
}

uint16_t f16_at_most(float x) { return static_cast<uint16_t>(f16_at_least(-x) ^ 0x8000); }

// x / step rounded to nearest even, within [lo, hi]. A step of 0 gives the whole number nearest to 0, NaN gives lo.
int rounded(float x, float step, int lo, int hi) {
  if (step == 0) return std::clamp(0, lo, hi);
  const float q = std::nearbyint(x / step);
  if (!(q > static_cast<float>(lo))) return lo;
  return q < static_cast<float>(hi) ? static_cast<int>(q) : hi;
}

// The least whole number of steps that reaches x (x, step >= 0), at most `most`.
int reaching(float x, float step, int most) {
  if (step == 0) return 0;
  const float steps = std::ceil(x / step);
  return steps < static_cast<float>(most) ? static_cast<int>(steps) : most;
}

struct Range {
  float lo;
  float hi;
};

Range range_of(const float* x, int n) {
  const auto [lo, hi] = std::minmax_element(x, x + n);
  return {*lo, *hi};
}

// The scale of least magnitude with which whole numbers from -levels to levels - 1 reach all of the range; its sign
// says which end the extra level serves.
float symmetric_scale(Range r, int levels) {
  const float fl = static_cast<float>(levels);
  const float up = std::max(-r.lo / fl, r.hi / (fl - 1));
  const float down = std::max(r.hi / fl, -r.lo / (fl - 1));
  return up <= down ? up : -down;
}

uint16_t f16_away_from_zero(float x) { return x < 0 ? f16_at_most(x) : f16_at_least(x); }

// q[0..31] of 0..31 into nibbles and, where the format has them, fifth bits.
void pack_simple(const int* q, uint8_t* qs, uint8_t* qh) {
  for (int j = 0; j < 16; ++j) qs[j] = static_cast<uint8_t>((q[j] & 15) | ((q[j + 16] & 15) << 4));
  if (qh == nullptr) return;
  for (int i = 0; i < 32; ++i) qh[i / 8] = static_cast<uint8_t>(qh[i / 8] | ((q[i] >> 4) << (i % 8)));
}

template <class Block>
void quantize_symmetric(const float* x, int levels, Block& b, uint8_t* qh) {
  b.d = f16_away_from_zero(symmetric_scale(range_of(x, 32), levels));
  const float d = f16_to_f32(b.d);
  int q[32];
  for (int i = 0; i < 32; ++i) q[i] = rounded(x[i], d, -levels, levels - 1) + levels;
  pack_simple(q, b.qs, qh);
}

template <class Block>
void quantize_with_min(const float* x, int most, Block& b, uint8_t* qh) {
  const Range r = range_of(x, 32);
  b.m = f16_at_most(r.lo);
  const float m = f16_to_f32(b.m);
  b.d = f16_at_least(std::max(0.0f, r.hi - m) / static_cast<float>(most));
  const float d = f16_to_f32(b.d);
  int q[32];
  for (int i = 0; i < 32; ++i) q[i] = rounded(x[i] - m, d, 0, most);
  pack_simple(q, b.qs, qh);
}

void quantize(const float* x, BlockQ4_0& b) { quantize_symmetric(x, 8, b, nullptr); }
void quantize(const float* x, BlockQ5_0& b) { quantize_symmetric(x, 16, b, b.qh); }
void quantize(const float* x, BlockQ4_1& b) { quantize_with_min(x, 15, b, nullptr); }
void quantize(const float* x, BlockQ5_1& b) { quantize_with_min(x, 31, b, b.qh); }

void quantize(const float* x, BlockQ8_0& b) {
  const Range r = range_of(x, 32);
  b.d = f16_at_least(std::max(r.hi, -r.lo) / 127.0f);
  const float d = f16_to_f32(b.d);
  for (int i = 0; i < 32; ++i) b.qs[i] = static_cast<int8_t>(rounded(x[i], d, -127, 127));
}

// The inverse of scale_min_k4.
void pack_scale_min(const int* sc, const int* m, uint8_t* scales) {
  for (int s = 0; s < 4; ++s) {
    scales[s] = static_cast<uint8_t>(sc[s] | ((sc[s + 4] >> 4) << 6));
    scales[s + 4] = static_cast<uint8_t>(m[s] | ((m[s + 4] >> 4) << 6));
    scales[s + 8] = static_cast<uint8_t>((sc[s + 4] & 15) | ((m[s + 4] & 15) << 4));
  }
}

// Scales, minima and q[0..255] of 0..most for Q4_K and Q5_K.
template <class Block>
void quantize_k(const float* x, int most, Block& b, int* q) {
  Range r[8];
  float greatest_min = 0;
  for (int s = 0; s < 8; ++s) {
    r[s] = range_of(x + 32 * s, 32);
    greatest_min = std::max(greatest_min, -r[s].lo);
  }
  b.dmin = f16_at_least(greatest_min / 63);
  const float dmin = f16_to_f32(b.dmin);
  int m[8];
  float step[8];
  float greatest_step = 0;
  for (int s = 0; s < 8; ++s) {
    m[s] = reaching(std::max(0.0f, -r[s].lo), dmin, 63);
    step[s] = std::max(0.0f, r[s].hi + dmin * static_cast<float>(m[s])) / static_cast<float>(most);
    greatest_step = std::max(greatest_step, step[s]);
  }
  b.d = f16_at_least(greatest_step / 63);
  const float d = f16_to_f32(b.d);
  int sc[8];
  for (int s = 0; s < 8; ++s) {
    sc[s] = reaching(step[s], d, 63);
    const float scale = d * static_cast<float>(sc[s]);
    const float min = dmin * static_cast<float>(m[s]);
    for (int j = 0; j < 32; ++j) q[32 * s + j] = rounded(x[32 * s + j] + min, scale, 0, most);
  }
  pack_scale_min(sc, m, b.scales);
  for (int g = 0; g < 4; ++g) {
    for (int j = 0; j < 32; ++j) {
      b.qs[32 * g + j] = static_cast<uint8_t>((q[64 * g + j] & 15) | ((q[64 * g + 32 + j] & 15) << 4));
    }
  }
}

void quantize(const float* x, BlockQ4_K& b) {
  int q[256];
  quantize_k(x, 15, b, q);
}

void quantize(const float* x, BlockQ5_K& b) {
  int q[256];
  quantize_k(x, 31, b, q);
  for (int i = 0; i < 256; ++i) b.qh[i % 32] = static_cast<uint8_t>(b.qh[i % 32] | ((q[i] >> 4) << (i / 32)));
}

void quantize(const float* x, BlockQ6_K& b) {
  float scale[16];
  float greatest = 0;
  for (int s = 0; s < 16; ++s) {
    scale[s] = symmetric_scale(range_of(x + 16 * s, 16), 32);
    greatest = std::max(greatest, std::abs(scale[s]));
  }
  b.d = f16_at_least(greatest / 127);
  const float d = f16_to_f32(b.d);
  for (int s = 0; s < 16; ++s) {
    const int magnitude = reaching(std::abs(scale[s]), d, 127);
    b.scales[s] = static_cast<int8_t>(scale[s] < 0 ? -magnitude : magnitude);
    const float step = d * static_cast<float>(b.scales[s]);
    for (int j = 0; j < 16; ++j) {
      const int i = 16 * s + j;
      const int q = rounded(x[i], step, -32, 31) + 32;
      const int in_half = i % 128;
      uint8_t& low = b.ql[64 * (i / 128) + in_half % 64];
      uint8_t& high = b.qh[32 * (i / 128) + in_half % 32];
      low = static_cast<uint8_t>(low | ((q & 15) << (4 * (in_half / 64))));
      high = static_cast<uint8_t>(high | ((q >> 4) << (2 * (in_half / 32))));
    }
  }
}

template <class Block>
void quantize_blocks(const float* src, int64_t n, int64_t block_elements, void* dst) {
  std::byte* bytes = static_cast<std::byte*>(dst);
  for (int64_t i = 0; i < n / block_elements; ++i) {
    Block block{};
    quantize(src + i * block_elements, block);
    std::memcpy(bytes + i * static_cast<int64_t>(sizeof(Block)), &block, sizeof(Block));
  }
}

template <class Convert>
void convert_floats(const float* src, int64_t n, void* dst, Convert convert) {
  std::byte* bytes = static_cast<std::byte*>(dst);
  for (int64_t i = 0; i < n; ++i) {
    const uint16_t bits = convert(src[i]);
    std::memcpy(bytes + 2 * i, &bits, sizeof(bits));
  }
}

}  // namespace

void quantize_row(ElementType type, const float* src, int64_t n, void* dst) {
  const int64_t block = element_type_info(type).block_elements;
  BATCHWRIGHT_CHECK(n >= 0 && n % block == 0);
  if (n == 0) return;
  switch (type) {
    case ElementType::kF32:
      std::memcpy(dst, src, static_cast<size_t>(n) * sizeof(float));
      return;
    case ElementType::kF16:
      return convert_floats(src, n, dst, [](float x) { return f32_to_f16(x); });
    case ElementType::kBF16:
      return convert_floats(src, n, dst, [](float x) { return f32_to_bf16(x); });
    case ElementType::kQ4_0:
      return quantize_blocks<BlockQ4_0>(src, n, block, dst);
    case ElementType::kQ4_1:
      return quantize_blocks<BlockQ4_1>(src, n, block, dst);
    case ElementType::kQ5_0:
      return quantize_blocks<BlockQ5_0>(src, n, block, dst);
    case ElementType::kQ5_1:
      return quantize_blocks<BlockQ5_1>(src, n, block, dst);
    case ElementType::kQ8_0:
      return quantize_blocks<BlockQ8_0>(src, n, block, dst);
    case ElementType::kQ4_K:
      return quantize_blocks<BlockQ4_K>(src, n, block, dst);
    case ElementType::kQ5_K:
      return quantize_blocks<BlockQ5_K>(src, n, block, dst);
    case ElementType::kQ6_K:
      return quantize_blocks<BlockQ6_K>(src, n, block, dst);
  }
}

}  // namespace batchwright

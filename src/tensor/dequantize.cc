#include "tensor/dequantize.h"

#include <cstddef>
#include <cstring>

#include "base/check.h"
#include "tensor/block_formats.h"
#include "tensor/half.h"

namespace batchwright {
namespace {

void dequantize(const BlockQ4_0& b, float* x) {
  const float d = f16_to_f32(b.d);
  for (int j = 0; j < 16; ++j) {
    x[j] = d * static_cast<float>((b.qs[j] & 15) - 8);
    x[j + 16] = d * static_cast<float>((b.qs[j] >> 4) - 8);
  }
}

void dequantize(const BlockQ4_1& b, float* x) {
  const float d = f16_to_f32(b.d);
  const float m = f16_to_f32(b.m);
  for (int j = 0; j < 16; ++j) {
    x[j] = d * static_cast<float>(b.qs[j] & 15) + m;
    x[j + 16] = d * static_cast<float>(b.qs[j] >> 4) + m;
  }
}

int fifth_bit(const uint8_t* qh, int i) { return ((qh[i / 8] >> (i % 8)) & 1) << 4; }

void dequantize(const BlockQ5_0& b, float* x) {
  const float d = f16_to_f32(b.d);
  for (int j = 0; j < 16; ++j) {
    x[j] = d * static_cast<float>(((b.qs[j] & 15) | fifth_bit(b.qh, j)) - 16);
    x[j + 16] = d * static_cast<float>(((b.qs[j] >> 4) | fifth_bit(b.qh, j + 16)) - 16);
  }
}

void dequantize(const BlockQ5_1& b, float* x) {
  const float d = f16_to_f32(b.d);
  const float m = f16_to_f32(b.m);
  for (int j = 0; j < 16; ++j) {
    x[j] = d * static_cast<float>((b.qs[j] & 15) | fifth_bit(b.qh, j)) + m;
    x[j + 16] = d * static_cast<float>((b.qs[j] >> 4) | fifth_bit(b.qh, j + 16)) + m;
  }
}

void dequantize(const BlockQ8_0& b, float* x) {
  const float d = f16_to_f32(b.d);
  for (int j = 0; j < 32; ++j) x[j] = d * static_cast<float>(b.qs[j]);
}

void dequantize(const BlockQ4_K& b, float* x) {
  const float d = f16_to_f32(b.d);
  const float dmin = f16_to_f32(b.dmin);
  for (int s = 0; s < 8; ++s) {
    const ScaleMin sm = scale_min_k4(b.scales, s);
    const float scale = d * static_cast<float>(sm.scale);
    const float min = dmin * static_cast<float>(sm.min);
    const uint8_t* qs = b.qs + 32 * (s / 2);
    const int shift = 4 * (s % 2);
    for (int j = 0; j < 32; ++j) x[32 * s + j] = scale * static_cast<float>((qs[j] >> shift) & 15) - min;
  }
}

void dequantize(const BlockQ5_K& b, float* x) {
  const float d = f16_to_f32(b.d);
  const float dmin = f16_to_f32(b.dmin);
  for (int s = 0; s < 8; ++s) {
    const ScaleMin sm = scale_min_k4(b.scales, s);
    const float scale = d * static_cast<float>(sm.scale);
    const float min = dmin * static_cast<float>(sm.min);
    const uint8_t* qs = b.qs + 32 * (s / 2);
    const int shift = 4 * (s % 2);
    for (int j = 0; j < 32; ++j) {
      const int q = ((qs[j] >> shift) & 15) | (((b.qh[j] >> s) & 1) << 4);
      x[32 * s + j] = scale * static_cast<float>(q) - min;
    }
  }
}

void dequantize(const BlockQ6_K& b, float* x) {
  const float d = f16_to_f32(b.d);
  for (int s = 0; s < 16; ++s) {
    const float scale = d * static_cast<float>(b.scales[s]);
    const int half = s / 8;
    const int in_half = 16 * (s % 8);  // of this sub-block's first element
    const uint8_t* ql = b.ql + 64 * half + in_half % 64;
    const uint8_t* qh = b.qh + 32 * half + in_half % 32;
    const int low_shift = 4 * (in_half / 64);
    const int high_shift = 2 * (in_half / 32);
    for (int j = 0; j < 16; ++j) {
      const int q = ((ql[j] >> low_shift) & 15) | (((qh[j] >> high_shift) & 3) << 4);
      x[16 * s + j] = scale * static_cast<float>(q - 32);
    }
  }
}

template <class Block>
void dequantize_blocks(const void* src, int64_t n, int64_t block_elements, float* dst) {
  const std::byte* bytes = static_cast<const std::byte*>(src);
  for (int64_t i = 0; i < n / block_elements; ++i) {
    Block block;
    std::memcpy(&block, bytes + i * static_cast<int64_t>(sizeof(Block)), sizeof(Block));
    dequantize(block, dst + i * block_elements);
  }
}

template <class Convert>
void convert_halves(const void* src, int64_t n, float* dst, Convert convert) {
  const std::byte* bytes = static_cast<const std::byte*>(src);
  for (int64_t i = 0; i < n; ++i) {
    uint16_t bits = 0;
    std::memcpy(&bits, bytes + 2 * i, sizeof(bits));
    dst[i] = convert(bits);
  }
}

}  // namespace

void dequantize_row(ElementType type, const void* src, int64_t n, float* dst) {
  const int64_t block = element_type_info(type).block_elements;
  BATCHWRIGHT_CHECK(n >= 0 && n % block == 0);
  if (n == 0) return;
  switch (type) {
    case ElementType::kF32:
      std::memcpy(dst, src, static_cast<size_t>(n) * sizeof(float));
      return;
    case ElementType::kF16:
      return convert_halves(src, n, dst, [](uint16_t h) { return f16_to_f32(h); });
    case ElementType::kBF16:
      return convert_halves(src, n, dst, [](uint16_t h) { return bf16_to_f32(h); });
    case ElementType::kQ4_0:
      return dequantize_blocks<BlockQ4_0>(src, n, block, dst);
    case ElementType::kQ4_1:
      return dequantize_blocks<BlockQ4_1>(src, n, block, dst);
    case ElementType::kQ5_0:
      return dequantize_blocks<BlockQ5_0>(src, n, block, dst);
    case ElementType::kQ5_1:
      return dequantize_blocks<BlockQ5_1>(src, n, block, dst);
    case ElementType::kQ8_0:
      return dequantize_blocks<BlockQ8_0>(src, n, block, dst);
    case ElementType::kQ4_K:
      return dequantize_blocks<BlockQ4_K>(src, n, block, dst);
    case ElementType::kQ5_K:
      return dequantize_blocks<BlockQ5_K>(src, n, block, dst);
    case ElementType::kQ6_K:
      return dequantize_blocks<BlockQ6_K>(src, n, block, dst);
  }
}

}  // namespace batchwright

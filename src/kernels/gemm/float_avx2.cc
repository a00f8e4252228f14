// F32, F16 and BF16 weights with AVX2: tiles of up to 6 rows x 16 columns, a part of k at a time so that it stays in
// the first-level cache. One fma an output and k, ascending.
#include <immintrin.h>

#include "kernels/gemm/format_kernels.h"
#include "kernels/gemm/layout.h"
#include "kernels/gemm/store_avx2.h"

namespace batchwright {
namespace {

constexpr int64_t kPart = 256;  // of k: 16 KiB of f32 weights
static_assert(kPart * kPanelWidth * sizeof(float) <= kUnpackedBytes);

template <int kRows>
void tile(const float* w, int64_t k, const float* x, int64_t x_stride, float* sums) {
  __m256 acc[kRows][2];
#pragma GCC unroll 6
  for (int r = 0; r < kRows; ++r) {
    acc[r][0] = _mm256_loadu_ps(sums + r * kPanelWidth);
    acc[r][1] = _mm256_loadu_ps(sums + r * kPanelWidth + 8);
  }
  for (int64_t i = 0; i < k; ++i, w += kPanelWidth) {
    const __m256 w0 = _mm256_loadu_ps(w);
    const __m256 w1 = _mm256_loadu_ps(w + 8);
#pragma GCC unroll 6
    for (int r = 0; r < kRows; ++r) {
      const __m256 xi = _mm256_set1_ps(x[r * x_stride + i]);
      acc[r][0] = _mm256_fmadd_ps(w0, xi, acc[r][0]);
      acc[r][1] = _mm256_fmadd_ps(w1, xi, acc[r][1]);
    }
  }
#pragma GCC unroll 6
  for (int r = 0; r < kRows; ++r) {
    _mm256_storeu_ps(sums + r * kPanelWidth, acc[r][0]);
    _mm256_storeu_ps(sums + r * kPanelWidth + 8, acc[r][1]);
  }
}

// Each gives the part of a panel that starts at `begin` as f32, in `buffer` where it must be converted.
struct F32 {
  static const float* part(const uint8_t* panel, int64_t begin, int64_t, float*) {
    return reinterpret_cast<const float*>(panel) + begin * kPanelWidth;
  }
};

struct F16 {
  static const float* part(const uint8_t* panel, int64_t begin, int64_t k, float* buffer) {
    const auto* in = reinterpret_cast<const uint16_t*>(panel) + begin * kPanelWidth;
    for (int64_t i = 0; i < k * kPanelWidth; i += 8) {
      _mm256_storeu_ps(buffer + i, _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(in + i))));
    }
    return buffer;
  }
};

struct BF16 {
  static const float* part(const uint8_t* panel, int64_t begin, int64_t k, float* buffer) {
    const auto* in = reinterpret_cast<const uint16_t*>(panel) + begin * kPanelWidth;
    for (int64_t i = 0; i < k * kPanelWidth; i += 8) {
      const __m128i half = _mm_loadu_si128(reinterpret_cast<const __m128i*>(in + i));
      _mm256_storeu_ps(buffer + i, _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(half), 16)));
    }
    return buffer;
  }
};

template <class Format>
void run(const RawGemm& g) {
  auto* buffer = static_cast<float*>(g.scratch);
  auto* sums = reinterpret_cast<float*>(static_cast<uint8_t*>(g.scratch) + kUnpackedBytes);
  const auto* x = static_cast<const float*>(g.activations);
  for (int64_t p = g.panel_begin; p < g.panel_end; ++p) {
    const uint8_t* panel = g.panels + static_cast<size_t>(p) * g.panel_bytes;
    for (int64_t i = 0; i < g.rows * kPanelWidth; i += 8) _mm256_storeu_ps(sums + i, _mm256_setzero_ps());
    for (int64_t begin = 0; begin < g.k; begin += kPart) {
      const int64_t part = g.k - begin < kPart ? g.k - begin : kPart;
      const float* w = Format::part(panel, begin, part, buffer);
      for (int64_t row = 0; row < g.rows;) {
        const float* xr = x + row * g.k + begin;
        float* s = sums + row * kPanelWidth;
        const int64_t left = g.rows - row;
        if (left >= 6) {
          tile<6>(w, part, xr, g.k, s);
          row += 6;
        } else if (left >= 4) {
          tile<4>(w, part, xr, g.k, s);
          row += 4;
        } else if (left >= 2) {
          tile<2>(w, part, xr, g.k, s);
          row += 2;
        } else {
          tile<1>(w, part, xr, g.k, s);
          row += 1;
        }
      }
    }
    store_panel(g, p, sums);
  }
}

}  // namespace

const FloatFormatKernels kFloatAvx2 = {run<F32>, run<F16>, run<BF16>};

}  // namespace batchwright

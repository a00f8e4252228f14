// F32, F16 and BF16 weights with AVX-512, driven as in float_avx2.cc: tiles of up to 12 rows x 16 columns. One fma an
// output and k, ascending; the bf16 dot products of later processors round otherwise and are not used.
#include <immintrin.h>

#include "kernels/gemm/format_kernels.h"
#include "kernels/gemm/layout.h"
#include "kernels/gemm/store_avx512.h"

namespace batchwright {
namespace {

constexpr int64_t kPart = 256;  // of k: 16 KiB of f32 weights
static_assert(kPart * kPanelWidth * sizeof(float) <= kUnpackedBytes);

template <int kRows>
void tile(const float* w, int64_t k, const float* x, int64_t x_stride, float* sums) {
  __m512 acc[kRows];
#pragma GCC unroll 12
  for (int r = 0; r < kRows; ++r) acc[r] = _mm512_loadu_ps(sums + r * kPanelWidth);
  for (int64_t i = 0; i < k; ++i, w += kPanelWidth) {
    const __m512 wi = _mm512_loadu_ps(w);
#pragma GCC unroll 12
    for (int r = 0; r < kRows; ++r) acc[r] = _mm512_fmadd_ps(wi, _mm512_set1_ps(x[r * x_stride + i]), acc[r]);
  }
#pragma GCC unroll 12
  for (int r = 0; r < kRows; ++r) _mm512_storeu_ps(sums + r * kPanelWidth, acc[r]);
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
    for (int64_t i = 0; i < k * kPanelWidth; i += 16) {
      _mm512_storeu_ps(buffer + i, _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(in + i))));
    }
    return buffer;
  }
};

struct BF16 {
  static const float* part(const uint8_t* panel, int64_t begin, int64_t k, float* buffer) {
    const auto* in = reinterpret_cast<const uint16_t*>(panel) + begin * kPanelWidth;
    for (int64_t i = 0; i < k * kPanelWidth; i += 16) {
      const __m256i half = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(in + i));
      _mm512_storeu_ps(buffer + i, _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16)));
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
    for (int64_t row = 0; row < g.rows; ++row) _mm512_store_ps(sums + row * kPanelWidth, _mm512_setzero_ps());
    for (int64_t begin = 0; begin < g.k; begin += kPart) {
      const int64_t part = g.k - begin < kPart ? g.k - begin : kPart;
      const float* w = Format::part(panel, begin, part, buffer);
      for (int64_t row = 0; row < g.rows;) {
        const float* xr = x + row * g.k + begin;
        float* s = sums + row * kPanelWidth;
        const int64_t left = g.rows - row;
        if (left >= 12) {
          tile<12>(w, part, xr, g.k, s);
          row += 12;
        } else if (left >= 8) {
          tile<8>(w, part, xr, g.k, s);
          row += 8;
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

const FloatFormatKernels kFloatAvx512 = {run<F32>, run<F16>, run<BF16>};

}  // namespace batchwright

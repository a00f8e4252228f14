// F32, F16 and BF16 weights with AVX-512, driven as in float_avx2.cc: tiles of up to 8 rows x 2 panels. One fma an
// output and k, ascending; the bf16 dot products of later processors round otherwise and are not used.
#include <immintrin.h>

#include "kernels/gemm/format_kernels.h"
#include "kernels/gemm/layout.h"
#include "kernels/gemm/store_avx512.h"

namespace batchwright {
namespace {

constexpr int64_t kPart = 192;  // of k: two panels are 24 KiB of f32 weights
static_assert(2 * kPart * kPanelWidth * sizeof(float) <= kUnpackedBytes);

// kRows x kPanels registers of sums; the panels' weights at w[p], their sums at sums[p * panel_stride].
template <int kRows, int kPanels>
void tile(const float* const (&w)[kPanels], int64_t k, const float* x, int64_t x_stride, float* sums,
          int64_t panel_stride) {
  __m512 acc[kRows][kPanels];
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 2
    for (int p = 0; p < kPanels; ++p) acc[r][p] = _mm512_load_ps(sums + p * panel_stride + r * kPanelWidth);
  }
  for (int64_t i = 0; i < k; ++i) {
    __m512 wi[kPanels];
#pragma GCC unroll 2
    for (int p = 0; p < kPanels; ++p) wi[p] = _mm512_loadu_ps(w[p] + i * kPanelWidth);
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      const __m512 xi = _mm512_set1_ps(x[r * x_stride + i]);
#pragma GCC unroll 2
      for (int p = 0; p < kPanels; ++p) acc[r][p] = _mm512_fmadd_ps(wi[p], xi, acc[r][p]);
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 2
    for (int p = 0; p < kPanels; ++p) _mm512_store_ps(sums + p * panel_stride + r * kPanelWidth, acc[r][p]);
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

template <class Format, int kPanels>
void run_panels(const RawGemm& g, int64_t panel) {
  auto* buffer = static_cast<float*>(g.scratch);
  auto* sums = reinterpret_cast<float*>(static_cast<uint8_t*>(g.scratch) + kUnpackedBytes);
  const auto* x = static_cast<const float*>(g.activations);
  const int64_t stride = g.rows * kPanelWidth;
  for (int64_t i = 0; i < kPanels * stride; i += 16) _mm512_store_ps(sums + i, _mm512_setzero_ps());
  for (int64_t begin = 0; begin < g.k; begin += kPart) {
    const int64_t part = g.k - begin < kPart ? g.k - begin : kPart;
    const float* w[kPanels];
    for (int p = 0; p < kPanels; ++p) {
      w[p] = Format::part(g.panels + static_cast<size_t>(panel + p) * g.panel_bytes, begin, part,
                          buffer + p * kPart * kPanelWidth);
    }
    for (int64_t row = 0; row < g.rows;) {
      const float* xr = x + row * g.k + begin;
      float* s = sums + row * kPanelWidth;
      const int64_t left = g.rows - row;
      if (left >= 8) {
        tile<8>(w, part, xr, g.k, s, stride);
        row += 8;
      } else if (left >= 4) {
        tile<4>(w, part, xr, g.k, s, stride);
        row += 4;
      } else if (left >= 2) {
        tile<2>(w, part, xr, g.k, s, stride);
        row += 2;
      } else {
        tile<1>(w, part, xr, g.k, s, stride);
        row += 1;
      }
    }
  }
  for (int p = 0; p < kPanels; ++p) store_panel(g, panel + p, sums + p * stride);
}

template <class Format>
void run(const RawGemm& g) {
  int64_t p = g.panel_begin;
  for (; p + 2 <= g.panel_end; p += 2) run_panels<Format, 2>(g, p);
  if (p < g.panel_end) run_panels<Format, 1>(g, p);
}

}  // namespace

const FloatFormatKernels kFloatAvx512 = {run<F32>, run<F16>, run<BF16>};

}  // namespace batchwright

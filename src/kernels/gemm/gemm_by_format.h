// GemmKernels::run of a table of kernels by format. For this room and its tests only; not for files that are compiled
// for an instruction set.
#pragma once

#include "base/check.h"
#include "kernels/gemm/format_kernels.h"
#include "kernels/gemm/gemm.h"

namespace batchwright {

inline RawGemm take_apart(const GemmArgs& args) {
  const PackedWeights& w = *args.weights;
  BATCHWRIGHT_CHECK(0 <= args.panel_begin && args.panel_end <= w.panels());
  return {
      .panels = w.data.data(),
      .panel_bytes = packed_panel_bytes(w.type, w.k),
      .n = w.n,
      .k = w.k,
      .panel_begin = args.panel_begin,
      .panel_end = args.panel_end,
      .activations = args.activations,
      .rows = args.rows,
      .bias = args.bias,
      .out = args.out,
      .out_stride = args.out_stride,
      .out_first_column = args.out_first_column,
      .scratch = args.scratch,
  };
}

template <const QuantizedFormatKernels& kQuantized, const FloatFormatKernels& kFloat>
void gemm_by_format(const GemmArgs& args) {
  const RawGemm raw = take_apart(args);
  switch (args.weights->type) {
    case ElementType::kF32:
      return kFloat.f32(raw);
    case ElementType::kF16:
      return kFloat.f16(raw);
    case ElementType::kBF16:
      return kFloat.bf16(raw);
    case ElementType::kQ4_0:
      return kQuantized.q4_0(raw);
    case ElementType::kQ4_1:
      return kQuantized.q4_1(raw);
    case ElementType::kQ5_0:
      return kQuantized.q5_0(raw);
    case ElementType::kQ5_1:
      return kQuantized.q5_1(raw);
    case ElementType::kQ8_0:
      return kQuantized.q8_0(raw);
    case ElementType::kQ4_K:
      return kQuantized.q4_k(raw);
    case ElementType::kQ5_K:
      return kQuantized.q5_k(raw);
    case ElementType::kQ6_K:
      return kQuantized.q6_k(raw);
  }
}

}  // namespace batchwright

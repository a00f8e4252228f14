// The scalar definition of attention, and the table of its kernels.
#include "kernels/attention/attention.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "kernels/attention/attention_isa.h"
#include "kernels/math/math.h"
#include "platform/cpu.h"
#include "tensor/half.h"

namespace batchwright {
namespace {

constexpr int kLanes = 16;

// The visible positions of a block: indices [begin, end) within it, empty where begin >= end.
struct Visible {
  int begin;
  int end;
};

Visible visible_positions(int position, int window, int block) {
  const int64_t origin = int64_t{block} * kBlockPositions;
  const int64_t first = window > 0 ? int64_t{position} - window + 1 : 0;
  return {static_cast<int>(std::clamp<int64_t>(first - origin, 0, kBlockPositions)),
          static_cast<int>(std::clamp<int64_t>(position + 1 - origin, 0, kBlockPositions))};
}

// The block's K and V as f32: where they lie, or converted into `converted`.
const float* block_values(const void* block, KvFormat format, int dim, float* converted) {
  if (format == KvFormat::kF32) return static_cast<const float*>(block);
  const auto* halves = static_cast<const uint16_t*>(block);
  for (size_t i = 0; i < kv_head_block_elements(dim); ++i) converted[i] = f16_to_f32(halves[i]);
  return converted;
}

// One query against the visible positions of one block, merged into its state.
void attend(const AttentionArgs& args, const float* q, const float* k, Visible visible, float* state) {
  const float* v = k + static_cast<size_t>(args.dim) * kBlockPositions;
  float p[kBlockPositions] = {};
  for (int d = 0; d < args.dim; ++d) {
    for (int j = visible.begin; j < visible.end; ++j) p[j] = std::fma(q[d], k[d * kBlockPositions + j], p[j]);
  }
  float m_b = -std::numeric_limits<float>::infinity();
  for (int j = visible.begin; j < visible.end; ++j) {
    p[j] *= args.scale;
    if (args.soft_cap > 0.0F) p[j] = args.soft_cap * tanh_f32(p[j] / args.soft_cap);
    if (p[j] > m_b) m_b = p[j];
  }
  m_b += 0.0F;  // -0 becomes +0, so that the order of equals does not matter

  float lanes[kLanes] = {};
  float o_b[attention::kDimMax] = {};
  for (int j = visible.begin; j < visible.end; ++j) {
    p[j] = exp_f32(p[j] - m_b);
    lanes[j % kLanes] += p[j];
    for (int d = 0; d < args.dim; ++d) o_b[d] = std::fma(p[j], v[j * args.dim + d], o_b[d]);
  }
  for (int width = kLanes / 2; width > 0; width /= 2) {
    for (int i = 0; i < width; ++i) lanes[i] += lanes[i + width];
  }
  const float l_b = lanes[0];

  float& m = state[0];
  float& l = state[1];
  float* o = state + 2;
  if (l == 0.0F) {
    m = m_b;
    l = l_b;
    std::copy_n(o_b, args.dim, o);
    return;
  }
  const float merged = m_b > m ? m_b : m;
  const float c = exp_f32(m - merged);
  const float c_b = exp_f32(m_b - merged);
  m = merged;
  l = std::fma(l_b, c_b, l * c);
  for (int d = 0; d < args.dim; ++d) o[d] = std::fma(o_b[d], c_b, o[d] * c);
}

void run_scalar(const AttentionArgs& args) {
  auto* converted = static_cast<float*>(args.scratch);
  for (size_t b = 0; b < args.blocks.size(); ++b) {
    const float* values = nullptr;
    for (const int32_t row : args.rows) {
      const Visible visible =
          visible_positions(args.positions[row], args.window, args.first_block + static_cast<int>(b));
      if (visible.begin >= visible.end) continue;
      if (values == nullptr) values = block_values(args.blocks[b], args.format, args.dim, converted);
      for (int head = args.head_begin; head < args.head_begin + args.head_count; ++head) {
        attend(args, args.q + row * args.q_stride + int64_t{head} * args.dim, values, visible,
               args.state +
                   (int64_t{row} * args.state_heads + head) * static_cast<int64_t>(attention_state_floats(args.dim)));
      }
    }
  }
}

void finish_scalar(const float* state, int heads, int dim, float* out) {
  for (int head = 0; head < heads; ++head) {
    const float l = state[1];
    for (int d = 0; d < dim; ++d) out[d] = state[2 + d] / l;
    state += attention_state_floats(dim);
    out += dim;
  }
}

void store_position(KvFormat format, const float* k, const float* v, int dim, int offset, void* block) {
  if (format == KvFormat::kF32) {
    auto* keys = static_cast<float*>(block);
    float* values = keys + dim * kBlockPositions;
    for (int d = 0; d < dim; ++d) keys[d * kBlockPositions + offset] = k[d];
    std::copy_n(v, dim, values + offset * dim);
    return;
  }
  auto* keys = static_cast<uint16_t*>(block);
  uint16_t* values = keys + dim * kBlockPositions;
  for (int d = 0; d < dim; ++d) keys[d * kBlockPositions + offset] = f32_to_f16(k[d]);
  for (int d = 0; d < dim; ++d) values[offset * dim + d] = f32_to_f16(v[d]);
}

// Reads the spans here, in a file of the baseline set.
attention::Task plain_task(const AttentionArgs& args) {
  return {.is_f16 = args.format == KvFormat::kF16,
          .dim = args.dim,
          .scale = args.scale,
          .soft_cap = args.soft_cap,
          .window = args.window,
          .rows = args.rows.data(),
          .row_count = static_cast<int64_t>(args.rows.size()),
          .positions = args.positions,
          .head_begin = args.head_begin,
          .head_count = args.head_count,
          .q = args.q,
          .q_stride = args.q_stride,
          .blocks = args.blocks.data(),
          .block_count = static_cast<int64_t>(args.blocks.size()),
          .after = args.after,
          .first_block = args.first_block,
          .state = args.state,
          .state_heads = args.state_heads,
          .scratch = args.scratch};
}

template <void (*kRun)(const attention::Task&)>
void run_task(const AttentionArgs& args) {
  kRun(plain_task(args));
}

void store_scalar(KvFormat format, const float* k, const float* v, int64_t stride, int count, int dim, int offset,
                  void* block) {
  for (int i = 0; i < count; ++i) store_position(format, k + i * stride, v + i * stride, dim, offset + i, block);
}

void store_avx2(KvFormat format, const float* k, const float* v, int64_t stride, int count, int dim, int offset,
                void* block) {
  attention::store_avx2(format == KvFormat::kF16, k, v, stride, count, dim, offset, block);
}

constexpr AttentionKernels kTable[] = {
    {Isa::kScalar, run_scalar, finish_scalar, store_scalar},
    {Isa::kAvx2, run_task<attention::run_avx2>, attention::finish_avx2, store_avx2},
    {Isa::kAvx512, run_task<attention::run_avx512>, attention::finish_avx512, store_avx2},
};

}  // namespace

size_t attention_scratch_bytes() { return sizeof(attention::Scratch); }

const AttentionKernels& attention_kernels(Isa isa) {
  const AttentionKernels* chosen = &kTable[0];
  for (const AttentionKernels& kernels : kTable) {
    if (includes(isa, kernels.isa)) chosen = &kernels;
  }
  return *chosen;
}

std::span<const AttentionKernels> all_attention_kernels() { return kTable; }

}  // namespace batchwright

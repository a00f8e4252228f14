// Attention of groups of queries over blocks of the paged KV cache.
//
// The canonical order (docs/numerics.md): KV is cut at absolute multiples of 64 positions. For a query row at position
// t, a head and a block, the visible positions are [max(0, t - window + 1), t] within the block (window 0: no lower
// bound); each yields
//   s = scale * dot(q, k), the dot by fma in ascending dimension from +0;  soft cap: s = cap * tanh(s / cap)
//   m_b = max s;  p = exp(s - m_b);  l_b = lane sum of p (lane = position mod 16, then i+8, i+4, i+2, i+1)
//   o_b = fma(p, v, o_b) in ascending position from +0
// (max passes NaN over and gives +0 for -0; the p of a NaN is NaN)
// and blocks merge in ascending order into the row's state:
//   m' = max(m, m_b);  c = exp(m - m'), c_b = exp(m_b - m');  l = fma(l_b, c_b, l * c);  o = fma(o_b, c_b, o * c)
// where the first visible block is copied and a block without visible positions is skipped. The result is o / l.
// Invisible positions are never read into a result, whatever bytes lie there. exp and tanh are those of math/math.h.
//
// Groups as in Hydragen (Juravsky et al. 2024): many rows, of one sequence or of several that share the pages, meet a
// block at once, so that both products are matrix products.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "batchwright/options.h"

namespace batchwright {

// Positions of a block, and of a page.
inline constexpr int kBlockPositions = 64;

// K and V of one head in one page: K [dim][64] (dimension-major), then V [64][dim], in the page's element format.
inline size_t kv_head_block_elements(int dim) { return size_t{2} * kBlockPositions * static_cast<size_t>(dim); }
inline size_t kv_element_bytes(KvFormat format) { return format == KvFormat::kF16 ? 2 : 4; }
inline size_t kv_head_block_bytes(int dim, KvFormat format) {
  return kv_head_block_elements(dim) * kv_element_bytes(format);
}

// The running state of one (row, head): m, l, o[dim]. l == 0 says that no block was visible yet.
inline size_t attention_state_floats(int dim) { return 2 + static_cast<size_t>(dim); }

struct AttentionArgs {
  KvFormat format = KvFormat::kF16;
  int dim = 0;  // a multiple of 8, at most 256
  float scale = 1.0F;
  float soft_cap = 0.0F;  // 0: none
  int window = 0;         // 0: all earlier positions

  // Query rows of the group: indices into the step's rows, with ascending or equal positions in any order.
  std::span<const int32_t> rows;
  const int32_t* positions = nullptr;  // positions[row] of every row of the step

  // Query heads [head_begin, head_begin + head_count) share the KV head whose blocks are given.
  int head_begin = 0;
  int head_count = 0;
  const float* q = nullptr;  // head h of row r: q + r * q_stride + h * dim
  int64_t q_stride = 0;

  // Blocks first_block, first_block + 1, ... of that KV head: each points to kv_head_block_bytes.
  std::span<const void* const> blocks;
  int first_block = 0;
  // The block that this worker will probably need after them: it is brought nearer. May be null.
  const void* after = nullptr;

  // State of (row, head): state + (row * state_heads + head) * attention_state_floats(dim). Continued, not reset.
  float* state = nullptr;
  int state_heads = 0;

  // attention_scratch_bytes() of them, 64-byte aligned, of one worker alone.
  void* scratch = nullptr;
};

// However many queries: they pass in tiles.
size_t attention_scratch_bytes();

struct AttentionKernels {
  Isa isa;
  // Merges the given blocks into the states of all rows x heads of the group.
  void (*run)(const AttentionArgs& args);
  // out[i] = o[i] / l for the dim values of each of `heads` consecutive states; out is contiguous.
  void (*finish)(const float* state, int heads, int dim, float* out);
  // Stores K and V (dim values each, rounded to nearest even) of `count` positions at offset, offset + 1, ... (0..63)
  // of a head's block: position i's at k + i * stride and v + i * stride.
  void (*store)(KvFormat format, const float* k, const float* v, int64_t stride, int count, int dim, int offset,
                void* block);
};

const AttentionKernels& attention_kernels(Isa isa);
std::span<const AttentionKernels> all_attention_kernels();

}  // namespace batchwright

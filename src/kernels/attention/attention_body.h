// Attention over the registers of an instruction set V; bit-equal to attention.cc. Only files compiled for an
// instruction set include this.
//
// Both products, S = Q K over positions and O = P V over dimensions, are the same one: a row of scalars times rows of
// B, every output its own chain of fma in ascending order. The queries of a tile share each load of B (and its
// conversion from f16); with many tiles the block is converted once instead. With few, as where one row's heads meet
// pages of its own, conversion costs nothing beside the fma, and what counts is that the next block comes in time.
#pragma once

#include "kernels/attention/attention_isa.h"
#include "kernels/math/vector_math.h"

namespace batchwright::attention {
namespace {

// From so many tiles on, a block of f16 is converted once into scratch.
constexpr int64_t kTilesToConvert = 3;

// out[r][c * lanes ...] (+)= sum over k in [k_begin, k_end) of a[r][k] * b[k][c * lanes ...], from +0 where `fresh`.
// As many bytes as are read of b are fetched from `ahead` on, one line after the other: a part of the next block.
template <class V, int R, int C, bool kAhead, class T>
[[gnu::always_inline]] inline void product_tile(const float* const* a, const T* b, int64_t b_stride, int k_begin,
                                                int k_end, float* out, int64_t out_stride, bool fresh,
                                                const char* ahead) {
  using F = typename V::F;
  constexpr int kLanes = V::kLanes;
  F acc[R][C];
  const float* scalars[R];
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r) {
    scalars[r] = a[r];
#pragma GCC unroll 16
    for (int c = 0; c < C; ++c) acc[r][c] = fresh ? V::zero() : V::load(out + r * out_stride + c * kLanes);
  }
  b += k_begin * b_stride;
  constexpr int kBytes = C * kLanes * static_cast<int>(sizeof(T));
  for (int64_t k = k_begin; k < k_end; ++k, b += b_stride) {
    if constexpr (kAhead) {
#pragma GCC unroll 16
      for (int line = 0; line < kBytes; line += 64) _mm_prefetch(ahead + line, _MM_HINT_T0);
      ahead += kBytes;
    }
    if constexpr (R * C + C + 1 <= V::kRegisters) {
      F values[C];
#pragma GCC unroll 16
      for (int c = 0; c < C; ++c) values[c] = V::load(b + c * kLanes);
#pragma GCC unroll 16
      for (int r = 0; r < R; ++r) {
        const F scalar = V::broadcast(scalars[r] + k);
#pragma GCC unroll 16
        for (int c = 0; c < C; ++c) acc[r][c] = V::fma(scalar, values[c], acc[r][c]);
      }
    } else {
      F scalar[R];
#pragma GCC unroll 16
      for (int r = 0; r < R; ++r) scalar[r] = V::broadcast(scalars[r] + k);
#pragma GCC unroll 16
      for (int c = 0; c < C; ++c) {
        const F value = V::load(b + c * kLanes);
#pragma GCC unroll 16
        for (int r = 0; r < R; ++r) acc[r][c] = V::fma(scalar[r], value, acc[r][c]);
      }
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 16
    for (int c = 0; c < C; ++c) V::store(out + r * out_stride + c * kLanes, acc[r][c]);
  }
}

// Registers of columns beside R rows: enough independent chains to hide the latency of fma, few enough to need no
// spills.
template <class V, int R>
constexpr int columns_of() {
  if (V::kRegisters == 32) return R == 1 ? 16 : (R == 2 ? 8 : (R <= 6 ? 4 : 2));
  return R == 1 ? 8 : (R <= 3 ? 4 : (R == 4 ? 3 : 2));
}

// The product for columns [begin, end), a multiple of 8.
template <class V, int R, bool kAhead, class T>
void product_columns(const float* const* a, const T* b, int64_t b_stride, int k_begin, int k_end, float* out,
                     int64_t out_stride, int begin, int end, bool fresh, const char* ahead) {
  constexpr int kWide = columns_of<V, R>();
  const auto ahead_of = [=](int column) {
    return ahead + (kAhead ? int64_t{column - begin} * (k_end - k_begin) * static_cast<int>(sizeof(T)) : 0);
  };
  int column = begin;
  for (; column + kWide * V::kLanes <= end; column += kWide * V::kLanes) {
    product_tile<V, R, kWide, kAhead>(a, b + column, b_stride, k_begin, k_end, out + column, out_stride, fresh,
                                      ahead_of(column));
  }
  if constexpr (kWide > 8) {
    if (column + 8 * V::kLanes <= end) {
      product_tile<V, R, 8, kAhead>(a, b + column, b_stride, k_begin, k_end, out + column, out_stride, fresh,
                                    ahead_of(column));
      column += 8 * V::kLanes;
    }
  }
  if constexpr (kWide > 4) {
    if (column + 4 * V::kLanes <= end) {
      product_tile<V, R, 4, kAhead>(a, b + column, b_stride, k_begin, k_end, out + column, out_stride, fresh,
                                    ahead_of(column));
      column += 4 * V::kLanes;
    }
  }
  if constexpr (kWide > 2) {
    if (column + 2 * V::kLanes <= end) {
      product_tile<V, R, 2, kAhead>(a, b + column, b_stride, k_begin, k_end, out + column, out_stride, fresh,
                                    ahead_of(column));
      column += 2 * V::kLanes;
    }
  }
  if (column + V::kLanes <= end) {
    product_tile<V, R, 1, kAhead>(a, b + column, b_stride, k_begin, k_end, out + column, out_stride, fresh,
                                  ahead_of(column));
    column += V::kLanes;
  }
  if (column < end) {
    product_tile<Avx2, R, 1, kAhead>(a, b + column, b_stride, k_begin, k_end, out + column, out_stride, fresh,
                                     ahead_of(column));
  }
}

template <class V, bool kAhead, class T>
void product(int rows, const float* const* a, const T* b, int64_t b_stride, int k_begin, int k_end, float* out,
             int64_t out_stride, int begin, int end, bool fresh, const char* ahead) {
  switch (rows) {
    case 1:
      // A wide row's columns in short runs of k, so that memory is read in order.
      if (end - begin > columns_of<V, 1>() * V::kLanes) {
        constexpr int kRun = 16;
        for (; k_begin + kRun < k_end; k_begin += kRun, fresh = false) {
          product_columns<V, 1, kAhead>(a, b, b_stride, k_begin, k_begin + kRun, out, out_stride, begin, end, fresh,
                                        ahead);
          if (kAhead) ahead += int64_t{kRun} * (end - begin) * static_cast<int>(sizeof(T));
        }
      }
      return product_columns<V, 1, kAhead>(a, b, b_stride, k_begin, k_end, out, out_stride, begin, end, fresh, ahead);
    case 2:
      return product_columns<V, 2, kAhead>(a, b, b_stride, k_begin, k_end, out, out_stride, begin, end, fresh, ahead);
    case 3:
      return product_columns<V, 3, kAhead>(a, b, b_stride, k_begin, k_end, out, out_stride, begin, end, fresh, ahead);
    case 4:
      return product_columns<V, 4, kAhead>(a, b, b_stride, k_begin, k_end, out, out_stride, begin, end, fresh, ahead);
    case 5:
      return product_columns<V, 5, kAhead>(a, b, b_stride, k_begin, k_end, out, out_stride, begin, end, fresh, ahead);
    case 6:
      return product_columns<V, 6, kAhead>(a, b, b_stride, k_begin, k_end, out, out_stride, begin, end, fresh, ahead);
    default:
      if constexpr (V::kRegisters == 32) {
        if (rows == 7) {
          return product_columns<V, 7, kAhead>(a, b, b_stride, k_begin, k_end, out, out_stride, begin, end, fresh,
                                               ahead);
        }
        return product_columns<V, 8, kAhead>(a, b, b_stride, k_begin, k_end, out, out_stride, begin, end, fresh, ahead);
      }
      // Of 16 registers too few for all: the rest reads the block once more, from the first-level cache.
      product_columns<V, 4, kAhead>(a, b, b_stride, k_begin, k_end, out, out_stride, begin, end, fresh, ahead);
      return product<V, false>(rows - 4, a + 4, b, b_stride, k_begin, k_end, out + 4 * out_stride, out_stride, begin,
                               end, fresh, nullptr);
  }
}

// Queries that meet a block together; each sees positions [begin, end) of it.
struct Tile {
  int count = 0;
  const float* q[kTileQueries];
  float* state[kTileQueries];
  int begin[kTileQueries];
  int end[kTileQueries];
};

// Turns dots into scores in place and returns m_b. Positions outside [begin, end) become -inf.
template <class V, bool kWhole>
[[gnu::always_inline]] inline float score(const Task& task, float* p, int begin, int end) {
  using F = typename V::F;
  const int first = kWhole ? 0 : begin / 16 * 16;
  const int last = kWhole ? kPositions : (end + 15) / 16 * 16;
  const F scale = V::set1(task.scale);
  const F lowest = V::set1(-__builtin_inff());
  F largest = lowest;
#pragma GCC unroll 8
  for (int i = first; i < last; i += V::kLanes) {
    F s = V::mul(V::load(p + i), scale);
    if (task.soft_cap > 0.0F) {
      const F cap = V::set1(task.soft_cap);
      s = V::mul(cap, tanh_vector<V>(V::div(s, cap)));
    }
    if (!kWhole) s = V::select(V::lanes_between(begin - i, end - i), s, lowest);
    V::store(p + i, s);
    largest = V::max(s, largest);
  }
  return V::largest(largest) + 0.0F;
}

// Turns scores into p in place and returns l_b. A score of -inf adds +0 to its lane.
template <class V, bool kWhole>
[[gnu::always_inline]] inline float weigh(float* p, float m, int begin, int end) {
  using F = typename V::F;
  constexpr int kRegisters = 16 / V::kLanes;
  const int first = kWhole ? 0 : begin / 16 * 16;
  const int last = kWhole ? kPositions : (end + 15) / 16 * 16;
  const F m_all = V::set1(m);
  F lanes[kRegisters];
  for (auto& lane : lanes) lane = V::zero();
#pragma GCC unroll 4
  for (int i = first; i < last; i += 16) {
#pragma GCC unroll 2
    for (int k = 0; k < kRegisters; ++k) {
      float* at = p + i + k * V::kLanes;
      const F e = exp_nonpositive_vector<V>(V::sub(V::load(at), m_all));
      V::store(at, e);
      lanes[k] = V::add(lanes[k], e);
    }
  }
  return V::tree_sum16(lanes);
}

// o_b of each query from its visible positions: those that all of the tile see together, before and after them each
// query for itself.
template <class V, bool kAhead, class T>
void weighted_values(const Tile& tile, const T* v, int dim, const float* p, float* o, const char* ahead) {
  int common_begin = 0;
  int common_end = kPositions;
  int lowest_begin = kPositions;
  for (int r = 0; r < tile.count; ++r) {
    common_begin = tile.begin[r] > common_begin ? tile.begin[r] : common_begin;
    lowest_begin = tile.begin[r] < lowest_begin ? tile.begin[r] : lowest_begin;
    common_end = tile.end[r] < common_end ? tile.end[r] : common_end;
  }
  const float* weights[kTileQueries];
  for (int r = 0; r < tile.count; ++r) weights[r] = p + r * kPositions;
  if (common_begin >= common_end) {
    for (int r = 0; r < tile.count; ++r) {
      product<V, false>(1, weights + r, v, dim, tile.begin[r], tile.end[r], o + r * dim, dim, 0, dim, true, nullptr);
    }
    return;
  }
  const bool fresh = lowest_begin == common_begin;
  if (!fresh) {
    for (int r = 0; r < tile.count; ++r) {
      product<V, false>(1, weights + r, v, dim, tile.begin[r], common_begin, o + r * dim, dim, 0, dim, true, nullptr);
    }
  }
  product<V, kAhead>(tile.count, weights, v, dim, common_begin, common_end, o, dim, 0, dim, fresh, ahead);
  for (int r = 0; r < tile.count; ++r) {
    if (tile.end[r] == common_end) continue;
    product<V, false>(1, weights + r, v, dim, common_end, tile.end[r], o + r * dim, dim, 0, dim, false, nullptr);
  }
}

// Merges (m_b, l_b, o_b) into a state; m is the larger maximum, c = exp(m_state - m), c_b = exp(m_b - m).
template <class V>
[[gnu::always_inline]] inline void merge(float* state, float m_b, float l_b, const float* o_b, int dim, float m,
                                         float c, float c_b) {
  float* o = state + 2;
  if (state[1] == 0.0F) {
    state[0] = m_b;
    state[1] = l_b;
    for (int d = 0; d < dim; d += 8) Avx2::store(o + d, Avx2::load(o_b + d));
    return;
  }
  state[0] = m;
  state[1] = __builtin_fmaf(l_b, c_b, state[1] * c);
  int d = 0;
  for (; d + V::kLanes <= dim; d += V::kLanes) {
    V::store(o + d, V::fma(V::load(o_b + d), V::set1(c_b), V::mul(V::load(o + d), V::set1(c))));
  }
  if (d < dim) {
    Avx2::store(o + d, Avx2::fma(Avx2::load(o_b + d), Avx2::set1(c_b), Avx2::mul(Avx2::load(o + d), Avx2::set1(c))));
  }
}

template <class V, bool kAhead, class T>
void attend(const Task& task, const T* k, const Tile& tile, const char* ahead) {
  auto* scratch = static_cast<Scratch*>(task.scratch);
  const int dim = task.dim;
  int lowest_begin = kPositions;
  int highest_end = 0;
  bool whole = true;
  for (int r = 0; r < tile.count; ++r) {
    lowest_begin = tile.begin[r] < lowest_begin ? tile.begin[r] : lowest_begin;
    highest_end = tile.end[r] > highest_end ? tile.end[r] : highest_end;
    whole = whole && tile.begin[r] == 0 && tile.end[r] == kPositions;
  }
  product<V, kAhead>(tile.count, tile.q, k, kPositions, 0, dim, scratch->p, kPositions, lowest_begin / 16 * 16,
                     (highest_end + 15) / 16 * 16, true, ahead);

  // One step for all queries of the tile after the other: the steps of one query wait for each other.
  float m_b[kTileQueries];
  float l_b[kTileQueries];
  float merged[kTileQueries];
  alignas(64) float exponents[16] = {};
  for (int r = 0; r < tile.count; ++r) {
    float* p = scratch->p + r * kPositions;
    m_b[r] = whole ? score<V, true>(task, p, 0, kPositions) : score<V, false>(task, p, tile.begin[r], tile.end[r]);
  }
  for (int r = 0; r < tile.count; ++r) {
    float* p = scratch->p + r * kPositions;
    l_b[r] = whole ? weigh<V, true>(p, m_b[r], 0, kPositions) : weigh<V, false>(p, m_b[r], tile.begin[r], tile.end[r]);
    const float m = tile.state[r][0];
    merged[r] = m_b[r] > m ? m_b[r] : m;
    exponents[r] = m - merged[r];
    exponents[8 + r] = m_b[r] - merged[r];
  }
  const int64_t keys = int64_t{dim} * kPositions;
  weighted_values<V, kAhead>(tile, k + keys, dim, scratch->p, scratch->o,
                             kAhead ? ahead + keys * static_cast<int>(sizeof(T)) : nullptr);
  for (int i = 0; i < 16; i += V::kLanes) V::store(exponents + i, exp_vector<V>(V::load(exponents + i)));
  for (int r = 0; r < tile.count; ++r) {
    merge<V>(tile.state[r], m_b[r], l_b[r], scratch->o + r * dim, dim, merged[r], exponents[r], exponents[8 + r]);
  }
}

// The positions of a block from `origin` on that a query at `position` sees; empty where begin >= end.
[[gnu::always_inline]] inline void visible(int position, int window, int64_t origin, int& begin, int& end) {
  const int64_t first = window > 0 ? int64_t{position} - window + 1 - origin : -origin;
  const int64_t last = int64_t{position} + 1 - origin;
  begin = static_cast<int>(first < 0 ? 0 : (first > kPositions ? kPositions : first));
  end = static_cast<int>(last < 0 ? 0 : (last > kPositions ? kPositions : last));
}

template <class V>
void attend_block(const Task& task, const void* block, const void* next, int64_t origin) {
  const int64_t state_floats = 2 + int64_t{task.dim};
  int64_t queries = 0;
  for (int64_t i = 0; i < task.row_count; ++i) {
    int begin = 0;
    int end = 0;
    visible(task.positions[task.rows[i]], task.window, origin, begin, end);
    queries += begin < end ? task.head_count : 0;
  }
  if (queries == 0) return;
  const int64_t widest = queries <= kTileQueries ? kTileQueries : kTileQueriesOfMany;
  const int64_t tiles = (queries + widest - 1) / widest;
  const int64_t most = (queries + tiles - 1) / tiles;

  const float* values = static_cast<const float*>(block);
  const uint16_t* halves = nullptr;
  if (task.is_f16 && tiles < kTilesToConvert) {
    halves = static_cast<const uint16_t*>(block);
  } else if (task.is_f16) {
    auto* converted = static_cast<Scratch*>(task.scratch)->values;
    const auto* from = static_cast<const uint16_t*>(block);
    for (int64_t i = 0; i < int64_t{2} * kPositions * task.dim; i += V::kLanes)
      V::store(converted + i, V::load(from + i));
    values = converted;
  }
  // The first tile brings the next block nearer, as it reads this one; where this one was converted, each tile does for
  // a part of it.
  const bool is_converted = values != block && halves == nullptr;
  const char* ahead = is_converted ? nullptr : static_cast<const char*>(next);
  const int64_t block_bytes = is_converted && next != block ? 4 * int64_t{kPositions} * task.dim : 0;
  int64_t fetched = 0;

  Tile tile;
  const auto flush = [&] {
    if (tile.count == 0) return;
    for (const int64_t end = fetched + block_bytes / tiles; fetched < end; fetched += 64) {
      _mm_prefetch(static_cast<const char*>(next) + fetched, _MM_HINT_T1);
    }
    const auto meet = [&](const auto* keys) {
      ahead != nullptr ? attend<V, true>(task, keys, tile, ahead) : attend<V, false>(task, keys, tile, nullptr);
    };
    halves != nullptr ? meet(halves) : meet(values);
    tile.count = 0;
    ahead = nullptr;
  };
  for (int64_t i = 0; i < task.row_count; ++i) {
    const int64_t row = task.rows[i];
    int begin = 0;
    int end = 0;
    visible(task.positions[row], task.window, origin, begin, end);
    if (begin >= end) continue;
    for (int head = task.head_begin; head < task.head_begin + task.head_count; ++head) {
      tile.q[tile.count] = task.q + row * task.q_stride + int64_t{head} * task.dim;
      tile.state[tile.count] = task.state + (row * task.state_heads + head) * state_floats;
      tile.begin[tile.count] = begin;
      tile.end[tile.count] = end;
      if (++tile.count == most) flush();
    }
  }
  flush();
}

template <class V>
void run(const Task& task) {
  for (int64_t b = 0; b < task.block_count; ++b) {
    const void* const after = task.after != nullptr ? task.after : task.blocks[b];
    const void* const next = b + 1 < task.block_count ? task.blocks[b + 1] : after;
    attend_block<V>(task, task.blocks[b], next, (task.first_block + b) * kPositions);
  }
}

template <class V>
void finish(const float* state, int heads, int dim, float* out) {
  for (int head = 0; head < heads; ++head, state += 2 + dim, out += dim) {
    int d = 0;
    for (; d + V::kLanes <= dim; d += V::kLanes) V::store(out + d, V::div(V::load(state + 2 + d), V::set1(state[1])));
    if (d < dim) Avx2::store(out + d, Avx2::div(Avx2::load(state + 2 + d), Avx2::set1(state[1])));
  }
}

}  // namespace
}  // namespace batchwright::attention

// Attention of each instruction set, as attention.h describes it; attention.cc puts them into the table.
// No std types here: files compiled for an instruction set include this.
#pragma once

#include <cstdint>

namespace batchwright::attention {

constexpr int kPositions = 64;  // of a block
constexpr int kDimMax = 256;
// Queries that meet a block together: at most, and where there are more of them.
constexpr int kTileQueries = 8;
constexpr int kTileQueriesOfMany = 6;

// AttentionArgs in plain pointers; the scratch is a Scratch.
struct Task {
  bool is_f16;
  int dim;
  float scale;
  float soft_cap;
  int window;
  const int32_t* rows;
  int64_t row_count;
  const int32_t* positions;
  int head_begin;
  int head_count;
  const float* q;
  int64_t q_stride;
  const void* const* blocks;
  int64_t block_count;
  const void* after;
  int first_block;
  float* state;
  int state_heads;
  void* scratch;
};

// What a worker needs beside the states: a block's K and V as f32, and a tile's p and o_b.
struct Scratch {
  alignas(64) float values[2 * kPositions * kDimMax];
  alignas(64) float p[kTileQueries * kPositions];
  alignas(64) float o[kTileQueries * kDimMax];
};

void run_avx2(const Task& task);
void finish_avx2(const float* state, int heads, int dim, float* out);
void store_avx2(bool is_f16, const float* k, const float* v, int64_t stride, int count, int dim, int offset,
                void* block);

void run_avx512(const Task& task);
void finish_avx512(const float* state, int heads, int dim, float* out);

}  // namespace batchwright::attention

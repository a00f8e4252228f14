// The argmax of matrix products without all of them. A rough product of every column, at nearly twice the speed, and a
// proven bound on its error rule most columns out; the others are computed by the full kernel. So the value and the
// column are those of computing all: a column is left out only where it is proven to lie below one that was computed.
//
// Q8_0. With x = w + 128 = 8 h + l, h its upper five bits and l in 0..7: w = 8 (h - 15.5) + r, r = l - 4. Over the
// blocks b of a row, real numbers, with a = d_a q and the weights' scale d:
//   S = sum d_a d I,   I = sum q w           what the canonical product y rounds
//   T = sum d_a d 8 J, J = sum q (h - 15.5)  rounded to a whole number, by at most 1: what the rough product t rounds
// h - 15.5 has five bits, so that J costs what a Q5_0 weight costs.
//
// Claim: |y - t| <= N C for the row's bound N and the column's bound C. Write |.| for the Euclidean norm over all k,
// D for that of the scales d over the blocks, B for the number of blocks, u = 2^-24.
//   1. S - T = sum d_a d (sum q r - 8 e), |e| <= 1. By Cauchy and Schwarz |sum d_a d q r| <= |a| |d r|, and
//      sum |d_a d| <= |d_a| D <= |a| D / 127, as a block with d_a > 0 has a q of +-127. So |S - T| <= |a| (|d r| + D /
//      15).
//   2. y and t are B steps of acc = fma(n, fl(d_a d), acc). Each rounds by a factor within 1 +- u, or, where it is
//      subnormal, by at most 2^-150; so |y - S| <= ((1 + u)^(B + 1) - 1) sum |d_a d I| + B 2^-129, and the same with T
//      and 8 J. As |w| <= 128, sum |d_a d I| <= |a| 128 sqrt(32) D < 725 |a| D; as |8 (h - 15.5)| <= 124, the sum of
//      |d_a d 8 J| is below 725 |a| D too. For B <= 2048, (1 + u)^(B + 1) - 1 < (B + 2) u. Together below
//      1450 (B + 2) u |a| D + 2^-117.
//   3. |a| and C are computed in f64 and f32 from sums of up to 2048 positive terms, each rounded to f32 at worst:
//      within a factor of 1 +- 2^-12. So N = (1 + 2^-10) |a| + 2^-50 and
//      C = (1 + 2^-10) (|d r| + D (1 / 15 + 1500 (B + 8) u)) + 2^-50, as computed, exceed the sum of 1 and 2: their
//      product has 2^-100 to spare for what is subnormal.
//   4. Nothing overflows: rows with N > 2^60 have N = infinity, finite scales are below 2^16, so that every sum stays
//      below 2^60 * 2^16 * 725 * 46. Infinite and NaN scales make C infinite or NaN.
// The upper bound v = fl(t + N C), one fma, is at least y: rounding keeps the order of t + N C >= y, and y is an f32.
// A column is left out where v < f for an f that some column of the row has reached; so not where anything is NaN.
// Equals are computed, and the lowest wins.
#pragma once

#include <atomic>
#include <cstdint>

#include "kernels/gemm/gemm.h"
#include "kernels/rows/rows.h"

namespace batchwright {

struct PrunedArgs {
  // Without a bias; at most 1024 columns, out_first_column the first of them; out is room for gemm.rows + 1 rows, and
  // what is written there is of no use to the caller.
  GemmArgs gemm;
  const float* column_bounds = nullptr;  // of all panels' columns
  const float* row_bounds = nullptr;     // gemm.rows of them
  // gemm.rows values that products of the row have reached, or -infinity. Raised to the best found; other threads may
  // do the same. They change how much is computed, not what is found.
  std::atomic<float>* floors = nullptr;
  void* row = nullptr;  // room for quantized_rows_bytes(1, k), 64-byte aligned
  // gemm.rows of them; the better of the old one and the range's: greater, or equal at a lower index. A range in which
  // nothing compares greater than -infinity counts as that, at its first column.
  ArgMax* best = nullptr;
};

struct PruningKernels {
  Isa isa;
  // Writes C for the columns of panels [panel_begin, panel_end), also those beyond n. Thread-safe for disjoint ranges.
  void (*column_bounds)(const PackedWeights& weights, int64_t panel_begin, int64_t panel_end, float* bounds);
  // N of a row that quantize_row wrote.
  float (*row_bound)(const void* activations, int64_t k, int64_t row);
  // Returns how many panels it computed in full for one row.
  int64_t (*argmax)(const PrunedArgs& args);
  // Below so many rows all products are as fast.
  int64_t rows_min;
};

// Null where there is nothing to gain: another format, or a set that multiplies 8 bits as fast as 5.
const PruningKernels* pruning_kernels(Isa isa, ElementType type, int64_t k);

}  // namespace batchwright

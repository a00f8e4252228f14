#include "kernels/gemm/pruning.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "kernels/gemm/format_kernels.h"
#include "platform/cpu.h"
#include "tensor/block_formats.h"
#include "tensor/half.h"
#include "tensor/quantize.h"

namespace batchwright {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr int64_t kRangePanels = 32;

// Q8_0 weights [n][k] and f32 inputs [rows][k].
struct Case {
  int64_t n = 0;
  int64_t k = 0;
  int64_t rows = 0;
  std::vector<BlockQ8_0> weights;
  std::vector<float> x;

  BlockQ8_0& block(int64_t column, int64_t b) { return weights[static_cast<size_t>(column * (k / 32) + b)]; }
  void copy_column(int64_t from, int64_t to) {
    for (int64_t b = 0; b < k / 32; ++b) block(to, b) = block(from, b);
  }
};

Case random_case(int64_t n, int64_t k, int64_t rows, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  Case c{n, k, rows, std::vector<BlockQ8_0>(static_cast<size_t>(n * k / 32)), std::vector<float>()};
  std::vector<float> values(static_cast<size_t>(k));
  for (int64_t i = 0; i < n; ++i) {
    for (float& value : values) value = normal(random) * 0.05F;
    quantize_row(ElementType::kQ8_0, values.data(), k, reinterpret_cast<std::byte*>(&c.block(i, 0)));
  }
  for (int64_t i = 0; i < rows * k; ++i) c.x.push_back(normal(random));
  return c;
}

struct Run {
  explicit Run(const Case& c, Isa isa) : of(c), kernels(gemm_kernels(isa)) {
    weights = std::move(make_packed_weights(ElementType::kQ8_0, c.n, c.k)).value();
    pack_panels(weights, reinterpret_cast<const std::byte*>(c.weights.data()), 0, weights.panels());
    activations = AlignedBuffer<std::byte>(quantized_rows_bytes(c.rows, c.k));
    for (int64_t r = 0; r < c.rows; ++r) kernels.quantize_row(c.x.data() + r * c.k, c.k, r, activations.data());
    kernels.pad_rows(c.rows, c.k, activations.data());
    scratch = AlignedBuffer<std::byte>(gemm_scratch_bytes(c.rows, c.k));
  }

  GemmArgs args(int64_t panel_begin, int64_t panel_end, float* out) {
    GemmArgs args;
    args.weights = &weights;
    args.panel_begin = panel_begin;
    args.panel_end = std::min(panel_end, weights.panels());
    args.activations = activations.data();
    args.rows = of.rows;
    args.out = out;
    args.out_stride = (panel_end - panel_begin) * kPanelColumns;
    args.out_first_column = panel_begin * kPanelColumns;
    args.scratch = scratch.data();
    return args;
  }

  std::vector<float> products() {
    std::vector<float> out(static_cast<size_t>(of.rows * weights.panels() * kPanelColumns));
    kernels.run(args(0, weights.panels(), out.data()));
    return out;
  }

  const Case& of;
  const GemmKernels& kernels;
  PackedWeights weights;
  AlignedBuffer<std::byte> activations;
  AlignedBuffer<std::byte> scratch;
};

// By computing everything, and then looking: NaN never wins, the lowest of equals does.
std::vector<ArgMax> full_argmax(const Case& c) {
  Run run(c, Isa::kScalar);
  const std::vector<float> out = run.products();
  std::vector<ArgMax> best(static_cast<size_t>(c.rows), {-kInf, 0});
  for (int64_t r = 0; r < c.rows; ++r) {
    for (int64_t i = 0; i < c.n; ++i) {
      const float value = out[static_cast<size_t>(r * run.weights.panels() * kPanelColumns + i)];
      if (value > best[static_cast<size_t>(r)].value) best[static_cast<size_t>(r)] = {value, i};
    }
  }
  return best;
}

struct Pruned {
  std::vector<ArgMax> best;
  int64_t panels_finished = 0;  // of rows * panels
};

Pruned pruned_argmax(const Case& c, const PruningKernels& pruning, bool backwards) {
  Run run(c, pruning.isa);
  std::vector<float> columns(static_cast<size_t>(run.weights.panels() * kPanelColumns));
  pruning.column_bounds(run.weights, 0, run.weights.panels(), columns.data());
  std::vector<float> rows;
  for (int64_t r = 0; r < c.rows; ++r) rows.push_back(pruning.row_bound(run.activations.data(), c.k, r));
  std::vector<std::atomic<float>> floors(static_cast<size_t>(c.rows));
  for (auto& floor : floors) floor.store(-kInf);
  AlignedBuffer<std::byte> row(quantized_rows_bytes(1, c.k));
  std::memset(row.data(), 0xee, row.size());
  std::vector<float> out(static_cast<size_t>((c.rows + 1) * kRangePanels * kPanelColumns));
  Pruned result;
  result.best.assign(static_cast<size_t>(c.rows), {-kInf, std::numeric_limits<int64_t>::max()});
  const int64_t ranges = (run.weights.panels() + kRangePanels - 1) / kRangePanels;
  for (int64_t i = 0; i < ranges; ++i) {
    const int64_t begin = (backwards ? ranges - 1 - i : i) * kRangePanels;
    result.panels_finished += pruning.argmax({.gemm = run.args(begin, begin + kRangePanels, out.data()),
                                              .column_bounds = columns.data(),
                                              .row_bounds = rows.data(),
                                              .floors = floors.data(),
                                              .row = row.data(),
                                              .best = result.best.data()});
  }
  return result;
}

std::vector<const PruningKernels*> present() {
  std::vector<const PruningKernels*> kernels;
  for (const Isa isa : all_isas()) {
    const PruningKernels* candidate = pruning_kernels(isa, ElementType::kQ8_0, 64);
    if (candidate == nullptr || candidate->isa != isa) continue;
    if (machine_has(isa)) {
      kernels.push_back(candidate);
    } else {
      std::printf("[ SKIPPED  ] this machine has no %s\n", isa_name(isa));
    }
  }
  return kernels;
}

void expect_same(const Case& c, const std::string& what) {
  const std::vector<ArgMax> expected = full_argmax(c);
  for (const PruningKernels* pruning : present()) {
    for (const bool backwards : {false, true}) {
      const Pruned got = pruned_argmax(c, *pruning, backwards);
      for (size_t r = 0; r < expected.size(); ++r) {
        EXPECT_EQ(got.best[r].index, expected[r].index) << what << " " << isa_name(pruning->isa) << " row " << r;
        EXPECT_EQ(std::bit_cast<uint32_t>(got.best[r].value), std::bit_cast<uint32_t>(expected[r].value)) << what;
      }
    }
  }
}

// |y - t| <= N C for every product, and how much of the bound is used at most.
double largest_error(const Case& c, const PruningKernels& pruning) {
  Run run(c, pruning.isa);
  const int64_t padded = run.weights.panels() * kPanelColumns;
  const std::vector<float> exact = run.products();
  std::vector<float> rough(exact.size());
  const GemmArgs args = run.args(0, run.weights.panels(), rough.data());
  run_rough_q8_0_avx2({.panels = run.weights.data.data(),
                       .panel_bytes = packed_panel_bytes(ElementType::kQ8_0, c.k),
                       .n = c.n,
                       .k = c.k,
                       .panel_begin = 0,
                       .panel_end = run.weights.panels(),
                       .activations = args.activations,
                       .rows = c.rows,
                       .bias = nullptr,
                       .out = rough.data(),
                       .out_stride = padded,
                       .out_first_column = 0,
                       .scratch = args.scratch});
  std::vector<float> columns(static_cast<size_t>(padded));
  pruning.column_bounds(run.weights, 0, run.weights.panels(), columns.data());
  double largest = 0;
  for (int64_t r = 0; r < c.rows; ++r) {
    const double row = pruning.row_bound(run.activations.data(), c.k, r);
    for (int64_t i = 0; i < c.n; ++i) {
      const auto at = static_cast<size_t>(r * padded + i);
      const double error = std::abs(double{exact[at]} - double{rough[at]});
      largest = std::max(largest, error / (row * double{columns[static_cast<size_t>(i)]}));
    }
  }
  return largest;
}

TEST(Pruning, HasKernelsWhereEightBitsAreSlow) {
  EXPECT_EQ(pruning_kernels(Isa::kScalar, ElementType::kQ8_0, 64), nullptr);
  EXPECT_EQ(pruning_kernels(Isa::kAvxVnni, ElementType::kQ8_0, 64), nullptr);
  EXPECT_EQ(pruning_kernels(Isa::kVnni, ElementType::kQ8_0, 64), nullptr);
  EXPECT_NE(pruning_kernels(Isa::kAvx2, ElementType::kQ8_0, 64), nullptr);
  EXPECT_NE(pruning_kernels(Isa::kAvx512, ElementType::kQ8_0, 65536), nullptr);
  EXPECT_EQ(pruning_kernels(Isa::kAvx2, ElementType::kQ8_0, 65568), nullptr);
  EXPECT_EQ(pruning_kernels(Isa::kAvx2, ElementType::kQ6_K, 256), nullptr);
}

TEST(Pruning, FindsWhatAllProductsShow) {
  uint32_t seed = 1;
  for (const int64_t rows : {1, 2, 3, 4, 5, 9}) {
    for (const int64_t k : {32, 64, 896}) {
      for (const int64_t n : {1, 15, 17, 530, 1500}) {
        expect_same(random_case(n, k, rows, seed++), "n " + std::to_string(n) + " k " + std::to_string(k));
      }
    }
  }
}

TEST(Pruning, RulesMostColumnsOut) {
  for (const PruningKernels* pruning : present()) {
    Case c = random_case(8192, 896, 4, 2);
    // A row that points to one of the columns, as those of a language model do.
    for (int64_t r = 0; r < c.rows; ++r) {
      std::vector<float> column(896);
      for (int64_t i = 0; i < 896; ++i) {
        const BlockQ8_0& b = c.block(100 * r, i / 32);
        c.x[static_cast<size_t>(r * 896 + i)] += 8 * f16_to_f32(b.d) * static_cast<float>(b.qs[i % 32]);
      }
    }
    const Pruned got = pruned_argmax(c, *pruning, false);
    EXPECT_LT(got.panels_finished, c.rows * 8192 / kPanelColumns / 10) << isa_name(pruning->isa);
  }
}

TEST(Pruning, LowestOfEqualColumnsWins) {
  Case c = random_case(1500, 128, 6, 3);
  for (const ArgMax& best : full_argmax(c)) {
    for (const int64_t to : {1499, 777, 600, 530, 12, 3}) {
      if (to == best.index) continue;
      c.copy_column(best.index, to);
      expect_same(c, "a copy at " + std::to_string(to));
    }
  }
  for (int64_t i = 1; i < c.n; ++i) c.copy_column(0, i);
  expect_same(c, "all columns equal");
  for (const ArgMax& best : full_argmax(c)) EXPECT_EQ(best.index, 0);
}

TEST(Pruning, NeighboursOneUnitApart) {
  std::mt19937 random(4);
  Case c = random_case(1500, 256, 5, 4);
  for (int64_t i = 1; i < c.n; ++i) {
    c.copy_column(0, i);
    for (int j = 0; j < 3; ++j) {
      auto& q = c.block(i, static_cast<int64_t>(random() % 8)).qs[random() % 32];
      q = static_cast<int8_t>(q ^ (1 << (random() % 3)));
    }
  }
  expect_same(c, "columns that differ in their lowest bits");
}

TEST(Pruning, ZeroRowsAndZeroScales) {
  Case c = random_case(1100, 96, 5, 5);
  std::fill(c.x.begin(), c.x.begin() + 96, 0.0F);            // all products are +-0
  std::fill(c.x.begin() + 96, c.x.begin() + 192, 0x1p-99F);  // d_a near its least
  c.x[200] = std::numeric_limits<float>::quiet_NaN();        // an error row: zeros
  expect_same(c, "zero rows");
  for (BlockQ8_0& block : c.weights) block.d = 0;
  expect_same(c, "all scales zero");
  for (BlockQ8_0& block : c.weights) block.d = 0x8000;
  expect_same(c, "all scales -0");
}

TEST(Pruning, NegativeBest) {
  Case c = random_case(1100, 96, 5, 6);
  for (float& x : c.x) x = -std::abs(x);
  for (BlockQ8_0& block : c.weights) {
    for (auto& q : block.qs) q = static_cast<int8_t>(std::abs(q));
  }
  expect_same(c, "only negative products");
}

TEST(Pruning, ScalesThatAreNotFinite) {
  for (const uint16_t scale : {uint16_t{0x7c00}, uint16_t{0xfc00}, uint16_t{0x7e00}, uint16_t{0x7bff}, uint16_t{1}}) {
    for (const int every : {1, 3, 700}) {
      Case c = random_case(1100, 96, 5, 7);
      for (int64_t i = 0; i < c.n; i += every) c.block(i, i % 3).d = scale;
      expect_same(c, "scale " + std::to_string(scale) + " in every column of " + std::to_string(every));
    }
  }
}

TEST(Pruning, HugeAndTinyRows) {
  for (const float factor : {1e37F, 1e30F, 1e18F, 1e-18F, 1e-28F, 1e-30F}) {
    for (const uint16_t scale : {uint16_t{0}, uint16_t{0x7bff}, uint16_t{1}}) {
      Case c = random_case(1100, 256, 5, 8);
      for (float& x : c.x) x *= factor;
      if (scale != 0) {
        for (BlockQ8_0& block : c.weights) block.d = scale;
      }
      expect_same(c, "rows times " + std::to_string(factor) + ", scale " + std::to_string(scale));
    }
  }
}

// Activations that follow what the rough product leaves out: the bound is nearly reached.
TEST(Pruning, TheBoundHoldsWhereItIsTight) {
  for (const PruningKernels* pruning : present()) {
    double largest = 0;
    for (uint32_t seed = 10; seed < 30; ++seed) {
      Case c = random_case(64, 32 * (1 + seed % 30), 8, seed);
      std::mt19937 random(seed);
      for (BlockQ8_0& block : c.weights) {
        for (auto& q : block.qs) q = static_cast<int8_t>(random());
        // Low bits of one kind make the rest -4 or 3 throughout.
        if (seed % 3 == 0) {
          for (auto& q : block.qs) q = static_cast<int8_t>((q & ~7) | (seed % 2 == 0 ? 0 : 7));
        }
        if (seed % 3 == 1) {
          for (auto& q : block.qs) q = seed % 2 == 0 ? -128 : 127;
        }
      }
      for (int64_t r = 0; r < c.rows; ++r) {
        for (int64_t i = 0; i < c.k; ++i) {
          const BlockQ8_0& b = c.block(r, i / 32);
          const int rest = (b.qs[i % 32] & 7) - 4;
          c.x[static_cast<size_t>(r * c.k + i)] = f16_to_f32(b.d) * static_cast<float>(rest) * 100;
        }
      }
      const double used = largest_error(c, *pruning);
      EXPECT_LE(used, 1) << isa_name(pruning->isa) << " seed " << seed;
      largest = std::max(largest, used);
      expect_same(c, "tight, seed " + std::to_string(seed));
    }
    EXPECT_GT(largest, 0.9) << "or the bound could be tighter";
    std::printf("%s: %.4f of the bound at most\n", isa_name(pruning->isa), largest);
  }
}

}  // namespace
}  // namespace batchwright

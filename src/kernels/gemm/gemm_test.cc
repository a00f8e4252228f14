#include "kernels/gemm/gemm.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "kernels/gemm/activations.h"
#include "kernels/gemm/gemm_test_problem.h"
#include "platform/cpu.h"
#include "tensor/dequantize.h"

namespace batchwright {
namespace {

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();

// The stronger sets that this machine has; says which it lacks.
std::vector<GemmKernels> stronger_kernels() {
  std::vector<GemmKernels> kernels;
  for (const GemmKernels& candidate : all_gemm_kernels()) {
    if (candidate.isa == Isa::kScalar) continue;
    if (machine_has(candidate.isa)) {
      kernels.push_back(candidate);
    } else {
      std::printf("[ SKIPPED  ] this machine has no %s\n", isa_name(candidate.isa));
    }
  }
  return kernels;
}

bool fits(ElementType type, int64_t k) { return k % element_type_info(type).block_elements == 0; }

TEST(GemmScalar, AgreesWithDoublesOfDequantizedValues) {
  for (const ElementTypeInfo& info : kElementTypes) {
    const Shape shape{info.type, 21, 512, 5};
    const Problem problem(shape, Codes::kRandom, Scales::kOrdinary, Inputs::kRandom, 1);
    const GemmKernels& scalar = gemm_kernels(Isa::kScalar);
    const std::vector<float> out = problem.run(scalar, false);
    const AlignedBuffer<uint8_t> quantized = problem.quantize(scalar);
    const auto* strips = reinterpret_cast<const StripBlock*>(quantized.data());
    const size_t bytes = row_bytes(info.type, shape.k).value();
    std::vector<float> w(static_cast<size_t>(shape.k));
    for (int64_t n = 0; n < shape.n; ++n) {
      dequantize_row(info.type, problem.rows_bytes.data() + static_cast<size_t>(n) * bytes, shape.k, w.data());
      for (int64_t row = 0; row < shape.rows; ++row) {
        double sum = 0;
        double magnitude = 0;
        for (int64_t i = 0; i < shape.k; ++i) {
          double x = problem.x[static_cast<size_t>(row * shape.k + i)];
          if (is_quantized(info.type)) {
            const StripBlock& block = strips[row / 4 * (shape.k / 32) + i / 32];
            const double rounded = static_cast<double>(block.d[row % 4]) * block.q[i % 32 / 4][row % 4][i % 4];
            ASSERT_NEAR(rounded, x, block.d[row % 4] * 0.5001);
            x = rounded;
          }
          sum += w[static_cast<size_t>(i)] * x;
          // Largest weight of the formats with these scales: products may cancel inside a block.
          magnitude += std::abs(x);
        }
        const double largest =
            *std::max_element(w.begin(), w.end(), [](float a, float b) { return std::abs(a) < std::abs(b); });
        const double bound = std::ldexp(magnitude * std::abs(largest) * 40, -24);
        ASSERT_NEAR(out[static_cast<size_t>(row * (shape.n + Problem::kGap) + n)], sum, bound)
            << info.name << " row " << row << " column " << n;
      }
    }
  }
}

TEST(GemmPacking, RowsComeBackAsDequantized) {
  for (const ElementTypeInfo& info : kElementTypes) {
    for (const int64_t n : {1, 16, 37}) {
      const Problem problem({info.type, n, 512, 1}, Codes::kRandom, Scales::kOrdinary, Inputs::kRandom,
                            static_cast<uint32_t>(n));
      const size_t bytes = row_bytes(info.type, 512).value();
      std::vector<float> expected(512);
      std::vector<float> actual(512);
      for (int64_t row = 0; row < n; ++row) {
        dequantize_row(info.type, problem.rows_bytes.data() + static_cast<size_t>(row) * bytes, 512, expected.data());
        unpack_row(problem.weights, row, actual.data());
        ASSERT_TRUE(same_bits(expected, actual)) << info.name << " row " << row;
      }
    }
  }
}

TEST(GemmPacking, PiecesGiveTheSameBytes) {
  for (const ElementTypeInfo& info : kElementTypes) {
    std::mt19937 random(7);
    const auto rows = make_rows(info.type, 70, 256, Codes::kRandom, Scales::kOrdinary, random);
    const size_t bytes = row_bytes(info.type, 256).value();
    PackedWeights whole = std::move(make_packed_weights(info.type, 70, 256)).value();
    PackedWeights pieces = std::move(make_packed_weights(info.type, 70, 256)).value();
    pack_panels(whole, rows.data(), 0, 5);
    pack_panels(pieces, rows.data() + 32 * bytes, 2, 5);
    pack_panels(pieces, rows.data(), 0, 2);
    ASSERT_EQ(whole.data.size(), pieces.data.size());
    EXPECT_EQ(std::memcmp(whole.data.data(), pieces.data.data(), whole.data.size()), 0) << info.name;
    EXPECT_LE(static_cast<double>(packed_panel_bytes(info.type, 256)), 16.0 * 1.1 * static_cast<double>(bytes));
  }
}

TEST(GemmPacking, RefusesShapesThatDoNotFit) {
  EXPECT_FALSE(make_packed_weights(ElementType::kQ4_K, 16, 128).ok());
  EXPECT_FALSE(make_packed_weights(ElementType::kQ4_0, 16, 33).ok());
  EXPECT_FALSE(make_packed_weights(ElementType::kF32, 0, 32).ok());
  EXPECT_FALSE(make_packed_weights(ElementType::kF32, int64_t{1} << 40, int64_t{1} << 40).ok());
  EXPECT_TRUE(make_packed_weights(ElementType::kF32, 1, 1).ok());
}

TEST(GemmKernels, QuantizedRowsHaveTheBitsOfTheScalar) {
  const GemmKernels& scalar = gemm_kernels(Isa::kScalar);
  for (const GemmKernels& kernels : stronger_kernels()) {
    for (const int64_t rows : {1, 3, 4, 7}) {
      for (const Inputs inputs : {Inputs::kRandom, Inputs::kSaturated, Inputs::kMixed}) {
        const Problem problem({ElementType::kQ8_0, 1, 224, rows}, Codes::kRandom, Scales::kOrdinary, inputs, 3);
        const AlignedBuffer<uint8_t> a = problem.quantize(scalar);
        const AlignedBuffer<uint8_t> b = problem.quantize(kernels);
        EXPECT_EQ(std::memcmp(a.data(), b.data(), a.size()), 0) << isa_name(kernels.isa) << " rows " << rows;
      }
    }
  }
}

TEST(GemmKernels, RoundsHalvesToEvenAndKeepsTheBounds) {
  for (const GemmKernels& kernels : all_gemm_kernels()) {
    if (!machine_has(kernels.isa)) continue;
    std::vector<float> x(32, 0.0F);
    x[0] = 127;  // so that x is its own quotient
    x[1] = 2.5F;
    x[2] = 3.5F;
    x[3] = -0.5F;
    x[4] = -127;
    x[31] = -1.5F;
    AlignedBuffer<uint8_t> q(quantized_rows_bytes(1, 32));
    EXPECT_TRUE(kernels.quantize_row(x.data(), 32, 0, q.data()));
    const auto& block = *reinterpret_cast<const StripBlock*>(q.data());
    EXPECT_EQ(block.d[0], 1.0F);
    EXPECT_EQ(block.q[0][0][0], 127);
    EXPECT_EQ(block.q[0][0][1], 2);
    EXPECT_EQ(block.q[0][0][2], 4);
    EXPECT_EQ(block.q[0][0][3], 0);
    EXPECT_EQ(block.q[1][0][0], -127);
    EXPECT_EQ(block.q[7][0][3], -2);
    EXPECT_EQ(block.d_sum[0], 4.0F);
    EXPECT_EQ(block.sum16[0][0], -16 * (127 + 2 - 127));
    EXPECT_EQ(block.sum16[0][1], -16 * (4 - 2));
    EXPECT_EQ(block.sum32[0][0][0], -32 * (127 + 2 - 127));
    EXPECT_EQ(block.sum32[1][0][1], -32 * -2);
  }
}

TEST(GemmKernels, RowsThatAreNotFiniteBecomeZerosAndAreReported) {
  for (const GemmKernels& kernels : all_gemm_kernels()) {
    if (!machine_has(kernels.isa)) continue;
    for (const float bad : {kNaN, -kNaN, kInf, -kInf}) {
      for (const size_t place : {0, 5, 63, 95}) {
        std::vector<float> x(96, 1.0F);
        x[place] = bad;
        AlignedBuffer<uint8_t> q(quantized_rows_bytes(4, 96));
        std::memset(q.data(), 0xee, q.size());
        EXPECT_FALSE(kernels.quantize_row(x.data(), 96, 2, q.data()));
        for (int b = 0; b < 3; ++b) {
          const StripBlock& block = reinterpret_cast<const StripBlock*>(q.data())[b];
          for (const auto& group : block.q) {
            for (const int8_t v : group[2]) EXPECT_EQ(v, 0);
            for (const int8_t v : group[1]) EXPECT_EQ(static_cast<uint8_t>(v), 0xee);  // others' rows are theirs
          }
          EXPECT_EQ(block.d[2], 0);
          EXPECT_EQ(block.d_sum[2], 0);
          EXPECT_EQ(block.sum16[2][0], 0);
          EXPECT_EQ(block.sum32[1][2][1], 0);
        }
      }
    }
    // The largest finite value is no infinity, and what is below 2^-100 is zero.
    std::vector<float> x(32, std::numeric_limits<float>::max());
    AlignedBuffer<uint8_t> q(quantized_rows_bytes(1, 32));
    EXPECT_TRUE(kernels.quantize_row(x.data(), 32, 0, q.data()));
    EXPECT_EQ(reinterpret_cast<const StripBlock*>(q.data())->q[3][0][1], 127);
    x.assign(32, std::nextafter(0x1p-100F, 0.0F));
    EXPECT_TRUE(kernels.quantize_row(x.data(), 32, 0, q.data()));
    EXPECT_EQ(reinterpret_cast<const StripBlock*>(q.data())->d[0], 0);
    x.assign(32, 0x1p-100F);
    EXPECT_TRUE(kernels.quantize_row(x.data(), 32, 0, q.data()));
    EXPECT_GT(reinterpret_cast<const StripBlock*>(q.data())->d[0], 0);
  }
}

TEST(GemmKernels, TilesHaveTheBitsOfRows) {
  constexpr int64_t kColumns = 32 * 5;
  const GemmKernels& scalar = gemm_kernels(Isa::kScalar);
  for (const GemmKernels& kernels : all_gemm_kernels()) {
    if (!machine_has(kernels.isa)) continue;
    for (const Inputs inputs : {Inputs::kRandom, Inputs::kSaturated, Inputs::kMixed}) {
      for (const int64_t rows : {1, 2, 3, 4, 7, 12}) {
        std::mt19937 random(static_cast<uint32_t>(rows));
        const std::vector<float> x = make_inputs(rows, kColumns, inputs, random);
        AlignedBuffer<uint8_t> expected(quantized_rows_bytes(rows, kColumns));
        for (int64_t r = 0; r < rows; ++r) scalar.quantize_row(x.data() + r * kColumns, kColumns, r, expected.data());
        AlignedBuffer<uint8_t> tiled(expected.size());
        std::memset(tiled.data(), 0xee, tiled.size());
        std::vector<uint8_t> failed(static_cast<size_t>(rows), 0);
        for (int64_t row = 0; row < rows; row += 8) {
          for (const auto& [begin, end] : {std::pair<int64_t, int64_t>{32, 96}, {0, 32}, {96, kColumns}}) {
            kernels.quantize_tile({.x = x.data() + row * kColumns + begin,
                                   .x_stride = kColumns,
                                   .row_begin = row,
                                   .rows = std::min<int64_t>(8, rows - row),
                                   .column_begin = begin,
                                   .columns = end - begin,
                                   .k = kColumns,
                                   .quantized = tiled.data(),
                                   .failed = failed.data() + row});
          }
        }
        EXPECT_EQ(std::memcmp(tiled.data(), expected.data(), tiled.size()), 0) << rows << isa_name(kernels.isa);
        EXPECT_EQ(failed, std::vector<uint8_t>(failed.size(), 0));
      }
    }
  }
}

TEST(GemmKernels, OfATileOnlyTheBlocksThatAreNotFiniteBecomeZeros) {
  for (const GemmKernels& kernels : all_gemm_kernels()) {
    if (!machine_has(kernels.isa)) continue;
    for (const float bad : {kNaN, -kNaN, kInf, -kInf}) {
      std::vector<float> x(6 * 64, 1.0F);
      x[1 * 64 + 33] = bad;
      x[5 * 64 + 0] = bad;
      AlignedBuffer<uint8_t> q(quantized_rows_bytes(6, 64));
      std::vector<uint8_t> failed(6, 0);
      kernels.quantize_tile({.x = x.data(),
                             .x_stride = 64,
                             .rows = 6,
                             .columns = 64,
                             .k = 64,
                             .quantized = q.data(),
                             .failed = failed.data()});
      EXPECT_EQ(failed, (std::vector<uint8_t>{0, 1, 0, 0, 0, 1}));
      const auto* blocks = reinterpret_cast<const StripBlock*>(q.data());
      for (int64_t row = 0; row < 6; ++row) {
        for (int64_t b = 0; b < 2; ++b) {
          const StripBlock& block = blocks[row / 4 * 2 + b];
          const bool zero = (row == 1 && b == 1) || (row == 5 && b == 0);
          EXPECT_EQ(block.q[3][row % 4][2], zero ? 0 : 127);
          EXPECT_EQ(block.sum16[row % 4][1], zero ? 0 : -16 * 16 * 127);
          EXPECT_EQ(block.d[row % 4], zero ? 0.0F : 1.0F / 127.0F);
          EXPECT_EQ(block.d_sum[row % 4] == 0.0F, zero);
        }
      }
    }
  }
}

TEST(GemmKernels, OddShapesHaveTheBitsOfTheScalar) {
  const std::vector<GemmKernels> stronger = stronger_kernels();
  for (const ElementTypeInfo& info : kElementTypes) {
    std::vector<Shape> shapes;
    for (const int64_t rows : {1, 2, 3, 4, 5, 6, 7, 8, 9, 13, 31, 64, 67}) {
      for (const int64_t k : {32, 96, 256, 896}) {
        if (fits(info.type, k)) shapes.push_back({info.type, 19, k, rows});
      }
    }
    shapes.push_back({info.type, 16, 4864, 5});
    shapes.push_back({info.type, 1, 2304, 9});
    if (fits(info.type, 7)) shapes.push_back({info.type, 33, 7, 7});
    uint32_t seed = 100;
    for (const Shape& shape : shapes) {
      const Problem problem(shape, Codes::kRandom, Scales::kOrdinary, Inputs::kRandom, seed++);
      const std::vector<float> expected = problem.run(gemm_kernels(Isa::kScalar), false);
      for (const GemmKernels& kernels : stronger) {
        ASSERT_TRUE(same_bits(expected, problem.run(kernels, false))) << describe(shape, kernels);
      }
    }
  }
}

TEST(GemmKernels, ExtremesHaveTheBitsOfTheScalar) {
  const std::vector<GemmKernels> stronger = stronger_kernels();
  for (const ElementTypeInfo& info : kElementTypes) {
    const Shape shape{info.type, 18, 512, 14};
    for (const Codes codes : {Codes::kRandom, Codes::kZeros, Codes::kOnes}) {
      for (const Scales scales : {Scales::kOrdinary, Scales::kSubnormal, Scales::kLargest}) {
        for (const Inputs inputs : {Inputs::kRandom, Inputs::kSaturated, Inputs::kMixed}) {
          const Problem problem(shape, codes, scales, inputs, 11);
          const std::vector<float> expected = problem.run(gemm_kernels(Isa::kScalar), true);
          for (const GemmKernels& kernels : stronger) {
            ASSERT_TRUE(same_bits(expected, problem.run(kernels, true)))
                << describe(shape, kernels) << " codes " << static_cast<int>(codes) << " scales "
                << static_cast<int>(scales) << " inputs " << static_cast<int>(inputs);
          }
        }
      }
    }
  }
}

// Whichever of its paths a set takes for a number of rows: where it changes over is a matter of speed alone.
TEST(GemmPaths, AllHaveTheBitsOfTheScalarForAnyNumberOfRows) {
  for (const ElementTypeInfo& info : kElementTypes) {
    if (!is_quantized(info.type)) continue;
    for (const int64_t rows : {1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 15, 16, 17, 35}) {
      for (const Codes codes : {Codes::kRandom, Codes::kZeros, Codes::kOnes}) {
        for (const Inputs inputs : {Inputs::kSaturated, Inputs::kMixed}) {
          const Shape shape{info.type, 35, 768, rows};
          const Problem problem(shape, codes, Scales::kOrdinary, inputs, static_cast<uint32_t>(rows));
          const std::vector<float> expected = problem.run(gemm_kernels(Isa::kScalar), true);
          for (const GemmPath& path : gemm_paths()) {
            if (!machine_has(path.kernels.isa)) continue;
            ASSERT_TRUE(same_bits(expected, problem.run(path.kernels, true, {1})))
                << describe(shape, path.kernels) << " " << path.name << " codes " << static_cast<int>(codes)
                << " inputs " << static_cast<int>(inputs);
          }
        }
      }
    }
  }
}

TEST(GemmKernels, ARowDoesNotDependOnTheOthersNorOnTheRanges) {
  for (const GemmKernels& kernels : all_gemm_kernels()) {
    if (!machine_has(kernels.isa)) continue;
    for (const ElementTypeInfo& info : kElementTypes) {
      const Problem problem({info.type, 75, 256, 11}, Codes::kRandom, Scales::kOrdinary, Inputs::kRandom, 5);
      const std::vector<float> all = problem.run(kernels, true);
      EXPECT_TRUE(same_bits(all, problem.run(kernels, true, {1, 2, 4}))) << describe(problem.shape, kernels);
      const auto stride = static_cast<size_t>(problem.shape.n + Problem::kGap);
      for (const size_t row : {size_t{0}, size_t{6}, size_t{10}}) {
        Problem alone({info.type, 75, 256, 1}, Codes::kRandom, Scales::kOrdinary, Inputs::kRandom, 5);
        alone.x.assign(problem.x.begin() + static_cast<ptrdiff_t>(row) * 256,
                       problem.x.begin() + static_cast<ptrdiff_t>(row + 1) * 256);
        const std::vector<float> out = alone.run(kernels, true);
        EXPECT_EQ(std::memcmp(out.data(), all.data() + row * stride, 75 * sizeof(float)), 0)
            << describe(problem.shape, kernels) << " row " << row;
      }
    }
  }
}

TEST(GemmKernels, WriteNothingBeyondTheirColumns) {
  for (const GemmKernels& kernels : all_gemm_kernels()) {
    if (!machine_has(kernels.isa)) continue;
    for (const ElementTypeInfo& info : kElementTypes) {
      const Problem problem({info.type, 37, 256, 6}, Codes::kRandom, Scales::kOrdinary, Inputs::kRandom, 6);
      const std::vector<float> out = problem.run(kernels, true);
      const size_t stride = 37 + Problem::kGap;
      for (size_t i = 0; i < out.size(); ++i) {
        const bool inside = i / stride < 6 && i % stride < 37;
        ASSERT_EQ(out[i] == Problem::kUntouched, !inside) << describe(problem.shape, kernels) << " at " << i;
      }
      // Panels 1 and 2 alone, written from column 16 on to the start of the output.
      const AlignedBuffer<uint8_t> q =
          uses_quantized_activations(info.type) ? problem.quantize(kernels) : AlignedBuffer<uint8_t>();
      AlignedBuffer<uint8_t> scratch(gemm_scratch_bytes(6, 256));
      std::vector<float> part(6 * 21 + 1, Problem::kUntouched);
      kernels.run({.weights = &problem.weights,
                   .panel_begin = 1,
                   .panel_end = 3,
                   .activations = q.size() != 0 ? static_cast<const void*>(q.data()) : problem.x.data(),
                   .rows = 6,
                   .bias = problem.bias.data(),
                   .out = part.data(),
                   .out_stride = 21,
                   .out_first_column = 16,
                   .scratch = scratch.data()});
      for (size_t row = 0; row < 6; ++row) {
        EXPECT_EQ(std::memcmp(&part[row * 21], &out[row * stride + 16], 21 * sizeof(float)), 0)
            << describe(problem.shape, kernels);
      }
      EXPECT_EQ(part.back(), Problem::kUntouched);
    }
  }
}

TEST(GemmTable, WeakerSetsStandInForMissingOnes) {
  EXPECT_EQ(gemm_kernels(Isa::kScalar).isa, Isa::kScalar);
  for (const GemmKernels& kernels : all_gemm_kernels()) EXPECT_EQ(gemm_kernels(kernels.isa).isa, kernels.isa);
  EXPECT_EQ(gemm_kernels(Isa::kAvxVnni).isa, Isa::kAvxVnni);
  EXPECT_EQ(gemm_kernels(Isa::kAvx512).isa, Isa::kAvx512);
  EXPECT_EQ(gemm_kernels(Isa::kAmx).isa, all_gemm_kernels().back().isa);
}

}  // namespace
}  // namespace batchwright

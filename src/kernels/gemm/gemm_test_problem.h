// Random and extreme matrix products for the tests that compare kernels, and the comparison.
#pragma once

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "kernels/gemm/gemm.h"
#include "platform/cpu.h"
#include "tensor/block_formats.h"
#include "tensor/quantize.h"

namespace batchwright {

enum class Codes { kRandom, kZeros, kOnes };  // the bits of the blocks, scales aside
enum class Scales { kOrdinary, kSubnormal, kLargest };
enum class Inputs { kRandom, kSaturated, kMixed };  // kMixed: blocks of zeros, tiny and huge values

struct Shape {
  ElementType type;
  int64_t n;
  int64_t k;
  int64_t rows;
};

inline uint16_t random_scale(Scales kind, std::mt19937& random) {
  const auto bits = static_cast<uint16_t>(random());
  switch (kind) {
    case Scales::kOrdinary:
      return static_cast<uint16_t>((bits & 0x83ff) | 0x2000);  // about +-0.01
    case Scales::kSubnormal:
      return static_cast<uint16_t>(bits & 0x83ff);
    case Scales::kLargest:
      return static_cast<uint16_t>(bits & 0x8000) | 0x7bff;
  }
  return 0;
}

// The file's rows of a matrix.
inline std::vector<std::byte> make_rows(ElementType type, int64_t n, int64_t k, Codes codes, Scales scales,
                                        std::mt19937& random) {
  const size_t row = row_bytes(type, k).value();
  std::vector<std::byte> bytes(static_cast<size_t>(n) * row);
  if (!is_quantized(type)) {
    std::vector<float> values(static_cast<size_t>(k));
    std::normal_distribution<float> normal(0, scales == Scales::kSubnormal ? 1e-6F : 0.05F);
    for (int64_t i = 0; i < n; ++i) {
      for (float& value : values) value = codes == Codes::kZeros ? -0.0F : normal(random);
      quantize_row(type, values.data(), k, bytes.data() + static_cast<size_t>(i) * row);
    }
    return bytes;
  }
  const ElementTypeInfo& info = element_type_info(type);
  for (std::byte& byte : bytes) {
    byte = codes == Codes::kRandom ? static_cast<std::byte>(random()) : std::byte(codes == Codes::kZeros ? 0 : 0xff);
  }
  for (size_t at = 0; at < bytes.size(); at += static_cast<size_t>(info.block_bytes)) {
    const auto put = [&](size_t offset) {
      const uint16_t scale = random_scale(scales, random);
      std::memcpy(&bytes[at + offset], &scale, sizeof scale);
    };
    if (type == ElementType::kQ6_K) {
      put(offsetof(BlockQ6_K, d));
      continue;
    }
    put(0);
    if (type == ElementType::kQ4_1 || type == ElementType::kQ5_1 || type == ElementType::kQ4_K ||
        type == ElementType::kQ5_K) {
      put(2);
    }
    // The sign bit alone: the least value that Q8_0 can hold.
    if (type == ElementType::kQ8_0 && codes == Codes::kZeros) {
      std::memset(&bytes[at + offsetof(BlockQ8_0, qs)], 0x80, 32);
    }
  }
  return bytes;
}

inline std::vector<float> make_inputs(int64_t rows, int64_t k, Inputs kind, std::mt19937& random) {
  std::vector<float> x(static_cast<size_t>(rows * k));
  std::normal_distribution<float> normal;
  for (size_t i = 0; i < x.size(); ++i) {
    switch (kind) {
      case Inputs::kRandom:
        x[i] = normal(random);
        break;
      case Inputs::kSaturated:  // +-127 after rounding; whole rows of one sign among them
        x[i] = (i / static_cast<size_t>(k)) % 3 == 0   ? 1.5F
               : (i / static_cast<size_t>(k)) % 3 == 1 ? -1.5F
               : (random() & 1) != 0                   ? 1.5F
                                                       : -1.5F;
        break;
      case Inputs::kMixed: {
        const size_t block = i / 32 % 5;
        x[i] = normal(random) * (block == 0 ? 0.0F : block == 1 ? 0x1p-101F : block == 2 ? 1e30F : 1.0F);
        break;
      }
    }
  }
  return x;
}

// Weights and inputs of one case, and the run of one set of kernels on them.
struct Problem {
  Problem(Shape s, Codes codes, Scales scales, Inputs inputs, uint32_t seed) : shape(s) {
    std::mt19937 random(seed);
    rows_bytes = make_rows(s.type, s.n, s.k, codes, scales, random);
    weights = std::move(make_packed_weights(s.type, s.n, s.k)).value();
    pack_panels(weights, rows_bytes.data(), 0, weights.panels());
    x = make_inputs(s.rows, s.k, inputs, random);
    for (int64_t i = 0; i < s.n; ++i) bias.push_back(static_cast<float>(i) * 0.25F - 3);
  }

  AlignedBuffer<uint8_t> quantize(const GemmKernels& kernels) const {
    AlignedBuffer<uint8_t> q(quantized_rows_bytes(shape.rows, shape.k));
    std::memset(q.data(), 0xee, q.size());
    for (int64_t r = 0; r < shape.rows; ++r) {
      EXPECT_TRUE(kernels.quantize_row(x.data() + r * shape.k, shape.k, r, q.data()));
    }
    kernels.pad_rows(shape.rows, shape.k, q.data());
    return q;
  }

  // The output with what surrounds it: [rows + 1][stride], kUntouched where nothing may be written.
  static constexpr float kUntouched = 12345.0F;
  static constexpr int64_t kGap = 3;
  std::vector<float> run(const GemmKernels& kernels, bool with_bias, std::vector<int64_t> cuts = {}) const {
    const AlignedBuffer<uint8_t> q =
        uses_quantized_activations(shape.type) ? quantize(kernels) : AlignedBuffer<uint8_t>();
    AlignedBuffer<uint8_t> scratch(gemm_scratch_bytes(shape.rows, shape.k));
    std::memset(scratch.data(), 0xff, scratch.size());
    const int64_t stride = shape.n + kGap;
    std::vector<float> out(static_cast<size_t>((shape.rows + 1) * stride), kUntouched);
    cuts.insert(cuts.begin(), 0);
    cuts.push_back(weights.panels());
    for (size_t i = 0; i + 1 < cuts.size(); ++i) {
      kernels.run(
          {.weights = &weights,
           .panel_begin = cuts[i],
           .panel_end = cuts[i + 1],
           .activations = uses_quantized_activations(shape.type) ? static_cast<const void*>(q.data()) : x.data(),
           .rows = shape.rows,
           .bias = with_bias ? bias.data() : nullptr,
           .out = out.data(),
           .out_stride = stride,
           .out_first_column = 0,
           .scratch = scratch.data()});
    }
    return out;
  }

  Shape shape;
  std::vector<std::byte> rows_bytes;
  PackedWeights weights;
  std::vector<float> x;
  std::vector<float> bias;
};

inline std::string describe(const Shape& s, const GemmKernels& kernels) {
  return std::string(element_type_name(s.type)) + " n=" + std::to_string(s.n) + " k=" + std::to_string(s.k) +
         " rows=" + std::to_string(s.rows) + " " + isa_name(kernels.isa);
}

// NaNs compare equal whatever their payload.
inline ::testing::AssertionResult same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  if (a.size() != b.size()) return ::testing::AssertionFailure() << a.size() << " and " << b.size() << " values";
  for (size_t i = 0; i < a.size(); ++i) {
    if (std::isnan(a[i]) && std::isnan(b[i])) continue;
    if (std::bit_cast<uint32_t>(a[i]) != std::bit_cast<uint32_t>(b[i])) {
      return ::testing::AssertionFailure() << "at " << i << ": " << a[i] << " and " << b[i];
    }
  }
  return ::testing::AssertionSuccess();
}

}  // namespace batchwright

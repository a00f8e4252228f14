// The AMX kernels on emulated tiles have the bits of the scalar ones. (Those on the machine's own tiles take part in
// gemm_test.cc where there are any.)
#include <gtest/gtest.h>

#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include "kernels/gemm/format_kernels.h"
#include "kernels/gemm/gemm_by_format.h"
#include "kernels/gemm/gemm_test_problem.h"
#include "kernels/gemm/tile_test_emulator.h"
#include "platform/cpu.h"

namespace batchwright {

extern const QuantizedFormatKernels kQuantizedAmxEmulated;

namespace {

void run_emulated(const GemmArgs& args) {
  const PackedWeights& w = *args.weights;
  tile_emulator::allow(args.scratch, gemm_scratch_bytes(args.rows, w.k));
  const int64_t before = tile_emulator::multiplications();
  gemm_by_format<kQuantizedAmxEmulated, kFloatScalar>(args);
  tile_emulator::allow(nullptr, 0);
  EXPECT_FALSE(tile_emulator::in_use()) << "the tiles were not given back";
  // One for each block, 16 rows and 16 columns; two where a block has two scales.
  const int64_t products = (args.rows + 15) / 16 * (args.panel_end - args.panel_begin) * (w.k / 32);
  EXPECT_EQ(tile_emulator::multiplications() - before, w.type == ElementType::kQ6_K ? 2 * products : products);
}

// The scalar set with the emulated products.
GemmKernels emulated() {
  GemmKernels kernels = gemm_kernels(Isa::kScalar);
  kernels.run = run_emulated;
  return kernels;
}

class AmxEmulated : public ::testing::TestWithParam<ElementType> {
 protected:
  void SetUp() override {
    if (!machine_has(Isa::kVnni)) GTEST_SKIP() << "this machine has no vnni, which the emulated amx kernels need too";
    std::printf("[ EMULATED ] tiles; this machine has %s amx of its own\n", machine_has(Isa::kAmx) ? "also" : "no");
  }

  ::testing::AssertionResult has_the_bits_of_the_scalar(const Problem& problem, std::vector<int64_t> cuts = {}) {
    return same_bits(problem.run(gemm_kernels(Isa::kScalar), true), problem.run(emulated(), true, std::move(cuts)));
  }
  bool fits(int64_t k) const { return k % element_type_info(GetParam()).block_elements == 0; }
};

TEST_P(AmxEmulated, AnyNumberOfRows) {
  for (int64_t rows = 1; rows <= 130; ++rows) {
    const Shape shape{GetParam(), 19, 256, rows};
    const Problem problem(shape, Codes::kRandom, Scales::kOrdinary, Inputs::kRandom, static_cast<uint32_t>(rows));
    ASSERT_TRUE(has_the_bits_of_the_scalar(problem)) << "rows " << rows;
  }
}

TEST_P(AmxEmulated, AnyNumberOfBlocks) {
  for (const int64_t k : {32, 64, 96, 160, 224, 256, 288, 320, 512, 736, 896, 2048, 2304}) {
    if (!fits(k)) continue;
    for (const int64_t rows : {5, 37}) {
      const Problem problem({GetParam(), 19, k, rows}, Codes::kRandom, Scales::kOrdinary, Inputs::kMixed,
                            static_cast<uint32_t>(k));
      ASSERT_TRUE(has_the_bits_of_the_scalar(problem)) << "k " << k << " rows " << rows;
    }
  }
}

// Groups of 8 panels, whole and not, and columns that fill no panel.
TEST_P(AmxEmulated, AnyNumberOfColumns) {
  for (const int64_t n : {1, 15, 16, 17, 128, 129, 300}) {
    const Problem problem({GetParam(), n, 256, 18}, Codes::kRandom, Scales::kOrdinary, Inputs::kRandom, 7);
    ASSERT_TRUE(has_the_bits_of_the_scalar(problem)) << "n " << n;
  }
  const Problem problem({GetParam(), 300, 256, 18}, Codes::kRandom, Scales::kOrdinary, Inputs::kRandom, 8);
  ASSERT_TRUE(has_the_bits_of_the_scalar(problem, {1, 3, 11, 18})) << "in pieces";
}

TEST_P(AmxEmulated, Extremes) {
  for (const Codes codes : {Codes::kRandom, Codes::kZeros, Codes::kOnes}) {
    for (const Scales scales : {Scales::kOrdinary, Scales::kSubnormal, Scales::kLargest}) {
      for (const Inputs inputs : {Inputs::kRandom, Inputs::kSaturated, Inputs::kMixed}) {
        const Problem problem({GetParam(), 18, 768, 21}, codes, scales, inputs, 11);
        ASSERT_TRUE(has_the_bits_of_the_scalar(problem))
            << "codes " << static_cast<int>(codes) << " scales " << static_cast<int>(scales) << " inputs "
            << static_cast<int>(inputs);
      }
    }
  }
}

std::vector<ElementType> quantized_types() {
  std::vector<ElementType> types;
  for (const ElementTypeInfo& info : kElementTypes) {
    if (is_quantized(info.type)) types.push_back(info.type);
  }
  return types;
}

INSTANTIATE_TEST_SUITE_P(Formats, AmxEmulated, ::testing::ValuesIn(quantized_types()),
                         [](const auto& instance) { return std::string(element_type_name(instance.param)); });

}  // namespace
}  // namespace batchwright

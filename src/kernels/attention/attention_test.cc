#include "kernels/attention/attention.h"

#include <gtest/gtest.h>
#include <xmmintrin.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <ostream>
#include <random>
#include <utility>
#include <vector>

#include "base/aligned_buffer.h"
#include "kernels/math/math.h"
#include "platform/cpu.h"
#include "tensor/half.h"

namespace batchwright {

// How gtest shows the parameter, found by its type's namespace.
static void PrintTo(const AttentionKernels& kernels, std::ostream* out) { *out << isa_name(kernels.isa); }

namespace {

struct Shape {
  int dim;
  int heads;  // query heads of the one KV head
  int rows;
  int first_position;  // of the first row; rows follow one after the other
  int window = 0;
  float soft_cap = 0.0F;
  KvFormat format = KvFormat::kF16;
  float spread = 1.0F;  // of the queries
  float value_size = 1.0F;
};

// KV of one head for `positions` positions, pages filled with garbage where nothing was stored, and queries.
class Problem {
 public:
  Problem(const Shape& shape, const AttentionKernels& store, uint32_t seed)
      : shape_(shape), positions_(shape.first_position + shape.rows) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    const auto dim = static_cast<size_t>(shape.dim);
    k_.resize(static_cast<size_t>(positions_) * dim);
    v_.resize(k_.size());
    for (float& x : k_) x = normal(random);
    for (float& x : v_) x = normal(random) * shape.value_size;
    q_.resize(static_cast<size_t>(shape.rows * stride()));
    for (float& x : q_) x = normal(random) * shape.spread;

    const int blocks = (positions_ + kBlockPositions - 1) / kBlockPositions;
    for (int b = 0; b < blocks; ++b) {
      pages_.emplace_back(kv_head_block_bytes(shape.dim, shape.format));
      // NaN and infinity patterns in both formats.
      for (size_t i = 0; i < pages_.back().size(); i += 4) {
        const uint32_t garbage = random() % 2 == 0 ? 0x7fc17e01U : 0xff80fc00U;
        std::memcpy(pages_.back().data() + i, &garbage, 4);
      }
    }
    for (int t = 0; t < positions_; ++t) {
      store.store(shape.format, k_.data() + static_cast<size_t>(t) * dim, v_.data() + static_cast<size_t>(t) * dim, 0,
                  1, shape.dim, t % kBlockPositions, pages_[static_cast<size_t>(t / kBlockPositions)].data());
    }
    for (const auto& page : pages_) blocks_.push_back(page.data());
    for (int r = 0; r < shape.rows; ++r) row_positions_.push_back(shape.first_position + r);
    rows_.resize(static_cast<size_t>(shape.rows));
    std::iota(rows_.begin(), rows_.end(), 0);
  }

  // One more head on each side that must stay untouched.
  int state_heads() const { return shape_.heads + 2; }
  int64_t stride() const { return int64_t{state_heads()} * shape_.dim; }
  size_t state_size() const {
    return static_cast<size_t>(shape_.rows * state_heads()) * attention_state_floats(shape_.dim);
  }
  const std::vector<int32_t>& rows() const { return rows_; }
  int blocks() const { return static_cast<int>(blocks_.size()); }
  const AlignedBuffer<uint8_t>& page(int b) const { return pages_[static_cast<size_t>(b)]; }

  void run(const AttentionKernels& kernels, std::span<const int32_t> rows, int block_begin, int block_end,
           std::vector<float>& state) const {
    AlignedBuffer<uint8_t> scratch(attention_scratch_bytes());
    AttentionArgs args;
    args.format = shape_.format;
    args.dim = shape_.dim;
    args.scale = 1.0F / std::sqrt(static_cast<float>(shape_.dim));
    args.soft_cap = shape_.soft_cap;
    args.window = shape_.window;
    args.rows = rows;
    args.positions = row_positions_.data();
    args.head_begin = 1;
    args.head_count = shape_.heads;
    args.q = q_.data();
    args.q_stride = stride();
    args.blocks =
        std::span(blocks_).subspan(static_cast<size_t>(block_begin), static_cast<size_t>(block_end - block_begin));
    args.first_block = block_begin;
    args.state = state.data();
    args.state_heads = state_heads();
    args.scratch = scratch.data();
    kernels.run(args);
  }

  // The states after all blocks and rows in one call.
  std::vector<float> run_all(const AttentionKernels& kernels) const {
    std::vector<float> state(state_size());
    run(kernels, rows_, 0, blocks(), state);
    return state;
  }

  // Softmax attention in fp64 over the values as stored, all positions at once.
  std::vector<double> reference(int row, int head) const {
    const auto dim = static_cast<size_t>(shape_.dim);
    const auto rounded = [this](float x) {
      return static_cast<double>(shape_.format == KvFormat::kF16 ? f16_to_f32(f32_to_f16(x)) : x);
    };
    const float* q = q_.data() + row * stride() + (head + 1) * shape_.dim;
    const int t = row_positions_[static_cast<size_t>(row)];
    const int first = shape_.window > 0 ? std::max(0, t - shape_.window + 1) : 0;
    std::vector<double> s;
    for (int j = first; j <= t; ++j) {
      double dot = 0;
      for (size_t d = 0; d < dim; ++d) dot += static_cast<double>(q[d]) * rounded(k_[static_cast<size_t>(j) * dim + d]);
      dot /= std::sqrt(static_cast<double>(dim));
      const auto cap = static_cast<double>(shape_.soft_cap);
      s.push_back(cap > 0 ? cap * std::tanh(dot / cap) : dot);
    }
    const double largest = *std::max_element(s.begin(), s.end());
    std::vector<double> out(dim);
    double sum = 0;
    for (size_t j = 0; j < s.size(); ++j) {
      const double p = std::exp(s[j] - largest);
      sum += p;
      for (size_t d = 0; d < dim; ++d) out[d] += p * rounded(v_[(static_cast<size_t>(first) + j) * dim + d]);
    }
    for (double& x : out) x /= sum;
    return out;
  }

 private:
  Shape shape_;
  int positions_;
  std::vector<float> k_;
  std::vector<float> v_;
  std::vector<float> q_;
  std::vector<AlignedBuffer<uint8_t>> pages_;
  std::vector<const void*> blocks_;
  std::vector<int32_t> row_positions_;
  std::vector<int32_t> rows_;
};

void expect_same(const std::vector<float>& got, const std::vector<float>& wanted) {
  ASSERT_EQ(got.size(), wanted.size());
  for (size_t i = 0; i < got.size(); ++i) {
    ASSERT_FALSE(std::isnan(wanted[i])) << i;
    ASSERT_EQ(std::bit_cast<uint32_t>(got[i]), std::bit_cast<uint32_t>(wanted[i]))
        << "at " << i << ": " << got[i] << " and " << wanted[i];
  }
}

const AttentionKernels& scalar() { return attention_kernels(Isa::kScalar); }

const Shape kShapes[] = {
    {.dim = 64, .heads = 7, .rows = 1, .first_position = 0},
    {.dim = 64, .heads = 7, .rows = 1, .first_position = 63},
    {.dim = 64, .heads = 7, .rows = 1, .first_position = 64},
    {.dim = 64, .heads = 7, .rows = 130, .first_position = 0},
    {.dim = 64, .heads = 7, .rows = 40, .first_position = 150, .format = KvFormat::kF32},
    {.dim = 64, .heads = 1, .rows = 1, .first_position = 200},
    {.dim = 64, .heads = 2, .rows = 3, .first_position = 62, .window = 5},
    {.dim = 64, .heads = 3, .rows = 17, .first_position = 100, .window = 1},
    {.dim = 64, .heads = 2, .rows = 9, .first_position = 190, .spread = 40.0F},
    {.dim = 8, .heads = 5, .rows = 20, .first_position = 55},
    {.dim = 8, .heads = 1, .rows = 130, .first_position = 3, .window = 33, .format = KvFormat::kF32},
    {.dim = 16, .heads = 8, .rows = 31, .first_position = 120, .window = 64},
    {.dim = 80, .heads = 4, .rows = 21, .first_position = 40, .soft_cap = 5.0F},
    {.dim = 80, .heads = 1, .rows = 2, .first_position = 127, .window = 100, .format = KvFormat::kF32},
    {.dim = 72, .heads = 6, .rows = 12, .first_position = 60},
    {.dim = 128, .heads = 8, .rows = 5, .first_position = 300, .soft_cap = 30.0F},
    {.dim = 256, .heads = 4, .rows = 1, .first_position = 600, .window = 512},
    {.dim = 256, .heads = 4, .rows = 70, .first_position = 30, .window = 50},
    {.dim = 256, .heads = 4, .rows = 24, .first_position = 50, .format = KvFormat::kF32},
};

class Attention : public testing::TestWithParam<AttentionKernels> {
 protected:
  void SetUp() override {
    if (!machine_has(GetParam().isa)) GTEST_SKIP() << "this machine has no " << isa_name(GetParam().isa);
  }
  const AttentionKernels& tested() const { return GetParam(); }
};

TEST_P(Attention, HasTheScalarBits) {
  for (const Shape& shape : kShapes) {
    SCOPED_TRACE(testing::Message() << "dim " << shape.dim << " heads " << shape.heads << " rows " << shape.rows
                                    << " first " << shape.first_position << " window " << shape.window);
    const Problem problem(shape, scalar(), 1);
    expect_same(problem.run_all(tested()), problem.run_all(scalar()));
  }
}

// As in decoding: few rows, whose heads meet a block in tiles of every size, with whole, partly filled and windowed
// blocks, and with edges that differ inside a tile.
TEST_P(Attention, FewRowsOfAnyHeadsHaveTheScalarBits) {
  for (const int dim : {8, 64, 72, 256}) {
    for (int heads = 1; heads <= 9; ++heads) {
      for (const int rows : {1, 2}) {
        for (const auto& [first, window] : {std::pair{63, 0}, {64, 0}, {105, 0}, {127, 40}, {130, 65}}) {
          for (const KvFormat format : {KvFormat::kF16, KvFormat::kF32}) {
            SCOPED_TRACE(testing::Message() << "dim " << dim << " heads " << heads << " rows " << rows << " first "
                                            << first << " window " << window << " f16 " << (format == KvFormat::kF16));
            const Problem problem(
                {.dim = dim, .heads = heads, .rows = rows, .first_position = first, .window = window, .format = format},
                scalar(), 9);
            ASSERT_NO_FATAL_FAILURE(expect_same(problem.run_all(tested()), problem.run_all(scalar())));
          }
        }
      }
    }
  }
}

TEST_P(Attention, IsSoftmaxAttention) {
  for (const Shape& shape : kShapes) {
    const Problem problem(shape, scalar(), 2);
    const auto state = problem.run_all(tested());
    std::vector<float> out(static_cast<size_t>(problem.state_heads() * shape.dim));
    for (int row = 0; row < shape.rows; row += 7) {
      const float* row_state =
          state.data() + static_cast<size_t>(row * problem.state_heads()) * attention_state_floats(shape.dim);
      tested().finish(row_state + attention_state_floats(shape.dim), shape.heads, shape.dim, out.data());
      for (int head = 0; head < shape.heads; ++head) {
        const auto wanted = problem.reference(row, head);
        // The dots themselves carry an error that grows with their size, and exp makes it relative.
        const double tolerance = 4e-6 * static_cast<double>(shape.spread);
        for (size_t d = 0; d < wanted.size(); ++d) {
          ASSERT_NEAR(static_cast<double>(out[static_cast<size_t>(head * shape.dim) + d]), wanted[d], tolerance)
              << "dim " << shape.dim << " row " << row << " head " << head;
        }
      }
      // The neighbouring heads' states stay as they were.
      ASSERT_EQ(row_state[1], 0.0F);
      ASSERT_EQ(row_state[static_cast<size_t>(shape.heads + 1) * attention_state_floats(shape.dim) + 1], 0.0F);
    }
  }
}

TEST_P(Attention, BlocksMayComeInSeveralCalls) {
  const Problem problem({.dim = 64, .heads = 7, .rows = 30, .first_position = 290, .window = 200}, scalar(), 3);
  const auto wanted = problem.run_all(scalar());
  for (int cut = 1; cut < problem.blocks(); ++cut) {
    std::vector<float> state(problem.state_size());
    problem.run(tested(), problem.rows(), 0, cut, state);
    problem.run(tested(), problem.rows(), cut, problem.blocks(), state);
    expect_same(state, wanted);
  }
}

TEST_P(Attention, AnyGroupAndOrderOfRowsGivesTheSameBits) {
  const Problem problem({.dim = 80, .heads = 3, .rows = 40, .first_position = 40, .window = 70}, scalar(), 4);
  const auto wanted = problem.run_all(scalar());
  auto rows = problem.rows();
  std::shuffle(rows.begin(), rows.end(), std::mt19937(5));
  for (const size_t group : {size_t{1}, size_t{2}, size_t{5}, size_t{19}, size_t{40}}) {
    std::vector<float> state(problem.state_size());
    for (size_t i = 0; i < rows.size(); i += group) {
      const auto part = std::span(rows).subspan(i, std::min(group, rows.size() - i));
      problem.run(tested(), part, 0, problem.blocks(), state);
    }
    expect_same(state, wanted);
  }
}

TEST_P(Attention, TheHostsFloatEnvironmentDoesNotMatter) {
  const Problem problem({.dim = 16,
                         .heads = 2,
                         .rows = 20,
                         .first_position = 100,
                         .format = KvFormat::kF32,
                         .spread = 60.0F,
                         .value_size = 2e-38F},
                        scalar(), 6);
  const auto wanted = problem.run_all(scalar());
  ASSERT_TRUE(std::any_of(wanted.begin(), wanted.end(), [](float x) { return std::fpclassify(x) == FP_SUBNORMAL; }));
  const unsigned saved = _mm_getcsr();
  _mm_setcsr(saved | 0x8040);  // flush to zero, denormals are zero
  std::vector<float> got;
  {
    const FloatEnvironment environment;
    got = problem.run_all(tested());
  }
  _mm_setcsr(saved);
  expect_same(got, wanted);
}

// A query whose dots are all NaN must not pass for one that saw nothing.
TEST_P(Attention, NanStaysVisible) {
  const int dim = 8;
  const Problem problem({.dim = dim, .heads = 1, .rows = 2, .first_position = 70}, scalar(), 7);
  std::vector<float> state(problem.state_size());
  AlignedBuffer<uint8_t> scratch(attention_scratch_bytes());
  const std::vector<float> q(static_cast<size_t>(dim), std::numeric_limits<float>::quiet_NaN());
  const int32_t positions[] = {70};
  const int32_t rows[] = {0};
  const void* blocks[] = {problem.page(0).data(), problem.page(1).data()};
  AttentionArgs args;
  args.dim = dim;
  args.rows = rows;
  args.positions = positions;
  args.head_count = 1;
  args.q = q.data();
  args.blocks = blocks;
  args.state = state.data();
  args.state_heads = 1;
  args.scratch = scratch.data();
  tested().run(args);
  for (int d = 0; d < dim; ++d) EXPECT_TRUE(std::isnan(state[static_cast<size_t>(2 + d)]));
}

// K's first dimension is the score itself and V the unit matrix, so that o shows every p: exp over all floats below 0.
TEST_P(Attention, WeightsAreTheScalarExp) {
  constexpr int kDim = kBlockPositions;
  AlignedBuffer<float> block(kv_head_block_elements(kDim));
  for (int j = 0; j < kBlockPositions; ++j) block[static_cast<size_t>((kBlockPositions + j) * kDim + j)] = 1.0F;
  std::vector<float> q(kDim);
  q[0] = 1.0F;
  AlignedBuffer<uint8_t> scratch(attention_scratch_bytes());
  const int32_t positions[] = {kBlockPositions - 1};
  const int32_t rows[] = {0};
  const void* blocks[] = {block.data()};
  std::vector<float> state(attention_state_floats(kDim));
  AttentionArgs args;
  args.format = KvFormat::kF32;
  args.dim = kDim;
  args.rows = rows;
  args.positions = positions;
  args.head_count = 1;
  args.q = q.data();
  args.blocks = blocks;
  args.state = state.data();
  args.state_heads = 1;
  args.scratch = scratch.data();
  // From -0 down to about -200, and the edge where exp becomes 0.
  std::vector<float> scores;
  for (uint32_t bits = 0x80000000U; bits < 0xc3480000U; bits += 6421) scores.push_back(std::bit_cast<float>(bits));
  for (uint32_t bits = 0xc2aeac00U; bits < 0xc2aeac80U; ++bits) scores.push_back(std::bit_cast<float>(bits));
  for (size_t i = 0; i + 63 <= scores.size(); i += 63) {
    std::copy_n(scores.begin() + static_cast<ptrdiff_t>(i), 63, block.data() + 1);
    std::fill(state.begin(), state.end(), 0.0F);
    tested().run(args);
    ASSERT_EQ(state[2], 1.0F);
    for (size_t j = 1; j < 64; ++j) {
      ASSERT_EQ(std::bit_cast<uint32_t>(state[2 + j]), std::bit_cast<uint32_t>(exp_f32(block[j]))) << block[j];
    }
  }
}

TEST_P(Attention, StoresTheScalarBytes) {
  std::mt19937 random(8);
  for (const KvFormat format : {KvFormat::kF16, KvFormat::kF32}) {
    for (const int dim : {8, 64, 80, 256}) {
      AlignedBuffer<uint8_t> got(kv_head_block_bytes(dim, format));
      AlignedBuffer<uint8_t> wanted(got.size());
      std::vector<float> k(static_cast<size_t>(dim * kBlockPositions));
      std::vector<float> v(k.size());
      for (auto* rows : {&k, &v}) {
        for (float& x : *rows) {
          // Any exponent: subnormal halves, ties, overflow; NaN's payload is free, so none.
          do {
            x = std::bit_cast<float>(static_cast<uint32_t>(random() & 0xffffe001U));
          } while (std::isnan(x));
        }
      }
      for (int offset = 0; offset < kBlockPositions; ++offset) {
        tested().store(format, k.data() + offset * dim, v.data() + offset * dim, 0, 1, dim, offset, got.data());
        scalar().store(format, k.data() + offset * dim, v.data() + offset * dim, 0, 1, dim, offset, wanted.data());
      }
      ASSERT_EQ(std::memcmp(got.data(), wanted.data(), got.size()), 0) << dim;
      std::memset(got.data(), 0xee, got.size());
      int offset = 0;
      for (const int count : {1, 8, 7, 17, 31}) {
        tested().store(format, k.data() + offset * dim, v.data() + offset * dim, dim, count, dim, offset, got.data());
        offset += count;
      }
      ASSERT_EQ(offset, kBlockPositions);
      ASSERT_EQ(std::memcmp(got.data(), wanted.data(), got.size()), 0) << dim;
    }
  }
}

TEST(AttentionStore, LaysKeysDimensionMajorAndValuesPositionMajor) {
  const int dim = 8;
  AlignedBuffer<uint8_t> page(kv_head_block_bytes(dim, KvFormat::kF16));
  const float k[dim] = {1, 2, 3, 4, 5, 6, 7, 8};
  const float v[dim] = {-1, -2, -3, -4, -5, -6, -7, 1.0F + 0x1p-11F};
  scalar().store(KvFormat::kF16, k, v, 0, 1, dim, 5, page.data());
  const auto* halves = reinterpret_cast<const uint16_t*>(page.data());
  for (int d = 0; d < dim; ++d) EXPECT_EQ(f16_to_f32(halves[d * 64 + 5]), k[d]);
  for (int d = 0; d < dim - 1; ++d) EXPECT_EQ(f16_to_f32(halves[dim * 64 + 5 * dim + d]), v[d]);
  EXPECT_EQ(f16_to_f32(halves[dim * 64 + 5 * dim + 7]), 1.0F) << "a tie goes to the even neighbour";
}

INSTANTIATE_TEST_SUITE_P(, Attention, testing::ValuesIn(all_attention_kernels().begin(), all_attention_kernels().end()),
                         [](const auto& kernels) { return isa_name(kernels.param.isa); });

}  // namespace
}  // namespace batchwright

#include "decode/logprobs.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

namespace batchwright {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

std::vector<float> random_row(size_t n, uint64_t seed, float spread) {
  std::mt19937_64 random(seed);
  std::normal_distribution<float> normal(0.0F, spread);
  std::vector<float> row(n);
  for (float& x : row) x = normal(random);
  return row;
}

double logprob_f64(const std::vector<float>& row, size_t target) {
  const double maximum = *std::max_element(row.begin(), row.end());
  double sum = 0;
  for (const float x : row) sum += std::exp(double{x} - maximum);
  return double{row[target]} - maximum - std::log(sum);
}

TEST(Logprobs, AreThoseOfTheSoftmax) {
  const RowKernels& kernels = row_kernels(Isa::kScalar);
  for (const size_t n : {size_t{1}, size_t{17}, size_t{4097}, size_t{50000}}) {
    for (const float spread : {0.0F, 1.0F, 20.0F}) {
      const std::vector<float> row = random_row(n, n, spread);
      for (const size_t target : {size_t{0}, n / 2, n - 1}) {
        const float got = target_logprob(row, static_cast<TokenId>(target), kernels).value();
        EXPECT_NEAR(got, logprob_f64(row, target), 2e-5 + 2e-7 * std::abs(got)) << n << " " << spread;
      }
    }
  }
}

TEST(Logprobs, EveryPathGivesTheSameBits) {
  const RowKernels& kernels = row_kernels(Isa::kScalar);
  const std::vector<float> row = random_row(10000, 3, 4.0F);
  const TokenLogprobs all = token_logprobs(row, 77, 10000, kernels).value();
  ASSERT_EQ(all.top.size(), 10000U);
  for (const TokenLogprob& entry : all.top) {
    if (entry.token == 77) {
      EXPECT_EQ(entry.logprob, all.chosen.logprob);
    }
    if (entry.token % 100 == 0) {
      EXPECT_EQ(entry.logprob, target_logprob(row, entry.token, kernels).value());
    }
  }
  for (const RowKernels& other : all_row_kernels()) {
    EXPECT_EQ(token_logprobs(row, 77, 0, other).value().chosen.logprob, all.chosen.logprob);
  }
}

TEST(Logprobs, TopIsSortedWithLowerIdsFirstAmongEquals) {
  const RowKernels& kernels = row_kernels(Isa::kScalar);
  std::mt19937_64 random(11);
  for (int round = 0; round < 50; ++round) {
    std::vector<float> row(1 + random() % 300);
    for (float& x : row) x = static_cast<float>(random() % 7);
    if (round % 3 == 0) row[random() % row.size()] = -kInfinity;
    if (row.size() == 1) row[0] = 0;
    const int top_n = static_cast<int>(random() % 25);
    const LogNormaliser normaliser = log_normaliser(row, kernels).value();
    std::vector<TokenLogprob> expected;
    for (size_t i = 0; i < row.size(); ++i) {
      expected.push_back({static_cast<TokenId>(i), normaliser.logprob(row[i])});
    }
    std::stable_sort(expected.begin(), expected.end(), [](auto& a, auto& b) { return a.logprob > b.logprob; });
    expected.resize(std::min(expected.size(), static_cast<size_t>(top_n)));
    const auto got = token_logprobs(row, 0, top_n, kernels).value().top;
    ASSERT_EQ(got.size(), expected.size());
    for (size_t i = 0; i < got.size(); ++i) {
      EXPECT_EQ(got[i].token, expected[i].token);
      EXPECT_EQ(got[i].logprob, expected[i].logprob);
    }
  }
}

// 1e8 and its neighbour differ, their log-probabilities do not where the sum's logarithm swallows the difference.
TEST(Logprobs, TopSortsByWhatIsPrinted) {
  const RowKernels& kernels = row_kernels(Isa::kScalar);
  std::vector<float> row(100000, 0.0F);
  row[10] = 1e-8F;
  const auto top = token_logprobs(row, 10, 2, kernels).value().top;
  EXPECT_EQ(top[0].logprob, top[1].logprob);
  EXPECT_EQ(top[0].token, 0);
  EXPECT_EQ(top[1].token, 1);
}

TEST(Logprobs, ImpossibleTokenHasMinusInfinity) {
  const std::vector<float> row{0.0F, -kInfinity, 0.0F};
  EXPECT_EQ(target_logprob(row, 1, row_kernels(Isa::kScalar)).value(), -kInfinity);
  EXPECT_NEAR(target_logprob(row, 0, row_kernels(Isa::kScalar)).value(), -std::log(2.0), 1e-6);
}

TEST(Logprobs, BrokenRowsFail) {
  const RowKernels& kernels = row_kernels(Isa::kScalar);
  for (const float broken : {kInfinity, std::numeric_limits<float>::quiet_NaN()}) {
    std::vector<float> row(100, 1.0F);
    row[63] = broken;
    const auto result = token_logprobs(row, 0, 3, kernels);
    ASSERT_FALSE(result.ok());
    EXPECT_EQ(result.status().code(), StatusCode::kInvalidData);
    EXPECT_NE(result.status().message().find("token 63"), std::string::npos) << result.status().message();
  }
  EXPECT_FALSE(token_logprobs(std::vector<float>(8, -kInfinity), 0, 0, kernels).ok());
}

}  // namespace
}  // namespace batchwright

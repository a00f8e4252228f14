#include "plan/length_prior.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <vector>

#include "base/random.h"

namespace batchwright {
namespace {

using enum LengthScenario;

double mean_tokens(const LengthPrior& prior, const AnswerBounds& bounds, LengthScenario scenario, uint64_t rows) {
  double sum = 0;
  for (uint64_t row = 0; row < rows; ++row) sum += prior.answer_tokens(bounds, scenario, row);
  return sum / static_cast<double>(rows);
}

double normal(SplitMix64& random) {
  const auto uniform = [&] { return (static_cast<double>(random.next() >> 11) + 0.5) / 0x1p53; };
  const double radius = std::sqrt(-2 * std::log(uniform()));
  return radius * std::cos(6.283185307179586 * uniform());
}

TEST(LengthPrior, WhatIsKnownIsSaid) {
  const LengthPrior prior;
  const AnswerBounds to_the_end{77, 77};
  for (const LengthScenario scenario : {kLow, kExpected, kHigh}) {
    for (uint64_t row = 0; row < 50; ++row) {
      EXPECT_EQ(prior.answer_tokens(to_the_end, scenario, row), 77U);
      const AnswerBounds none{1, 0};
      EXPECT_EQ(prior.answer_tokens(none, scenario, row), 0U);
      const AnswerBounds bounded{20, 40};
      EXPECT_GE(prior.answer_tokens(bounded, scenario, row), 20U);
      EXPECT_LE(prior.answer_tokens(bounded, scenario, row), 40U);
    }
  }
}

TEST(LengthPrior, OutOfAListAnyIsAsLikely) {
  const LengthPrior prior;
  const AnswerBounds list{2, 12, true};
  EXPECT_NEAR(mean_tokens(prior, list, kExpected, 1000), 7, 0.1);
  EXPECT_NEAR(mean_tokens(prior, list, kLow, 1000), 4.5, 0.1);
  EXPECT_NEAR(mean_tokens(prior, list, kHigh, 1000), 9.5, 0.1);
}

TEST(LengthPrior, RowsAreSpreadAsTheDistributionIs) {
  const LengthPrior prior;
  const AnswerBounds free{1, 100000};
  std::vector<uint32_t> tokens;
  for (uint64_t row = 0; row < 1001; ++row) tokens.push_back(prior.answer_tokens(free, kExpected, row));
  std::sort(tokens.begin(), tokens.end());
  EXPECT_NEAR(tokens[500], LengthPrior::kMedian, 1);
  EXPECT_NEAR(tokens[841], LengthPrior::kMedian * std::exp(LengthPrior::kWithinTask), 3);
  EXPECT_NEAR(tokens[158], LengthPrior::kMedian * std::exp(-LengthPrior::kWithinTask), 2);
  // A few neighbours, too, are neither all short nor all long.
  EXPECT_NEAR(mean_tokens(prior, free, kExpected, 20), mean_tokens(prior, free, kExpected, 100000), 15);
}

// Jobs of tasks as the prior sees them: the range holds four in five of them, whatever max_tokens cuts.
TEST(LengthPrior, TheRangeHoldsFourInFive) {
  constexpr int kJobs = 1000;
  constexpr uint64_t kRows = 300;
  const LengthPrior prior;
  for (const uint32_t most : {uint32_t{256}, uint32_t{100000}}) {
    const AnswerBounds bounds{1, most};
    const double low = mean_tokens(prior, bounds, kLow, kRows);
    const double high = mean_tokens(prior, bounds, kHigh, kRows);
    SplitMix64 random(most);
    int inside = 0;
    for (int job = 0; job < kJobs; ++job) {
      const double task = LengthPrior::kMedian * std::exp(LengthPrior::kBetweenTasks * normal(random));
      double sum = 0;
      for (uint64_t row = 0; row < kRows; ++row) {
        const double tokens = task * std::exp(LengthPrior::kWithinTask * normal(random));
        sum += std::clamp(std::round(tokens), 1.0, static_cast<double>(most));
      }
      const double mean = sum / kRows;
      inside += mean >= low && mean <= high ? 1 : 0;
    }
    std::printf("max_tokens %u: %d of %d jobs within %.0f and %.0f tokens\n", most, inside, kJobs, low, high);
    EXPECT_NEAR(inside, 0.8 * kJobs, 0.05 * kJobs);
  }
}

TEST(LengthPrior, AFewTokensAtMostMayBeLabels) {
  const LengthPrior prior;
  const AnswerBounds label{1, 8};
  EXPECT_LT(mean_tokens(prior, label, kLow, 1000), 1.5);
  EXPECT_NEAR(mean_tokens(prior, label, kExpected, 1000), 4.4, 0.4);
  EXPECT_GT(mean_tokens(prior, label, kHigh, 1000), 7.5);
}

TEST(LengthPrior, WhatEarlierRowsSaidTakesItsPlace) {
  AnswerLengths learnt;
  SplitMix64 random(5);
  for (int i = 0; i < 400; ++i) learnt.record(9, 20 + static_cast<int>(random.below(21)));
  constexpr int kFew = static_cast<int>(AnswerLengths::kEnough) - 1;
  for (int i = 0; i < kFew; ++i) learnt.record(10, 5);
  const LengthPrior prior(&learnt);
  const AnswerBounds known{1, 1000, false, 9};
  EXPECT_NEAR(mean_tokens(prior, known, kExpected, 1000), 30, 0.5);
  // 400 of them leave a mean open by 0.3 tokens.
  EXPECT_NEAR(mean_tokens(prior, known, kLow, 1000), 29.6, 0.5);
  EXPECT_NEAR(mean_tokens(prior, known, kHigh, 1000), 30.4, 0.5);
  EXPECT_LT(mean_tokens(prior, known, kLow, 1000), mean_tokens(prior, known, kHigh, 1000));
  // So few are no news of a group: of it all of them tell.
  const AnswerBounds unknown{1, 1000, false, 10};
  EXPECT_NEAR(mean_tokens(prior, unknown, kExpected, 1000), (400 * 30 + kFew * 5) / (400.0 + kFew), 0.5);
  const AnswerBounds label{2, 7, true, 10};
  EXPECT_EQ(mean_tokens(prior, label, kExpected, 100), mean_tokens(LengthPrior(), label, kExpected, 100));
  // And as few of all none of anything.
  AnswerLengths few;
  for (int i = 0; i < kFew; ++i) few.record(9, 5);
  EXPECT_EQ(mean_tokens(LengthPrior(&few), known, kExpected, 100), mean_tokens(LengthPrior(), known, kExpected, 100));
}

}  // namespace
}  // namespace batchwright

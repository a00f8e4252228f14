#include "schedule/answer_lengths.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <climits>
#include <cmath>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <vector>

#include "base/random.h"

namespace batchwright {
namespace {

TEST(AnswerLengths, BeforeAnythingIsKnown) {
  const AnswerLengths lengths;
  EXPECT_EQ(lengths.expected(0, 32000, 1), AnswerLengths::kPrior);
  EXPECT_EQ(lengths.expected(0, 5, 1), 5);
  EXPECT_EQ(lengths.expected(0, 32000, 1, AnswerLengths::kPrior), AnswerLengths::kPrior)
      << "nothing is known of longer";
}

TEST(AnswerLengths, TheFirstShortOnesAreNotBelieved) {
  AnswerLengths lengths;
  for (size_t i = 1; i < AnswerLengths::kEnough; ++i) lengths.record(0, 3);
  EXPECT_EQ(lengths.expected(0, 32000, 1), AnswerLengths::kPrior);
  lengths.record(0, 3);
  EXPECT_EQ(lengths.expected(0, 32000, 1), 3);
  AnswerLengths long_ones;
  for (int i = 0; i < 5; ++i) long_ones.record(0, 900);
  EXPECT_EQ(long_ones.expected(0, 32000, 1), 900);
}

// Over many rows.
struct Draws {
  double mean = 0;
  int least = INT_MAX;
  int most = 0;
  double share_of_most = 0;
};
Draws draw(const AnswerLengths& lengths, int generated) {
  Draws draws;
  std::map<int, int> counts;
  constexpr int kRows = 3000;
  for (uint64_t row = 1; row <= kRows; ++row) ++counts[lengths.expected(0, 32000, row, generated)];
  for (const auto& [tokens, count] : counts) draws.mean += static_cast<double>(tokens) * count / kRows;
  draws.least = counts.begin()->first;
  draws.most = counts.rbegin()->first;
  draws.share_of_most = static_cast<double>(counts.rbegin()->second) / kRows;
  return draws;
}

TEST(AnswerLengths, AreDrawnFromTheLongerHalf) {
  AnswerLengths lengths;
  for (int i = 0; i < 1000; ++i) lengths.record(0, i * 7 % 1000);  // each of 0 .. 999 once
  const Draws first = draw(lengths, 0);
  EXPECT_EQ(first.least, 500);
  EXPECT_EQ(first.most, 999);
  EXPECT_NEAR(first.mean, 750, 1);
  // Who got so far: of 800 .. 999.
  const Draws later = draw(lengths, 799);
  EXPECT_EQ(later.least, 900);
  EXPECT_EQ(later.most, 999);
  EXPECT_NEAR(later.mean, 950, 1);
  EXPECT_EQ(lengths.expected(0, 500, 1), 500);
  EXPECT_EQ(lengths.expected(0, 32000, 1, 999), 999) << "nothing longer is known";
  // What was long ago is forgotten.
  for (int i = 0; i < 1024; ++i) lengths.record(0, 10);
  EXPECT_EQ(draw(lengths, 0).most, 10);
}

// Whether chance brought some more or fewer of the long ones than one in five matters little.
TEST(AnswerLengths, OfTwoLengthsBothAreExpected) {
  for (const int long_ones : {170, 200, 230}) {
    AnswerLengths lengths;
    for (int i = 0; i < 1000; ++i) lengths.record(0, i < long_ones ? 1500 : 60);
    const Draws first = draw(lengths, 0);
    EXPECT_EQ(first.least, 60);
    EXPECT_EQ(first.most, 1500);
    EXPECT_NEAR(first.share_of_most, long_ones / 500.0, 0.01);
    EXPECT_EQ(draw(lengths, 60).least, 1500) << "who outlives the one has the other";
  }
}

TEST(AnswerLengths, GroupsAreJudgedByTheirOwnOnceTheyAreKnown) {
  AnswerLengths lengths;
  for (size_t i = 0; i < AnswerLengths::kEnough; ++i) {
    lengths.record(1, 10);
    lengths.record(2, 500);
  }
  EXPECT_EQ(lengths.expected(1, 32000, 1), 10);
  EXPECT_EQ(lengths.expected(2, 32000, 1), 500);
  // Of another nothing is known but what all say.
  EXPECT_EQ(lengths.expected(3, 32000, 1), 500);
  EXPECT_EQ(lengths.lengths(1).mean(), 10);
  EXPECT_EQ(lengths.lengths(3).mean(), 255);
}

TEST(AnswerLengths, GroupsThatGrewSilentGiveWay) {
  AnswerLengths lengths;
  const auto record_enough = [&](uint32_t group, int tokens) {
    for (size_t i = 0; i < AnswerLengths::kEnough; ++i) lengths.record(group, tokens);
  };
  record_enough(1, 10);
  record_enough(2, 20);
  for (uint32_t other = 100; other < 100 + AnswerLengths::kGroupsMax - 2; ++other) lengths.record(other, 900);
  EXPECT_EQ(lengths.expected(1, 32000, 1), 10);
  lengths.record(1, 10);
  lengths.record(7, 900);  // one too many: 2 has been silent for the longest time
  EXPECT_EQ(lengths.expected(1, 32000, 1), 10);
  EXPECT_EQ(lengths.expected(2, 32000, 1), 900);
}

TEST(AnswerLengths, QuantilesAreThoseOfTheLastAnswers) {
  constexpr uint64_t kSeed = 20260;
  SplitMix64 random(kSeed);
  SCOPED_TRACE(kSeed);
  LengthSample sample;
  std::deque<int> last;
  EXPECT_EQ(sample.quantile(0.5), 0);
  EXPECT_EQ(sample.mean(), 0);
  for (int i = 0; i < 5000; ++i) {
    const int tokens = static_cast<int>(random.below(1 + random.below(400)));
    sample.record(tokens);
    last.push_back(tokens);
    if (last.size() > LengthSample::kRemembered) last.pop_front();
    if (i % 500 != 499) continue;
    std::vector<int> sorted(last.begin(), last.end());
    std::sort(sorted.begin(), sorted.end());
    ASSERT_EQ(sample.size(), sorted.size());
    double sum = 0;
    for (const int length : sorted) sum += length;
    EXPECT_DOUBLE_EQ(sample.mean(), sum / static_cast<double>(sorted.size()));
    double squares = 0;
    for (const int length : sorted) squares += (length - sample.mean()) * (length - sample.mean());
    EXPECT_NEAR(sample.deviation(), std::sqrt(squares / static_cast<double>(sorted.size())), 1e-6);
    EXPECT_EQ(sample.quantile(1), sorted.back());
    EXPECT_EQ(sample.quantile(0), sorted.front());
    for (const double q : {0.1, 0.5, 0.9}) {
      const auto longer = std::count_if(sorted.begin(), sorted.end(), [&](int t) { return t > sample.quantile(q); });
      EXPECT_LE(static_cast<double>(longer), (1 - q) * static_cast<double>(sorted.size()));
      EXPECT_TRUE(std::binary_search(sorted.begin(), sorted.end(), sample.quantile(q)));
    }
    EXPECT_GT(sample.quantile_beyond(50, 0), 50);
    EXPECT_EQ(sample.quantile_beyond(sorted.back(), 0.5), sorted.back());
  }
}

TEST(AnswerGroup, IsThatOfAnInstructionAndWhatMayFollow) {
  Request first;
  first.prompt.assign(40, 7);
  Request second = first;
  second.prompt.push_back(8);  // the row's own text
  EXPECT_EQ(answer_group(first), answer_group(second));
  second.max_tokens = 17;
  EXPECT_NE(answer_group(first), answer_group(second));
  second = first;
  second.prompt[3] = 6;
  EXPECT_NE(answer_group(first), answer_group(second));
  second = first;
  second.allowed_answers = std::make_shared<const AllowedAnswers>();
  EXPECT_NE(answer_group(first), answer_group(second));
  second = first;
  second.prompt.resize(3);
  EXPECT_NE(answer_group(first), answer_group(second));
}

}  // namespace
}  // namespace batchwright

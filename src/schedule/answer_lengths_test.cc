#include "schedule/answer_lengths.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <deque>
#include <memory>
#include <vector>

#include "base/random.h"

namespace batchwright {
namespace {

TEST(AnswerLengths, BeforeAnythingIsKnown) {
  const AnswerLengths lengths;
  EXPECT_EQ(lengths.expected(0, 32000), AnswerLengths::kPrior);
  EXPECT_EQ(lengths.expected(0, 5), 5);
}

TEST(AnswerLengths, TheFirstShortOnesAreNotBelieved) {
  AnswerLengths lengths;
  for (size_t i = 1; i < AnswerLengths::kEnough; ++i) lengths.record(0, 3);
  EXPECT_EQ(lengths.expected(0, 32000), AnswerLengths::kPrior);
  lengths.record(0, 3);
  EXPECT_EQ(lengths.expected(0, 32000), 3);
  AnswerLengths long_ones;
  for (int i = 0; i < 5; ++i) long_ones.record(0, 900);
  EXPECT_EQ(long_ones.expected(0, 32000), 900);
}

TEST(AnswerLengths, OneInFiveIsLonger) {
  AnswerLengths lengths;
  for (int i = 0; i < 1000; ++i) lengths.record(0, i * 7 % 1000);  // each of 0 .. 999 once
  EXPECT_EQ(lengths.expected(0, 32000), 800);
  EXPECT_EQ(lengths.expected(0, 700), 700);
  // What was long ago is forgotten.
  for (int i = 0; i < 1024; ++i) lengths.record(0, 10);
  EXPECT_EQ(lengths.expected(0, 32000), 10);
}

TEST(AnswerLengths, GroupsAreJudgedByTheirOwnOnceTheyAreKnown) {
  AnswerLengths lengths;
  for (size_t i = 0; i < AnswerLengths::kEnough; ++i) {
    lengths.record(1, 10);
    lengths.record(2, 500);
  }
  EXPECT_EQ(lengths.expected(1, 32000), 10);
  EXPECT_EQ(lengths.expected(2, 32000), 500);
  // Of another nothing is known but what all say.
  EXPECT_EQ(lengths.expected(3, 32000), 500);
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
  EXPECT_EQ(lengths.expected(1, 32000), 10);
  lengths.record(1, 10);
  lengths.record(7, 900);  // one too many: 2 has been silent for the longest time
  EXPECT_EQ(lengths.expected(1, 32000), 10);
  EXPECT_EQ(lengths.expected(2, 32000), 900);
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

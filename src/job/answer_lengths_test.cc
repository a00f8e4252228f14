#include "job/answer_lengths.h"

#include <gtest/gtest.h>

namespace batchwright {
namespace {

TEST(AnswerLengths, BeforeAnythingIsKnown) {
  const AnswerLengths lengths;
  EXPECT_EQ(lengths.expected(32000), AnswerLengths::kPrior);
  EXPECT_EQ(lengths.expected(5), 5);
}

TEST(AnswerLengths, TheFirstShortOnesAreNotBelieved) {
  AnswerLengths lengths;
  for (size_t i = 1; i < AnswerLengths::kEnough; ++i) lengths.record(3);
  EXPECT_EQ(lengths.expected(32000), AnswerLengths::kPrior);
  lengths.record(3);
  EXPECT_EQ(lengths.expected(32000), 3);
  AnswerLengths long_ones;
  for (int i = 0; i < 5; ++i) long_ones.record(900);
  EXPECT_EQ(long_ones.expected(32000), 900);
}

TEST(AnswerLengths, OneInTwentyIsLonger) {
  AnswerLengths lengths;
  for (int i = 0; i < 1000; ++i) lengths.record(i * 7 % 1000);  // each of 0 .. 999 once
  EXPECT_EQ(lengths.expected(32000), 949);
  EXPECT_EQ(lengths.expected(800), 800);
  // What was long ago is forgotten.
  for (int i = 0; i < 1024; ++i) lengths.record(10);
  EXPECT_EQ(lengths.expected(32000), 10);
}

}  // namespace
}  // namespace batchwright

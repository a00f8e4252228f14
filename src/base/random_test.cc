#include "base/random.h"

#include <gtest/gtest.h>

namespace batchwright {
namespace {

// Of the program that the authors publish (https://prng.di.unimi.it/splitmix64.c).
TEST(SplitMix64Test, GivesTheNumbersOfItsAuthors) {
  SplitMix64 random(1234567);
  EXPECT_EQ(random.next(), 6457827717110365317U);
  EXPECT_EQ(random.next(), 3203168211198807973U);
  EXPECT_EQ(random.next(), 9817491932198370423U);
  EXPECT_EQ(random.next(), 4593380528125082431U);
  EXPECT_EQ(random.next(), 16408922859458223821U);
}

TEST(SplitMix64Test, StaysBelowTheBound) {
  SplitMix64 random(0);
  SplitMix64 whole(0);
  for (uint64_t bound = 1; bound < 100; ++bound) EXPECT_EQ(random.below(bound), whole.next() % bound);
}

}  // namespace
}  // namespace batchwright

#include "plan/step_columns.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

namespace batchwright {
namespace {

StepSample sample(double begin, double seconds, int64_t decode, int64_t prompt = 0) {
  return {begin, seconds, 100, decode, prompt, 2 * prompt, static_cast<size_t>(1000 * decode)};
}

TEST(StepColumns, AStepIsDividedByItsTimeInEachColumn) {
  StepColumns steps(10);
  steps.add(sample(5.0, 0.0035, 7, 70));
  ASSERT_EQ(steps.columns().size(), 4U);
  EXPECT_NEAR(steps.column_seconds(), 0.001, 1e-12);
  for (size_t i = 0; i < 4; ++i) {
    const StepColumn& column = steps.columns()[i];
    const double seconds = i < 3 ? 0.001 : 0.0005;
    EXPECT_NEAR(column.busy_seconds, seconds, 1e-9);
    EXPECT_NEAR(column.decode_seconds / column.busy_seconds, 7, 1e-6);
    EXPECT_NEAR(column.prompt_seconds / column.busy_seconds, 70, 1e-6);
    EXPECT_NEAR(column.prompt_tokens_computed, 70 * seconds / 0.0035, 1e-4);
    EXPECT_EQ(column.kv_bytes_max, 7000U);
  }
  EXPECT_NEAR(steps.seconds(), 0.0035, 1e-9);
}

TEST(StepColumns, WideningKeepsAllSums) {
  for (uint32_t seed = 0; seed < 20; ++seed) {
    std::mt19937 random(seed);
    StepColumns steps(16);
    double at = 1e6;
    double busy = 0;
    double decode_seconds = 0;
    double prompt = 0;
    double filled = 0;
    int64_t tokens = 0;
    size_t most = 0;
    for (int i = 0; i < 500; ++i) {
      const double scale = i < 250 ? 1e-4 : 10;
      const StepSample step = sample(at, scale * static_cast<double>(1 + random() % 100),
                                     static_cast<int64_t>(random() % 64), static_cast<int64_t>(random() % 9));
      steps.add(step);
      at += step.seconds * (random() % 4 == 0 ? 2 : 1);
      busy += step.seconds;
      decode_seconds += step.seconds * static_cast<double>(step.decode_tokens);
      prompt += static_cast<double>(step.prompt_tokens);
      tokens += step.decode_tokens + step.prompt_tokens_computed;
      filled += static_cast<double>(step.decode_tokens + step.prompt_tokens_computed) / 100;
      most = std::max(most, step.kv_bytes);
      ASSERT_LE(steps.columns().size(), 16U);
    }
    const StepColumn total = steps.total();
    EXPECT_NEAR(total.busy_seconds / busy, 1, 1e-9) << "seed " << seed;
    EXPECT_NEAR(total.decode_seconds / decode_seconds, 1, 1e-9) << "seed " << seed;
    EXPECT_NEAR(total.prompt_tokens / prompt, 1, 1e-9) << "seed " << seed;
    EXPECT_EQ(total.kv_bytes_max, most);
    EXPECT_EQ(steps.steps(), 500);
    EXPECT_EQ(steps.tokens(), tokens);
    EXPECT_NEAR(steps.mean_fill(), filled / 500, 1e-9);
    // More than half of the columns are in use, unless the last step made them wider.
    EXPECT_GE(steps.columns().size(), 8U);
    EXPECT_LE(steps.seconds(), steps.column_seconds() * 16);
  }
}

TEST(StepColumns, AGapIsEmpty) {
  StepColumns steps(100);
  steps.add(sample(0, 0.01, 5));
  steps.add(sample(0.05, 0.01, 5));
  EXPECT_GT(steps.columns()[5].busy_seconds, 0);
  for (size_t i = 12; i < 48; ++i) EXPECT_EQ(steps.columns()[i].busy_seconds, 0) << i;
}

TEST(StepColumns, TimesThatAreNoneAreLeftOut) {
  StepColumns steps;
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  for (const double wrong : {kNan, kInfinity, -1.0, 0.0}) steps.add(sample(0, wrong, 1));
  steps.add(sample(kNan, 1, 1));
  steps.add(sample(-kInfinity, 1, 1));
  EXPECT_EQ(steps.steps(), 0);
  EXPECT_TRUE(steps.columns().empty());
  // Clocks that go back are bent straight.
  steps.add(sample(10, 1, 1));
  steps.add(sample(9, 1, 1));
  EXPECT_EQ(steps.steps(), 2);
  EXPECT_NEAR(steps.seconds(), 1, 1e-9);
  // Ages later.
  steps.add(sample(1e11, 1, 1));
  EXPECT_LE(steps.columns().size(), 240U);
}

}  // namespace
}  // namespace batchwright

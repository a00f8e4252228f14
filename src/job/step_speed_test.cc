#include "job/step_speed.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/random.h"

namespace batchwright {
namespace {

CostModel machine() {
  CostModel model;
  model.shape.classes = {{0, 1}};
  model.fixed_seconds = 0.002;
  model.layers = CostCurve({{1, 0.006}, {48, 0.006}, {512, 0.064}});
  model.argmax = CostCurve({{1, 0.001}, {64, 0.02}});
  return model;
}

const StepTokens kPrompts{448, 0, 0, 0, 750, 1500, 0};
const StepTokens kAnswers{0, 64, 0, 180, 0, 0, 180};
const StepTokens kBoth{384, 64, 0, 100, 750, 1500, 100};

// What steps of that model take here: those of prompts as it says, answers longer.
class StepSpeedTest : public testing::Test {
 protected:
  explicit StepSpeedTest() { here_.set_model(&model_); }

  double takes(const StepTokens& step) const {
    StepSpeed exact;
    exact.set_model(&model_);
    const double prompts = exact.seconds({step.prompt, 0, 0, 0, step.prompt_position, step.prompt_span, 0});
    const double answers = exact.seconds({0, step.decode, 0, step.decode_own, 0, 0, step.decode_position});
    const double all = exact.seconds(step);
    const double parts = prompts + answers;
    return speed_ * all * (prompts + answer_factor_ * answers) / parts;
  }
  void run(const StepTokens& step, int steps, double noise = 0.05) {
    for (int i = 0; i < steps; ++i) {
      const double random = static_cast<double>(random_.next() >> 11) * 0x1p-53;
      here_.record(step, takes(step) * (1 + noise * (random - 0.5)));
    }
  }
  void expect_near(const StepTokens& step, double error) const {
    EXPECT_NEAR(here_.seconds(step) / takes(step), 1, error);
  }

  CostModel model_ = machine();
  StepSpeed here_;
  double answer_factor_ = 1.3;
  double speed_ = 1;
  SplitMix64 random_{1};
};

TEST_F(StepSpeedTest, StepsOfBothKindsTellThemApart) {
  run(kBoth, 100);
  run(kAnswers, 500);
  expect_near(kAnswers, 0.02);
  expect_near(kBoth, 0.03);
  expect_near(kPrompts, 0.05);
}

TEST_F(StepSpeedTest, WholeLogitsCostTheirOwn) {
  model_.full = CostCurve({{1, 0.002}, {64, 0.03}});
  StepTokens whole = kAnswers;
  whole.decode_full = 64;
  EXPECT_NEAR(here_.seconds(whole) - here_.seconds(kAnswers), 0.01, 1e-9);
}

// Of 1,000 positions the first 500 see half as many in the mean as those behind them.
TEST_F(StepSpeedTest, WindowsEndWhatPromptsSee) {
  model_.shape.classes = {{500, 1}};
  model_.pair_seconds = 1e-6;
  const StepTokens prompt{1000, 0, 0, 0, 500, 1000, 0};
  const double seconds = here_.seconds(prompt);
  model_.pair_seconds = 0;
  EXPECT_NEAR(seconds - here_.seconds(prompt), 1e-6 * (500 * 250 + 500 * 500), 1e-9);
}

TEST_F(StepSpeedTest, ASlowerMachineIsSlowerInBoth) {
  answer_factor_ = 1;
  speed_ = 1.7;
  run(kAnswers, 100);
  expect_near(kAnswers, 0.02);
  expect_near(kPrompts, 0.1);
}

TEST_F(StepSpeedTest, FollowsWhatChanges) {
  run(kBoth, 200);
  speed_ = 1.5;
  run(kBoth, 200);
  expect_near(kBoth, 0.05);
  expect_near(kPrompts, 0.15);
}

TEST_F(StepSpeedTest, AStepThatHungIsForgotten) {
  run(kBoth, 50);
  here_.record(kBoth, 30 * takes(kBoth));
  run(kBoth, 50);
  expect_near(kBoth, 0.05);
}

TEST_F(StepSpeedTest, WithoutAModelTheTokensCount) {
  here_.set_model(nullptr);
  const auto takes = [](const StepTokens& step) { return 0.004 + 0.0002 * step.prompt + 0.0006 * step.decode; };
  EXPECT_EQ(here_.seconds({}), 0);
  for (int i = 0; i < 100; ++i) {
    const StepTokens step = i % 2 == 0 ? kBoth : kAnswers;
    here_.record(step, takes(step));
  }
  EXPECT_NEAR(here_.seconds(kAnswers) / takes(kAnswers), 1, 0.02);
  EXPECT_NEAR(here_.seconds(kPrompts) / takes(kPrompts), 1, 0.1);
}

}  // namespace
}  // namespace batchwright

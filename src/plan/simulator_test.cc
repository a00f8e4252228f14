#include "plan/simulator.h"

#include <gtest/gtest.h>

#include <vector>

namespace batchwright {
namespace {

// A step costs 1 s, and a token 1 ms.
CostModel plain_model() {
  CostModel model;
  model.shape.classes = {{}};
  model.fixed_seconds = 1;
  model.layers = CostCurve({{1, 0.001}, {1000, 1}});
  return model;
}

SimulationOptions plain_options(int32_t pages) {
  SimulationOptions options;
  options.max_batch = 4;
  options.max_batch_tokens = 256;
  options.requests_ahead = 8;
  options.page_classes = {{0, pages}};
  options.page_bytes = {1000};
  return options;
}

TEST(Simulator, OneRow) {
  SimulatedRow row;
  row.prompt_tokens = 300;
  row.answer_tokens = row.answer_runs = 5;
  const SimulationResult result = simulate(std::vector{row}, plain_options(10), plain_model());
  // 256 of the prompt, the rest with the first token of the answer, and four more.
  EXPECT_EQ(result.steps, 6);
  EXPECT_NEAR(result.seconds, 6 + 0.304, 1e-9);
  EXPECT_EQ(result.prompt_tokens, 300);
  EXPECT_EQ(result.prompt_tokens_computed, 300);
  EXPECT_EQ(result.generated_tokens, 5);
  EXPECT_EQ(result.kv_bytes_held_max, 5000U);
  EXPECT_EQ(result.kv_bytes_touched, 5000U);
  EXPECT_EQ(result.rows_ended, 1);
  EXPECT_EQ(result.preemptions, 0);
}

TEST(Simulator, WhatIsCommonIsComputedOnce) {
  std::vector<SimulatedRow> rows(3);
  for (SimulatedRow& row : rows) {
    row.prompt_tokens = 200;
    row.answer_tokens = row.answer_runs = 2;
  }
  rows[1].common_tokens = 150;
  rows[2].common_tokens = 140;
  rows[0].reused_tokens = 150;
  rows[1].reused_tokens = 140;
  EXPECT_EQ(simulate(rows, plain_options(100), plain_model()).prompt_tokens_computed, 200 + 50 + 60);
  SimulationOptions apart = plain_options(100);
  apart.share_prefixes = false;
  EXPECT_EQ(simulate(rows, apart, plain_model()).prompt_tokens_computed, 600);
}

}  // namespace
}  // namespace batchwright

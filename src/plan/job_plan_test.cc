#include "plan/job_plan.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace batchwright {
namespace {

// A step costs a millisecond and a token of it ten microseconds more.
CostModel cost_model() {
  CostModel model;
  model.shape.classes = {{0, 1}};
  model.fixed_seconds = 1e-3;
  model.layers = CostCurve({{1, 1e-5}, {1000, 1e-2}});
  return model;
}

struct Fixture {
  explicit Fixture(size_t count, uint32_t answer) : ends_freely(count, false) {
    SimulatedRow row;
    row.prompt_tokens = 100;
    row.max_tokens = row.answer_tokens = row.answer_runs = answer;
    rows.assign(count, row);
    options.max_batch = 8;
    options.max_batch_tokens = 128;
    options.requests_ahead = 16;
    options.page_classes = {{0, 4096}};
    options.page_bytes = {1024};
  }

  SimulatedPlan plan() {
    JobPlanInput input;
    input.rows = rows;
    input.ends_freely = &ends_freely;
    input.options = options;
    input.model = &model;
    return simulate_plan(input, static_cast<int64_t>(rows.size()), 0);
  }

  static bool has(const JobPlan& plan, const std::string& kind) {
    return std::any_of(plan.advice.begin(), plan.advice.end(), [&](const Advice& a) { return a.kind == kind; });
  }

  std::vector<SimulatedRow> rows;
  std::vector<bool> ends_freely;
  SimulationOptions options;
  CostModel model = cost_model();
};

TEST(JobPlan, WhatIsKnownHasNoRangeButTheMachines) {
  Fixture job(100, 10);
  const JobPlan plan = job.plan().plan;
  EXPECT_EQ(plan.prompt_tokens, 100 * 100);
  EXPECT_EQ(plan.prompt_tokens_to_compute, 100 * 100);
  EXPECT_EQ(plan.generated_tokens.low, 1000);
  EXPECT_EQ(plan.generated_tokens.high, 1000);
  EXPECT_NEAR(plan.seconds.high / plan.seconds.expected, 1.1, 1e-9);
  EXPECT_NEAR(plan.seconds.expected / plan.seconds.low, 1.1, 1e-9);
  EXPECT_FALSE(Fixture::has(plan, "shared_beginnings"));
  EXPECT_FALSE(Fixture::has(plan, "max_tokens"));
  EXPECT_FALSE(Fixture::has(plan, "bad_rows"));
}

TEST(JobPlan, FreeAnswersMakeItUncertain) {
  Fixture job(100, 2000);
  for (SimulatedRow& row : job.rows) row.answer_tokens = row.answer_runs = 1;
  job.ends_freely.assign(100, true);
  const JobPlan plan = job.plan().plan;
  EXPECT_LT(plan.generated_tokens.low, plan.generated_tokens.expected);
  EXPECT_LT(plan.generated_tokens.expected, plan.generated_tokens.high);
  EXPECT_GT(plan.seconds.high, 2 * plan.seconds.low);
  EXPECT_TRUE(Fixture::has(plan, "max_tokens"));
}

TEST(JobPlan, AdviceIsWhatASimulationSays) {
  Fixture job(200, 50);
  // Steps cost a millisecond whatever they hold: twice the batch is nearly twice as fast.
  job.model.layers = CostCurve({{1, 1e-7}, {1000, 1e-6}});
  EXPECT_TRUE(Fixture::has(job.plan().plan, "max_batch"));
  EXPECT_EQ(job.plan().plan.limited_by, "max_batch");
  // Memory for two of them.
  job.options.page_classes[0].pages = 7;
  const JobPlan plan = job.plan().plan;
  EXPECT_EQ(plan.limited_by, "kv_memory");
  EXPECT_TRUE(Fixture::has(plan, "kv_memory"));
}

TEST(JobPlan, SharedBeginningsAreWorthSomething) {
  Fixture job(200, 2);
  for (size_t i = 1; i < job.rows.size(); ++i) job.rows[i].common_tokens = 90;
  for (SimulatedRow& row : job.rows) row.reused_tokens = 64;
  const JobPlan plan = job.plan().plan;
  EXPECT_LT(plan.prompt_tokens_to_compute, plan.prompt_tokens / 4);
  EXPECT_TRUE(Fixture::has(plan, "shared_beginnings"));
}

TEST(JobPlan, ManyRowsAreSimulatedInPart) {
  Fixture few(20'000, 100);
  Fixture many(200'000, 100);
  const JobPlan small = few.plan().plan;
  const JobPlan large = many.plan().plan;
  EXPECT_NEAR(large.seconds.expected / small.seconds.expected, 10, 0.1);
  EXPECT_NEAR(static_cast<double>(large.generated_tokens.expected), 2e7, 1e4);
  EXPECT_EQ(large.prompt_tokens, 20'000'000);
  EXPECT_NEAR(static_cast<double>(large.prompt_tokens_to_compute), 2e7, 1e4);
}

TEST(JobPlan, MultiplyAddsByHand) {
  SimulatedRow row;
  row.prompt_tokens = 10;
  row.answer_tokens = row.answer_runs = 4;
  row.choices = 2;
  EXPECT_DOUBLE_EQ(multiply_adds({100, 7}, std::vector<SimulatedRow>{row}, 13), (13 + 2 * 3) * 100.0 + 8 * 7.0);
}

}  // namespace
}  // namespace batchwright

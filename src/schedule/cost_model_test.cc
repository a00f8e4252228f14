#include "schedule/cost_model.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

namespace batchwright {
namespace {

using Points = std::vector<CostCurve::Point>;

WorkShape plain_shape(int threads = 1) {
  WorkShape shape;
  shape.classes = {{.window = 0, .layers = 3}};
  shape.rows_per_item = 16;
  shape.threads = threads;
  return shape;
}

CostModel sample_model() {
  CostModel model;
  model.shape = plain_shape(2);
  model.shape.classes.push_back({.window = 512, .layers = 15});
  model.fixed_seconds = 1e-5;
  model.layers = CostCurve(Points{{1, 0.005}, {8, 0.006}, {64, 0.04}, {512, 0.3}});
  model.argmax = CostCurve(Points{{1, 0.002}, {64, 0.012}});
  model.full = CostCurve(Points{{1, 0.002}, {16, 0.005}, {17, 0.007}});
  model.store_seconds = 1e-6;
  model.pair_seconds = 1.25e-9;
  model.row_page_seconds = 2e-8;
  model.visit_seconds = 3e-7;
  model.round_seconds = 4e-6;
  return model;
}

TEST(CostCurveTest, IsLinearBetweenItsPointsAndBeyondThem) {
  const CostCurve curve(Points{{1, 2}, {5, 4}, {10, 14}});
  EXPECT_EQ(curve.at(0), 0);
  EXPECT_EQ(curve.at(1), 2);
  EXPECT_DOUBLE_EQ(curve.at(3), 3);
  EXPECT_EQ(curve.at(10), 14);
  EXPECT_DOUBLE_EQ(curve.at(15), 24);
  EXPECT_DOUBLE_EQ(CostCurve(Points{{4, 2}}).at(8), 4);
  EXPECT_EQ(CostCurve(Points{{4, 2}}).at(2), 2);
  EXPECT_EQ(CostCurve().at(7), 0);
}

TEST(CostCurveTest, NeverFalls) {
  std::mt19937 random(20261122);
  for (int i = 0; i < 200; ++i) {
    Points points;
    double count = 0;
    for (size_t n = 1 + random() % 12; n > 0; --n) {
      count += 1 + static_cast<double>(random() % 40);
      points.push_back({count, static_cast<double>(random() % 100)});
    }
    const CostCurve curve(points);
    for (size_t p = 0; p < points.size(); ++p) EXPECT_LE(curve.points()[p].seconds, points[p].seconds);
    EXPECT_EQ(curve.points().back().seconds, points.back().seconds);
    for (int at = 1; at < 600; ++at) ASSERT_GE(curve.at(at), curve.at(at - 1)) << "curve " << i << " at " << at;
  }
}

TEST(CostModelTest, CountsAStepByHand) {
  // Two rows share two pages; then each has its own; and a chunk of 70 rows begins at position 60.
  Step step;
  step.tokens.assign(72, 0);
  step.positions = {130, 150};
  for (int i = 0; i < 70; ++i) step.positions.push_back(60 + i);
  step.runs = {{0, 130, 0, 1}, {1, 150, 1, 1}, {2, 60, 2, 70}};
  step.logits = {{0, 0, false}, {1, 1, true}, {71, 2, false}};
  AttentionGroup shared{{0, 1}, {5, 6}, 0};
  AttentionGroup chunk{{}, {10, 11, 12}, 0};
  for (int row = 2; row < 72; ++row) chunk.rows.push_back(row);
  step.classes.resize(1);
  step.classes[0].levels = {{shared, chunk}, {{{0}, {7}, 2}, {{1}, {8}, 2}}};

  const StepWork work = step_work(step, plain_shape());
  EXPECT_EQ(work.tokens, 72);
  EXPECT_EQ(work.argmax_rows, 2);
  EXPECT_EQ(work.full_rows, 1);
  EXPECT_EQ(work.stores, 1 + 1 + 3);
  double chunk_pairs = 0;
  double chunk_pages = 0;
  for (int position = 60; position < 130; ++position) {
    chunk_pairs += position + 1;
    chunk_pages += position / 64 + 1;
  }
  EXPECT_EQ(work.pairs, 3 * (2 * 128 + chunk_pairs + 3 + 23));
  EXPECT_EQ(work.row_pages, 3 * (2 * 2 + chunk_pages + 2));
  EXPECT_EQ(work.page_visits, 3 * (2 + 3 + 2));
  EXPECT_EQ(work.rounds, 3 * 2);

  // A window hides what lies before it.
  WorkShape windowed = plain_shape();
  windowed.classes[0].window = 20;
  double seen = 0;
  for (int position = 60; position < 130; ++position) seen += 20;
  // Of their own pages the two see 3 and 20; of what they share, 17 and none.
  EXPECT_EQ(step_work(step, windowed).pairs, 3 * (17 + 0 + seen + 3 + 20));
}

TEST(CostModelTest, CountsWhatOneWorkerKeepsTheOthersWaiting) {
  Step step;
  step.tokens.assign(1, 0);
  step.positions = {639};
  step.runs = {{0, 639, 0, 1}};
  step.classes.resize(1);
  step.classes[0].levels = {{{{0}, std::vector<PageId>(10, 1), 0}}};
  EXPECT_EQ(step_work(step, plain_shape(1)).pairs, 3 * 640);
  // One row, one head: the second worker has nothing to do.
  EXPECT_EQ(step_work(step, plain_shape(2)).pairs, 3 * 640 * 2);
  WorkShape two_heads = plain_shape(2);
  two_heads.kv_heads = 2;
  EXPECT_EQ(step_work(step, two_heads).pairs, 3 * 640);
}

TEST(CostModelTest, SharedPagesCostLess) {
  const CostModel model = sample_model();
  StepWork alone{.tokens = 64, .argmax_rows = 64, .pairs = 64 * 1024, .row_pages = 64 * 16, .page_visits = 64 * 16};
  StepWork shared = alone;
  shared.page_visits = 16;
  EXPECT_LT(model.seconds(shared), model.seconds(alone));
}

TEST(CostModelTest, MoreOfAnythingNeverCostsLess) {
  const CostModel model = sample_model();
  std::mt19937 random(20261123);
  for (int i = 0; i < 2000; ++i) {
    StepWork less;
    StepWork more;
    for (double StepWork::*const part :
         {&StepWork::tokens, &StepWork::stores, &StepWork::argmax_rows, &StepWork::full_rows, &StepWork::pairs,
          &StepWork::row_pages, &StepWork::page_visits, &StepWork::rounds}) {
      less.*part = static_cast<double>(random() % 700);
      more.*part = less.*part + static_cast<double>(random() % 50);
    }
    ASSERT_GE(model.seconds(more), model.seconds(less));
  }
}

TEST(CostModelTest, KneeAndBudgetFollowTheCurve) {
  CostModel model = sample_model();
  model.fixed_seconds = 0;
  // 10 ms for the weights, then 1 ms a token: a token costs 1 + 10 / n ms.
  model.layers = CostCurve(Points{{1, 0.011}, {1000, 1.010}});
  const double best = 1 + 10.0 / 1000;
  const int knee = model.knee(1000);
  EXPECT_LE(1 + 10.0 / knee, best * (1 + CostModel::kKneeExcess));
  EXPECT_GT(1 + 10.0 / (knee - 8), best * (1 + CostModel::kKneeExcess));
  const int budget = model.token_budget(1000);
  EXPECT_EQ(budget % kPagePositions, 0);
  EXPECT_LE(1 + 10.0 / budget, best * (1 + CostModel::kBudgetExcess));
  EXPECT_GT(1 + 10.0 / (budget - kPagePositions), best * (1 + CostModel::kBudgetExcess));
  EXPECT_LE(model.token_budget(100), 100);
  EXPECT_LE(model.knee(3), 3);

  // Where large steps fall out of the caches, they are not taken.
  model.layers = CostCurve(Points{{1, 0.01}, {64, 0.064}, {128, 0.128}, {512, 0.8}});
  EXPECT_LE(model.token_budget(512), 128);
}

TEST(CostModelTest, JsonGivesTheSameModelBack) {
  const CostModel model = sample_model();
  const std::string text = to_json(model, "this machine; \"that\" model");
  const auto read = read_cost_model(text, "this machine; \"that\" model");
  ASSERT_TRUE(read.has_value()) << text;
  EXPECT_EQ(*read, model);
  EXPECT_FALSE(read_cost_model(text, "another machine").has_value());
}

TEST(CostModelTest, DamagedJsonIsNotThere) {
  const std::string text = to_json(sample_model(), "key");
  for (size_t length = 0; length + 2 < text.size(); ++length) {
    ASSERT_FALSE(read_cost_model(text.substr(0, length), "key").has_value()) << "cut to " << length;
  }
  const auto with = [&](const std::string& from, const std::string& to) {
    std::string changed = text;
    const size_t at = changed.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    changed.replace(at, from.size(), to);
    return read_cost_model(changed, "key").has_value();
  };
  EXPECT_TRUE(with("\"kv_heads\":1", "\"kv_heads\":2"));
  EXPECT_FALSE(with("\"version\":3", "\"version\":2"));
  EXPECT_FALSE(with("\"kv_heads\":1", "\"kv_heads\":0"));
  EXPECT_FALSE(with("\"kv_heads\":1", "\"kv_heads\":9223372036854775808"));
  EXPECT_FALSE(with("\"threads\":2", "\"threads\":-1"));
  EXPECT_FALSE(with("\"window\":512", "\"window\":-1"));
  EXPECT_FALSE(with("\"layers\":15", "\"layers\":0"));
  EXPECT_FALSE(with("\"layers\":[[", "\"layers\":[[0.0,1.0],["));
  EXPECT_FALSE(with("\"layers\":[[1.0,", "\"layers\":[[9.0,"));
  EXPECT_FALSE(with("\"layers\":[[1.0,", "\"layers\":[[1.0,-"));
  EXPECT_FALSE(with("\"layers\":[[1.0,", "\"layers\":[[null,"));
  EXPECT_FALSE(with("\"layers\":[[1.0,", "\"layers\":[[1.0,1.0,"));
  EXPECT_FALSE(with("\"factor\":1.0", "\"factor\":0.0"));
  EXPECT_FALSE(with("\"factor\":1.0", "\"factor\":-1.0"));
  EXPECT_FALSE(with("\"pair_seconds\"", "\"pair\""));
  EXPECT_FALSE(with("\"fixed_seconds\":1e-05", "\"fixed_seconds\":1e400"));
  EXPECT_FALSE(with("\"fixed_seconds\":1e-05", "\"fixed_seconds\":\"1\""));
  EXPECT_FALSE(read_cost_model("[]", "key").has_value());
}

TEST(CostCheckTest, TheMedianIsThatOfTheErrors) {
  CostCheck check;
  EXPECT_EQ(check.median_error(), 0);
  EXPECT_EQ(check.steps(), 0);
  check.record(1, 0);  // nothing to compare with
  check.record(0, 1);
  EXPECT_EQ(check.steps(), 0);

  // The truth differs by 4% now to this side, now to that.
  for (int i = 0; i < 1000; ++i) check.record(1, i % 2 == 0 ? 1.04 : 0.96);
  EXPECT_EQ(check.steps(), 1000);
  EXPECT_NEAR(check.median_error(), 0.045, 0.008);
  EXPECT_NEAR(check.factor(), 1, 0.02);
}

TEST(CostCheckTest, DoubtNeedsManySteps) {
  CostCheck check;
  const auto record = [&](int steps) {
    for (int i = 0; i < steps; ++i) check.record(1, i % 2 == 0 ? 1.5 : 0.5);
  };
  record(CostCheck::kDoubtSteps - 1);
  EXPECT_FALSE(check.is_in_doubt());
  record(2);
  EXPECT_TRUE(check.is_in_doubt());
  // A machine that is slower than it was, all of it, is what the factor is for.
  CostCheck slower;
  for (int i = 0; i < 2 * CostCheck::kDoubtSteps; ++i) slower.record(1, 3);
  EXPECT_FALSE(slower.is_in_doubt());
}

TEST(CostCheckTest, WhatIsKnownFollowsByTheTimeOfItsSteps) {
  CostCheck check;
  EXPECT_EQ(check.followed(1.5), 1.5);
  for (int i = 0; i < 20; ++i) check.record(0.5, 1);  // twenty seconds at half the speed
  EXPECT_NEAR(check.followed(1.5), 1.5 * std::sqrt(2.0), 1e-12);
  for (int i = 0; i < 100000; ++i) check.record(0.5, 1);
  EXPECT_NEAR(check.followed(1.5), 3, 0.001);
}

TEST(CostCheckTest, FollowsAMachineThatSlowsDown) {
  CostCheck check;
  for (int i = 0; i < 100; ++i) check.record(0.5, 0.5);
  EXPECT_LT(check.median_error(), 0.001);
  for (int i = 0; i < 50; ++i) check.record(0.5, 0.75);
  EXPECT_NEAR(check.corrected(0.5), 0.75, 0.001);
  // One step that was held up changes little.
  check.record(0.5, 75);
  EXPECT_LT(check.corrected(0.5), 0.75 * 1.2);
}

}  // namespace
}  // namespace batchwright

#include "job/answer_forecast.h"

#include <gtest/gtest.h>

#include <cmath>

namespace batchwright {
namespace {

TEST(AnswerForecastTest, KnowsNothingAtFirst) {
  AnswerForecast forecast;
  forecast.learn({});
  EXPECT_NEAR(forecast.mean(1e9), AnswerForecast::kPrior, 1e-6);
  EXPECT_NEAR(forecast.mean(8), 8, 0.2);
  EXPECT_NEAR(forecast.moments(1e9).square, 2 * AnswerForecast::kPrior * AnswerForecast::kPrior, 1e-3);
  EXPECT_NEAR(forecast.quantile(0.5), AnswerForecast::kPrior * std::log(2), 1e-6);
}

TEST(AnswerForecastTest, CutAnswersReachAsFarAsTheyMay) {
  AnswerForecast forecast;
  for (int i = 0; i < 20; ++i) forecast.ended(32, true);
  forecast.learn({});
  EXPECT_NEAR(forecast.mean(32), 32, 1e-9);
  EXPECT_NEAR(forecast.mean(8), 8, 1e-9);
  EXPECT_GT(forecast.quantile(0.01), 32);
}

TEST(AnswerForecastTest, ThoseThatRunCount) {
  AnswerForecast forecast;
  for (int i = 0; i < 10; ++i) forecast.ended(10, false);
  forecast.learn({});
  EXPECT_NEAR(forecast.mean(1000), 10, 1e-9);
  // As many again are longer already.
  forecast.learn(std::vector<int64_t>(10, 50));
  EXPECT_NEAR(forecast.quantile(0.4), 10, 1e-9);
  EXPECT_GT(forecast.quantile(0.6), 50);
  EXPECT_GT(forecast.mean(1000), 10 / 2 + 50 / 2);
  // And then no longer.
  forecast.learn({});
  EXPECT_NEAR(forecast.mean(1000), 10, 1e-9);
}

TEST(AnswerForecastTest, LengthsOfThoseThatGotSoFar) {
  AnswerForecast forecast;
  for (int tokens = 1; tokens <= 60; ++tokens) forecast.ended(tokens, false);
  forecast.learn({});
  EXPECT_NEAR(forecast.quantile(0.5), 30, 1);
  EXPECT_NEAR(forecast.quantile(0.5, 40), 50, 1);
  EXPECT_GT(forecast.quantile(0.5, 100), 100);
  EXPECT_NEAR(forecast.mean(1e6), 30.5, 1e-6);
  EXPECT_NEAR(forecast.moments(1e6).square, 61 * 121 / 6.0, 1e-6);
}

// The estimate is free of the bias that the answers which ended so far have: of a wave of exponential lengths, looked
// at after 20 tokens.
TEST(AnswerForecastTest, AWaveThatHasJustBegun) {
  AnswerForecast forecast;
  std::vector<int64_t> running;
  for (int i = 0; i < 1000; ++i) {
    const double length = -100 * std::log(1 - (i + 0.5) / 1000);
    length < 20 ? forecast.ended(static_cast<int64_t>(std::ceil(length)), false) : running.push_back(20);
  }
  forecast.learn(running);
  EXPECT_NEAR(forecast.mean(1e6), 100, 5);
}

}  // namespace
}  // namespace batchwright

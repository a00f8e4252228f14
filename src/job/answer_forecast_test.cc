#include "job/answer_forecast.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <functional>
#include <vector>

namespace batchwright {
namespace {

TEST(AnswerForecastTest, KnowsNothingAtFirst) {
  AnswerForecast forecast;
  // Half of the answers have some hundred tokens, and no length is out of the question.
  EXPECT_GT(forecast.quantile(0.5), AnswerForecast::kPrior / 2);
  EXPECT_LT(forecast.quantile(0.5), AnswerForecast::kPrior * 2);
  EXPECT_GT(forecast.quantile(0.99), 1000);
  EXPECT_NEAR(forecast.mean(8), 8, 0.5);
  EXPECT_NEAR(forecast.moments(8).square, 64, 5);
}

TEST(AnswerForecastTest, CutAnswersReachAsFarAsTheyMay) {
  AnswerForecast forecast;
  for (int i = 0; i < 20; ++i) forecast.ended(32, true);
  forecast.learn({});
  EXPECT_NEAR(forecast.mean(32), 32, 1e-9);
  EXPECT_NEAR(forecast.mean(8), 8, 1e-9);
  EXPECT_GT(forecast.quantile(0.01), 32);
  EXPECT_GT(forecast.quantile(0.5), 200);
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
  // The longest three are only known not to have ended before the others.
  EXPECT_NEAR(forecast.mean(60), 30.5, 0.1);
  EXPECT_NEAR(forecast.moments(60).square, 61 * 121 / 6.0, 5);
  EXPECT_NEAR(forecast.mean(1e6), 31, 1);
}

// Of a wave of answers whose lengths have such quantiles, at a time when they have at most so many tokens.
AnswerForecast begun_wave(const std::function<double(double)>& length_at, int answers, double tokens) {
  AnswerForecast forecast;
  std::vector<int64_t> running;
  for (int i = 0; i < answers; ++i) {
    const double length = std::ceil(length_at((i + 0.5) / answers));
    if (length <= tokens) {
      forecast.ended(static_cast<int64_t>(length), false);
    } else {
      running.push_back(static_cast<int64_t>(tokens));
    }
  }
  forecast.learn(running);
  return forecast;
}

// The estimate is free of the bias that the answers which ended so far have; and how they ended says how it goes on.
TEST(AnswerForecastTest, AWaveThatHasBegun) {
  const auto exponential = [](double q) { return -100 * std::log(1 - q); };
  EXPECT_NEAR(begun_wave(exponential, 1000, 50).mean(1000), 100, 10);
  const auto power = [](double q) { return 24 * std::pow(1 - q, -1 / 1.2); };
  const double mean = 24 * (1.2 - std::pow(24 / 1000.0, 0.2)) / 0.2;
  EXPECT_NEAR(begun_wave(power, 1000, 100).mean(1000), mean, 0.2 * mean);
  // None is much longer than all others.
  const auto about_100 = [](double q) { return 100 * std::pow(-std::log(1 - q), 0.2); };
  EXPECT_NEAR(begun_wave(about_100, 1000, 80).mean(1000), 92, 10);
}

}  // namespace
}  // namespace batchwright

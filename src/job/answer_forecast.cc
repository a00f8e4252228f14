#include "job/answer_forecast.h"

#include <algorithm>
#include <cmath>

namespace batchwright {
namespace {

// So that a million answers of all lengths are a few hundred counts: exact below 64, then to one in 32.
int64_t rounded(int64_t tokens) {
  int64_t unit = 1;
  while (tokens / unit >= 64) unit *= 2;
  return (tokens + unit / 2) / unit * unit;
}

}  // namespace

void AnswerForecast::ended(int64_t tokens, bool cut) {
  auto& [by_itself, by_limit] = counts_[rounded(tokens)];
  ++(cut ? by_limit : by_itself);
}

void AnswerForecast::learn(const std::vector<int64_t>& running) {
  auto counts = counts_;
  for (const int64_t tokens : running) ++counts[rounded(tokens)].second;
  int64_t at_risk = 0;
  for (const auto& [tokens, count] : counts) at_risk += count.first + count.second;
  curve_.clear();
  double survive = 1;
  double middle = 0;  // half of the answers are longer
  for (const auto& [tokens, count] : counts) {
    survive *= 1 - static_cast<double>(count.first) / static_cast<double>(at_risk);
    curve_.push_back({static_cast<double>(tokens), survive});
    at_risk -= count.first + count.second;
    if (survive >= 0.5) middle = static_cast<double>(tokens);
  }
  double cuts = 0;
  for (const auto& [tokens, count] : counts_) cuts += static_cast<double>(count.second);
  const double first = 1 / (1 + cuts);
  const double of_all = rate(counts, 0, first, kPrior);
  // Those that got far say how it goes on.
  rate_ = rate(counts, middle, first, first / of_all);
}

double AnswerForecast::rate(const Counts& counts, double from, double ends, double exposure) {
  for (const auto& [tokens, count] : counts) {
    const double beyond = static_cast<double>(tokens) - from;
    if (!(beyond > 0)) continue;
    ends += static_cast<double>(count.first);
    exposure += beyond * static_cast<double>(count.first + count.second);
  }
  return ends / exposure;
}

double AnswerForecast::survival(double tokens) const {
  const auto beyond =
      std::upper_bound(curve_.begin(), curve_.end(), tokens, [](double t, const Point& p) { return t < p.tokens; });
  if (beyond != curve_.end()) return beyond == curve_.begin() ? 1 : (beyond - 1)->survive;
  const Point last = curve_.empty() ? Point{0, 1} : curve_.back();
  return last.survive * std::exp(-rate_ * (tokens - last.tokens));
}

double AnswerForecast::quantile(double q, double after) const {
  const double known = curve_.empty() ? 0 : curve_.back().tokens;
  const double now = survival(after);
  // Nothing of what is known got so far: from here on at the rate alone.
  if (!(now > 0)) return after - std::log(1 - q) / rate_;
  const double target = (1 - q) * now;
  const auto at = std::find_if(curve_.begin(), curve_.end(),
                               [&](const Point& p) { return p.tokens >= after && p.survive <= target; });
  if (at != curve_.end()) return std::max(after, at->tokens);
  const double from = std::max(after, known);
  return from + std::log(survival(from) / target) / rate_;
}

AnswerForecast::Moments AnswerForecast::moments(double tokens_max) const {
  Moments sums;
  double from = 0;
  double survive = 1;
  const auto add = [&](double to) {
    sums.mean += survive * (to - from);
    sums.square += survive * (to * to - from * from);
  };
  for (const Point& point : curve_) {
    if (point.tokens >= tokens_max) {
      add(tokens_max);
      return sums;
    }
    add(point.tokens);
    from = point.tokens;
    survive = point.survive;
  }
  const double left = std::exp(-rate_ * (tokens_max - from));
  sums.mean += survive * (1 - left) / rate_;
  sums.square += 2 * survive / rate_ * (from + 1 / rate_ - left * (tokens_max + 1 / rate_));
  return sums;
}

}  // namespace batchwright

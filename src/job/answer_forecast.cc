#include "job/answer_forecast.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace batchwright {
namespace {

// So that a million answers of all lengths are a few hundred counts: exact below 64, then to one in 32.
int64_t rounded(int64_t tokens) {
  int64_t unit = 1;
  while (tokens / unit >= 64) unit *= 2;
  return (tokens + unit / 2) / unit * unit;
}

// No answer is longer.
constexpr double kTokensMost = 1 << 22;

// Answers that end at a rate c t^(k-1), c with the gamma distribution of shape `ends` and rate `exposure`.
class EndRate {
 public:
  EndRate(double k, double from, double ends)
      : k_(k), from_(from), ends_before_(ends), ends_(ends), exposure_(since(from + AnswerForecast::kPrior)) {}

  void add(double tokens, int64_t ended, int64_t cut) {
    const auto count = static_cast<double>(ended);
    ends_ += count;
    exposure_ += since(tokens) * (count + static_cast<double>(cut));
    log_rates_ += count * (k_ - 1) * std::log(tokens);
  }
  // Of all that was added, up to a factor that all k share.
  double log_likelihood() const {
    const double prior = ends_before_ * std::log(since(from_ + AnswerForecast::kPrior));
    return log_rates_ + prior + std::lgamma(ends_) - ends_ * std::log(exposure_);
  }
  // The share that gets to so many tokens of the answers that have so many.
  double survival(double tokens, double after) const {
    return std::pow(exposure_ / (exposure_ + since(tokens) - since(after)), ends_);
  }

 private:
  // The integral of t^(k-1) over the tokens behind `from`.
  double since(double tokens) const {
    return k_ > 0 ? (std::pow(tokens, k_) - std::pow(from_, k_)) / k_ : std::log(tokens / from_);
  }

  double k_;
  double from_;
  double ends_before_;
  double ends_;
  double exposure_;
  double log_rates_ = 0;
};

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
  for (const auto& [tokens, count] : counts) {
    if (at_risk < kEnough) break;
    survive *= 1 - static_cast<double>(count.first) / static_cast<double>(at_risk);
    curve_.push_back({static_cast<double>(tokens), survive});
    at_risk -= count.first + count.second;
  }
  extend_curve(counts);
}

void AnswerForecast::extend_curve(const Counts& counts) {
  // A fifth of those that ended are the shortest.
  int64_t shortest = 0;
  for (const auto& [tokens, count] : counts) shortest += count.first;
  shortest /= 5;
  double from = 1;
  for (const auto& [tokens, count] : counts) {
    shortest -= count.first;
    if (shortest >= 0 || count.first == 0) continue;
    from = std::max(1.0, static_cast<double>(tokens - 1));
    break;
  }

  double cuts = 0;
  for (const auto& [tokens, count] : counts_) cuts += static_cast<double>(count.second);
  std::vector<EndRate> rates;
  for (const double k : {0.0, 0.5, 1.0, 2.0, 4.0}) rates.emplace_back(k, from, 1 / (1 + cuts));
  std::vector<double> weights(rates.size());
  for (size_t i = 0; i < rates.size(); ++i) {
    for (const auto& [tokens, count] : counts) {
      if (static_cast<double>(tokens) > from) {
        rates[i].add(static_cast<double>(tokens), count.first, count.second);
      }
    }
    weights[i] = rates[i].log_likelihood();
  }
  const double best = *std::max_element(weights.begin(), weights.end());
  double all = 0;
  for (double& weight : weights) all += weight = std::exp(weight - best);

  const Point known = curve_.empty() ? Point{0, 1} : curve_.back();
  const double begin = std::max(1.0, known.tokens);
  double tokens = known.tokens;
  while (known.survive > 0 && tokens < kTokensMost) {
    tokens = std::floor(tokens + std::max(1.0, tokens / 32));
    double share = 0;
    for (size_t i = 0; i < rates.size(); ++i) share += weights[i] / all * rates[i].survival(tokens, begin);
    curve_.push_back({tokens, known.survive * share});
  }
}

double AnswerForecast::survival(double tokens) const {
  const auto beyond =
      std::upper_bound(curve_.begin(), curve_.end(), tokens, [](double t, const Point& p) { return t < p.tokens; });
  return beyond == curve_.begin() ? 1 : (beyond - 1)->survive;
}

double AnswerForecast::quantile(double q, double after) const {
  const double target = (1 - q) * survival(after);
  const auto at =
      std::partition_point(curve_.begin(), curve_.end(), [&](const Point& p) { return p.survive > target; });
  return std::max(after, at == curve_.end() ? kTokensMost : at->tokens);
}

AnswerForecast::Moments AnswerForecast::moments(double tokens_max) const {
  Moments sums;
  double from = 0;
  double survive = 1;
  for (const Point& point : curve_) {
    const double to = std::min(point.tokens, tokens_max);
    sums.mean += survive * (to - from);
    sums.square += survive * (to * to - from * from);
    if (point.tokens >= tokens_max) break;
    from = to;
    survive = point.survive;
  }
  return sums;
}

}  // namespace batchwright

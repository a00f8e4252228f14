#include "plan/length_prior.h"

#include <algorithm>
#include <cmath>

namespace batchwright {
namespace {

constexpr double kOuterDeviations = 1.2816;  // a normal distribution's tenth and ninetieth percentile

// Of the standard normal distribution, 0 < p < 1 (Abramowitz and Stegun 26.2.23; off by less than 0.00045).
double normal_quantile(double p) {
  const double tail = std::min(p, 1 - p);
  const double t = std::sqrt(-2 * std::log(tail));
  const double numerator = 2.515517 + t * (0.802853 + t * 0.010328);
  const double denominator = 1 + t * (1.432788 + t * (0.189269 + t * 0.001308));
  const double deviations = t - numerator / denominator;
  return p < 0.5 ? -deviations : deviations;
}

// Rows take places between 0 and 1 more evenly than chance would give them (the additive recurrence of the golden
// ratio): any few neighbours are spread over all lengths.
double place_of(uint64_t row) {
  const uint64_t place = row * 0x9e3779b97f4a7c15 + (uint64_t{1} << 63);
  return (static_cast<double>(place >> 11) + 0.5) / 0x1p53;
}

double deviations_of(LengthScenario scenario) {
  switch (scenario) {
    case LengthScenario::kLow:
      return -kOuterDeviations;
    case LengthScenario::kExpected:
      return 0;
    case LengthScenario::kHigh:
      return kOuterDeviations;
  }
  return 0;
}

// Evenly from the shortest to the longest; in the outer scenarios from the shorter or the longer half alone.
double listed_tokens(const AnswerBounds& bounds, LengthScenario scenario, double place) {
  if (scenario != LengthScenario::kExpected) place /= 2;
  if (scenario == LengthScenario::kHigh) place += 0.5;
  return bounds.least + place * (bounds.most - bounds.least);
}

double learnt_tokens(const LengthSample& lengths, LengthScenario scenario, double place) {
  const double mean = lengths.mean();
  const double error = lengths.deviation() / std::sqrt(static_cast<double>(lengths.size()));
  const double scale = mean > 0 ? std::max(0.0, 1 + deviations_of(scenario) * error / mean) : 1;
  return scale * lengths.quantile(place);
}

double prior_tokens(const AnswerBounds& bounds, LengthScenario scenario, double place) {
  const double median = std::clamp(bounds.most / 2.0, 1.0, LengthPrior::kMedian);
  const double logarithm = std::log(median) + LengthPrior::kBetweenTasks * deviations_of(scenario) +
                           LengthPrior::kWithinTask * normal_quantile(place);
  return std::exp(logarithm);
}

}  // namespace

uint32_t LengthPrior::answer_tokens(const AnswerBounds& bounds, LengthScenario scenario, uint64_t row) const {
  const double place = place_of(row);
  const LengthSample* const own = learnt_ == nullptr ? nullptr : learnt_->own_lengths(bounds.group);
  double tokens = 0;
  if (own != nullptr) {
    tokens = learnt_tokens(*own, scenario, place);
  } else if (bounds.is_listed) {
    tokens = listed_tokens(bounds, scenario, place);
  } else if (learnt_ != nullptr && learnt_->all().size() >= AnswerLengths::kEnough) {
    tokens = learnt_tokens(learnt_->all(), scenario, place);
  } else {
    tokens = prior_tokens(bounds, scenario, place);
  }
  const double least = std::min(bounds.least, bounds.most);
  return static_cast<uint32_t>(std::lround(std::clamp(tokens, least, static_cast<double>(bounds.most))));
}

}  // namespace batchwright

#include "schedule/answer_lengths.h"

#include <algorithm>
#include <cmath>
#include <string_view>

#include "base/hash.h"
#include "step/step.h"

namespace batchwright {
namespace {

constexpr size_t kGroupTokens = kPagePositions / 2;
// Answers are drawn from those that are longer than this share of all.
constexpr double kBoldest = 0.5;

// Between 0 and 1, by two irrational steps: neighbours in number lie apart, and so do the draws of one row.
double place_of(uint64_t number, int generated) {
  constexpr double kByNumber = 0.6180339887498949;
  constexpr double kByLength = 0.7548776662466927;
  const double place = 0.5 + static_cast<double>(number % (1U << 24)) * kByNumber + generated * kByLength;
  return place - std::floor(place);
}

// Exact, and so are sums of so many, below some millions of tokens.
double square(int tokens) { return static_cast<double>(tokens) * tokens; }

}  // namespace

uint32_t answer_group(const Request& request) {
  const size_t tokens = std::min(request.prompt.size(), kGroupTokens);
  const std::string_view beginning(reinterpret_cast<const char*>(request.prompt.data()), tokens * sizeof(TokenId));
  const uint64_t rest = (uint64_t{static_cast<uint32_t>(request.max_tokens)} << 1) |
                        static_cast<uint64_t>(request.allowed_answers != nullptr);
  return static_cast<uint32_t>(hash64(beginning, rest));
}

void LengthSample::record(int tokens) {
  if (ring_.size() < kRemembered) {
    ring_.push_back(tokens);
  } else {
    sum_ -= ring_[next_];
    sum_of_squares_ -= square(ring_[next_]);
    sorted_.erase(std::lower_bound(sorted_.begin(), sorted_.end(), ring_[next_]));
    ring_[next_] = tokens;
    next_ = (next_ + 1) % kRemembered;
  }
  sum_ += tokens;
  sum_of_squares_ += square(tokens);
  sorted_.insert(std::upper_bound(sorted_.begin(), sorted_.end(), tokens), tokens);
}

double LengthSample::mean() const {
  return sorted_.empty() ? 0 : static_cast<double>(sum_) / static_cast<double>(sorted_.size());
}

double LengthSample::deviation() const {
  if (sorted_.empty()) return 0;
  const double own = mean();
  return std::sqrt(std::max(0.0, sum_of_squares_ / static_cast<double>(sorted_.size()) - own * own));
}

int LengthSample::at(size_t begin, double q) const {
  const size_t count = sorted_.size() - begin;
  const auto exceeding = static_cast<size_t>((1 - q) * static_cast<double>(count));
  return sorted_[begin + (count - 1 - std::min(exceeding, count - 1))];
}

int LengthSample::quantile(double q) const { return sorted_.empty() ? 0 : at(0, q); }

int LengthSample::quantile_beyond(int tokens, double q) const {
  const auto begin = std::upper_bound(sorted_.begin(), sorted_.end(), tokens);
  return begin == sorted_.end() ? tokens : at(static_cast<size_t>(begin - sorted_.begin()), q);
}

void AnswerLengths::record(uint32_t group, int tokens) {
  all_.record(tokens);
  if (groups_.size() >= kGroupsMax && !groups_.contains(group)) {
    groups_.erase(std::min_element(groups_.begin(), groups_.end(), [](const auto& a, const auto& b) {
      return a.second.last_record < b.second.last_record;
    }));
  }
  Group& of_group = groups_[group];
  of_group.lengths.record(tokens);
  of_group.last_record = ++records_;
}

const LengthSample* AnswerLengths::own_lengths(uint32_t group) const {
  const auto it = groups_.find(group);
  return it != groups_.end() && it->second.lengths.size() >= kEnough ? &it->second.lengths : nullptr;
}

const LengthSample& AnswerLengths::lengths(uint32_t group) const {
  const LengthSample* const own = own_lengths(group);
  return own != nullptr ? *own : all_;
}

int AnswerLengths::expected(uint32_t group, int max_tokens, uint64_t number, int generated) const {
  const LengthSample& known = lengths(group);
  const double quantile = kBoldest + (1 - kBoldest) * place_of(number, generated);
  int length = generated;
  if (known.size() >= kEnough) {
    length = generated == 0 ? known.quantile(quantile) : known.quantile_beyond(generated, quantile);
  } else if (generated == 0) {
    length = std::max(known.quantile(quantile), kPrior);
  }
  return std::min(length, max_tokens);
}

}  // namespace batchwright

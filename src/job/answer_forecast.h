// How long answers turn out to be, from those that ended and those that still run.
#pragma once

#include <cstdint>
#include <map>
#include <utility>
#include <vector>

namespace batchwright {

// The product-limit estimate (Kaplan and Meier 1958): an answer that was cut at its max_tokens, or that still runs,
// says that it is longer than that, so that those that end first - the short ones - do not pass for all. It reaches as
// far as kEnough answers got.
//
// Beyond that, and before anything is known, answers that have t tokens end at a rate c t^(k-1): k = 0 has the heavy
// tail of a power law, 1 that of a constant rate, 4 hardly any. How each k fares with what is known - but for the
// shortest answers, before which none may end - gives its weight; c has a gamma distribution, of which one end in
// kPrior tokens is known beforehand, or hardly any where answers were cut: perhaps none ever ends. The lengths are
// those of the mixture (Bayesian model averaging).
class AnswerForecast {
 public:
  static constexpr double kPrior = 110;
  static constexpr int64_t kEnough = 4;

  AnswerForecast() { learn({}); }

  // An answer ended by itself, or was cut (at max_tokens), with so many tokens.
  void ended(int64_t tokens, bool cut);
  // The answers that run, by tokens generated so far, with those of the last call no longer. Then the lengths below
  // are of both.
  void learn(const std::vector<int64_t>& running);

  // The length that a share of 1 - q of the answers exceeds that got beyond `after` tokens, 0 <= q < 1.
  double quantile(double q, double after = 0) const;
  // Where none may have more than so many.
  struct Moments {
    double mean = 0;
    double square = 0;  // the mean of the squares
  };
  Moments moments(double tokens_max) const;
  double mean(double tokens_max) const { return moments(tokens_max).mean; }

 private:
  using Counts = std::map<int64_t, std::pair<int64_t, int64_t>>;  // by (rounded) length: ended, cut
  struct Point {
    double tokens;
    double survive;  // the share of answers that are longer
  };

  void extend_curve(const Counts& counts);
  double survival(double tokens) const;

  Counts counts_;
  std::vector<Point> curve_;  // falling
};

}  // namespace batchwright

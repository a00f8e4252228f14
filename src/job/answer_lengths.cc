#include "job/answer_lengths.h"

#include <algorithm>

namespace batchwright {

void AnswerLengths::record(int tokens) { lengths_[recorded_++ % kRemembered] = tokens; }

int AnswerLengths::expected(int max_tokens) const {
  const size_t known = std::min(recorded_, kRemembered);
  int length = kPrior;
  if (known > 0) {
    auto lengths = lengths_;
    const auto exceeded = lengths.begin() + static_cast<ptrdiff_t>(known - 1 - known / 20);
    std::nth_element(lengths.begin(), exceeded, lengths.begin() + static_cast<ptrdiff_t>(known));
    length = known < kEnough ? std::max(*exceeded, kPrior) : *exceeded;
  }
  return std::min(length, max_tokens);
}

}  // namespace batchwright

#include "decode/logprobs.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>

#include "base/check.h"
#include "base/status_macros.h"
#include "decode/row_check.h"
#include "kernels/math/math.h"

namespace batchwright {
namespace {

bool precedes(const TokenLogprob& a, const TokenLogprob& b) {
  return a.logprob != b.logprob ? a.logprob > b.logprob : a.token < b.token;
}

std::vector<TokenLogprob> likeliest(std::span<const float> logits, const LogNormaliser& normaliser, size_t count) {
  std::vector<TokenLogprob> top;
  count = std::min(count, logits.size());
  if (count == 0) return top;
  top.reserve(count);
  // A heap with the least likely of those kept at its front. Ids ascend, so a newcomer has to be strictly likelier.
  for (size_t i = 0; i < logits.size(); ++i) {
    const TokenLogprob candidate{static_cast<TokenId>(i), normaliser.logprob(logits[i])};
    if (top.size() == count) {
      if (!(candidate.logprob > top.front().logprob)) continue;
      std::pop_heap(top.begin(), top.end(), precedes);
      top.back() = candidate;
    } else {
      top.push_back(candidate);
    }
    std::push_heap(top.begin(), top.end(), precedes);
  }
  std::sort_heap(top.begin(), top.end(), precedes);
  return top;
}

}  // namespace

Result<LogNormaliser> log_normaliser(std::span<const float> logits, const RowKernels& kernels) {
  BATCHWRIGHT_RETURN_IF_ERROR(decode::check_logits(logits));
  const auto n = static_cast<int64_t>(logits.size());
  const float maximum = kernels.max(logits.data(), n);
  if (!std::isfinite(maximum)) return invalid_data("no token has a probability above 0");
  return LogNormaliser{maximum, log_f32(kernels.sum_exp(logits.data(), maximum, n))};
}

Result<TokenLogprobs> token_logprobs(std::span<const float> logits, TokenId chosen, int top_n,
                                     const RowKernels& kernels) {
  BATCHWRIGHT_CHECK(chosen >= 0 && static_cast<size_t>(chosen) < logits.size() && top_n >= 0);
  BATCHWRIGHT_ASSIGN_OR_RETURN(const LogNormaliser normaliser, log_normaliser(logits, kernels));
  TokenLogprobs result;
  result.chosen = {chosen, normaliser.logprob(logits[static_cast<size_t>(chosen)])};
  result.top = likeliest(logits, normaliser, static_cast<size_t>(top_n));
  return result;
}

Result<float> target_logprob(std::span<const float> logits, TokenId target, const RowKernels& kernels) {
  BATCHWRIGHT_CHECK(target >= 0 && static_cast<size_t>(target) < logits.size());
  BATCHWRIGHT_ASSIGN_OR_RETURN(const LogNormaliser normaliser, log_normaliser(logits, kernels));
  return normaliser.logprob(logits[static_cast<size_t>(target)]);
}

}  // namespace batchwright

// Log-probabilities as they are printed: of the model's own distribution, before temperature, penalties and filters.
//
// Canonical order: m = the row's maximum; s = sum of exp(x - m) by RowKernels::sum_exp; l = log_f32(s);
// logprob(i) = (x[i] - m) - l, each step rounded to fp32. Every function here gives this number for a token, whether
// it is the chosen one, among the top, or the target of a score.
#pragma once

#include <span>

#include "batchwright/request.h"
#include "batchwright/status.h"
#include "kernels/rows/rows.h"

namespace batchwright {

struct LogNormaliser {
  float maximum = 0.0F;
  float log_sum = 0.0F;  // of exp(x - maximum)

  float logprob(float logit) const { return (logit - maximum) - log_sum; }
};

// Fails (kInvalidData) where the row is empty, holds a NaN or +inf, or nothing but -inf: there is no distribution.
// -inf in single places is probability 0.
Result<LogNormaliser> log_normaliser(std::span<const float> logits, const RowKernels& kernels);

// The chosen token's and the `top_n` likeliest ones (fewer where the row is shorter), by (logprob descending, id
// ascending). Precondition: 0 <= chosen < logits.size(), top_n >= 0. Errors as above. Time is linear in the row, memory
// in top_n.
Result<TokenLogprobs> token_logprobs(std::span<const float> logits, TokenId chosen, int top_n,
                                     const RowKernels& kernels);

// The log-probability of `target` alone. Precondition and errors as above.
Result<float> target_logprob(std::span<const float> logits, TokenId target, const RowKernels& kernels);

}  // namespace batchwright

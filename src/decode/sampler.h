// From a row of logits to a token.
//
// The order, and the arithmetic of each step (fp32 unless said otherwise; every operation rounded by itself):
//   1. Log-probabilities, where asked for, are taken from the raw logits (logprobs.h).
//   2. Suppressed tokens get -inf; where only some tokens are allowed, all others do.
//   3. logit_bias: x = x + bias.
//   4. Repetition penalty r, for tokens seen in prompt or output: x = x > 0 ? x / r : x * r.
//   5. Frequency and presence penalty, for tokens of the output: x = x - frequency * count, then x = x - presence.
//      A logit that steps 3-5 bring to +inf becomes FLT_MAX.
//   6. temperature 0: the largest x, the lowest id among equals. That ends it.
//   7. s = (x - m) / temperature with m the largest x; the weight of a token is w = exp_f32(s). So the likeliest has
//      weight 1, and weights below FLT_MIN are 0.
//   8. Candidates sort by (s descending, id ascending): a total order, of which each filter keeps a prefix.
//      top_k: the first k.
//      top_p < 1: the shortest prefix whose cumulative weight reaches top_p * total, at least one. Cumulative weights
//        are fp64 sums in sorted order. total: the last cumulative weight after a top_k that left something out;
//        without one the sum in fp64, by ascending ids, of the results of RowKernels::sum_exp over pieces of 4,096 ids.
//      min_p > 0: those with w >= min_p.
//   9. u = uniform_draw(seed, choice, position, 0).
//      Where a filter left something to sort (0 < top_k < vocabulary, top_p < 1 or min_p > 0): the first candidate in
//      sorted order whose cumulative weight exceeds u * (cumulative weight of the last kept).
//      Otherwise by ids ascending: the first piece of 4,096 ids at which the cumulative sum (fp64) of pieces' results
//      exceeds u * total; in it the first id at which the fp64 sum of single weights, begun at the sum of the pieces
//      before, exceeds it; should rounding leave none, the piece's last id of weight above 0.
// All of it is the same bits on every instruction set.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "batchwright/request.h"
#include "batchwright/status.h"
#include "kernels/rows/rows.h"

namespace batchwright {

struct SampledToken {
  TokenId token = 0;
  std::optional<TokenLogprobs> logprobs;  // where the sampler was made with top_logprobs >= 0
};

// Working memory of `sample`: up to 28 bytes a vocabulary entry once grown. Any number of samplers may use one, one at
// a time.
struct SamplerScratch {
  std::vector<float> raw_logits;
  std::vector<float> allowed_logits;
  std::vector<size_t> pieces;
  std::vector<double> cumulative;
  std::vector<uint64_t> candidates;
  std::vector<uint64_t> sorting;
  std::vector<uint32_t> histogram;
};

// False where the largest logit alone decides, tokens that are suppressed apart: greedy without bias, penalties and
// log-probabilities (top_logprobs as in Request).
bool sampling_needs_logits(const SamplingParams& params, int top_logprobs);

// Chooses the tokens of one choice of one request. Not thread-safe; different samplers are independent of each other.
class Sampler {
 public:
  // `params` has passed validate_sampling(). `prompt` is read here only (for the repetition penalty).
  // top_logprobs as in Request: -1 none, else the chosen token's and so many likeliest ones.
  Sampler(const SamplingParams& params, int choice, std::span<const TokenId> prompt, int vocabulary_size,
          int top_logprobs, const RowKernels& kernels);

  // False where sampling_needs_logits() is and nothing is suppressed: then the row need not be kept, and
  // sample_argmax() gives what sample() would.
  bool needs_logits(std::span<const TokenId> suppressed) const;

  // The token at `position` (its index in the sequence, prompt included). `logits`: one row over the whole vocabulary,
  // used as working memory: its contents are lost. `suppressed`: tokens that get no chance here (any order; ids
  // outside the vocabulary are ignored).
  // Fails (kInvalidData) where a logit is NaN or +inf, or where nothing is left to choose from; the sampler may then
  // still be used.
  Result<SampledToken> sample(std::span<float> logits, int position, std::span<const TokenId> suppressed,
                              SamplerScratch& scratch) const;

  // The same where only `allowed` have a chance (ids ascending, each once, all in the vocabulary, at least one): the
  // token that sample() gives with all others suppressed, without looking at those. One alone is taken whatever its
  // logit.
  Result<SampledToken> sample_among(std::span<const TokenId> allowed, std::span<float> logits, int position,
                                    SamplerScratch& scratch) const;

  // The same as sample() from the row's argmax. Precondition: !needs_logits(). Fails where the value is not finite (a
  // row of NaNs has the value -inf); a NaN beside finite logits goes unseen here.
  Result<SampledToken> sample_argmax(const ArgMax& best, int position) const;

  // Tells that `token` became part of the output: penalties count it from now on.
  void accept(TokenId token);

 private:
  bool changes_logits(std::span<const TokenId> suppressed) const;
  void adjust_logits(std::span<float> logits, std::span<const TokenId> suppressed) const;
  bool is_filtered() const;
  TokenId draw(std::span<const float> scaled, std::span<const TokenId> ids, int position,
               SamplerScratch& scratch) const;

  SamplingParams params_;
  const RowKernels* kernels_;
  uint32_t choice_;
  int vocabulary_size_;
  int top_logprobs_;
  bool has_penalties_;
  // Times that a token was generated; 0 for those of the prompt alone. Kept only where a penalty needs it.
  std::unordered_map<TokenId, int> seen_;
};

// Fails (kInvalidArgument), naming field, value and limit, for what is out of range:
//   temperature 0..100; top_k >= 0; top_p above 0, to 1; min_p 0..1; repetition_penalty above 0, to 100;
//   presence_penalty and frequency_penalty -2..2; logit_bias: ids ascending, below vocabulary_size, values -100..100.
// NaN is out of every range.
Status validate_sampling(const SamplingParams& params, int vocabulary_size);

}  // namespace batchwright

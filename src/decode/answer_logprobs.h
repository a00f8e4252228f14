// Log-probabilities of whole strings of a request's allowed answers, under the model's own distribution: before the
// answers were singled out, before temperature, penalties and filters.
//
// Canonical order. Of a string: the fp64 sum, in order of its tokens, of the fp32 log-probabilities (logprobs.h) of
// each token after the prompt and the string's earlier tokens; where its tokens are the beginning of another string's,
// then that of ending there: with e the fp32 log-probabilities of the end-of-text tokens, by ascending ids, and M the
// largest of them, M + log_f32(f32(fp64 sum of exp_f32(e - M))), -inf where M is. Rounded to fp32 once it is printed.
// Its probability among the strings: w = exp_f32(f32(L - the largest L)) divided by the fp64 sum of all w in the order
// of the strings, rounded to fp32.
#pragma once

#include <span>
#include <vector>

#include "batchwright/request.h"
#include "batchwright/status.h"
#include "decode/token_trie.h"
#include "kernels/rows/rows.h"

namespace batchwright {

// Collects what the rows of logits at the trie's inner nodes say. Each inner node is scored once, in any order.
class AnswerScorer {
 public:
  // `trie` must outlive it. end_tokens: ascending.
  AnswerScorer(const TokenTrie& trie, std::span<const TokenId> end_tokens, const RowKernels& kernels);

  // The inner nodes below the root, put on paths from the root so that each stands on one of them: a path ends at an
  // inner node without inner children, and owns those of its nodes that no earlier path owns.
  struct Path {
    TokenTrie::Node last = TokenTrie::kRoot;
    int length = 0;      // tokens from the root to `last`
    int owned_from = 0;  // the first of its nodes that it owns, by tokens from the root: 1 or more
  };
  const std::vector<Path>& paths() const { return paths_; }

  // Takes the row of logits after the node's path. Different nodes may be scored by different threads at once; scoring
  // one again with the same row changes nothing. Fails (kInvalidData) as log_normaliser() does.
  Status score(TokenTrie::Node node, std::span<const float> logits);

  // Once all inner nodes are scored. Fails (kInvalidData) where every string has probability 0.
  Result<std::vector<AnswerLogprob>> result(std::span<const AllowedAnswer> answers) const;

 private:
  void find_paths();

  const TokenTrie* trie_;
  std::vector<TokenId> end_tokens_;
  const RowKernels* kernels_;
  std::vector<Path> paths_;
  std::vector<float> logprobs_;      // by node: of its token after its parent's path
  std::vector<float> end_logprobs_;  // by answer: of ending after it; 0 where it is nobody's beginning
};

}  // namespace batchwright

#include "engine/answer_work.h"

#include <algorithm>

#include "decode/answer_logprobs.h"
#include "decode/sampler.h"

namespace batchwright {

int answer_tokens_max(const Request& request, int context_length) {
  return std::min(request.max_tokens, std::max(0, context_length - static_cast<int>(request.prompt.size())));
}

bool needs_full_logits(const Request& request, const Vocabulary& vocabulary) {
  const bool suppresses =
      request.min_tokens > 0 && !(request.stop_token_ids.empty() && vocabulary.end_of_generation().empty());
  return request.allowed_answers != nullptr || suppresses ||
         sampling_needs_logits(request.sampling, request.top_logprobs);
}

bool runs_to_max_tokens(const Request& request, const Vocabulary& vocabulary, int context_length) {
  if (request.allowed_answers != nullptr || !request.stop_strings.empty()) return false;
  if (request.min_tokens >= answer_tokens_max(request, context_length)) return true;
  return request.stop_token_ids.empty() && (request.ignore_eos || vocabulary.end_of_generation().empty());
}

ListedAnswerWork listed_answer_work(const TokenTrie& trie, size_t answer, bool all_computed, bool begins_computed) {
  TokenTrie::Node node = trie.node_of(answer);
  // Where another string goes on, ending takes a token of its own.
  const uint32_t end = trie.is_leaf(node) ? 0 : 1;
  ListedAnswerWork work{end, end};
  while (node != TokenTrie::kRoot) {
    node = trie.parent(node);
    const bool has_alternative = trie.answer(node) >= 0 || trie.continuations(node).size() > 1;
    const bool begins = begins_computed && node == TokenTrie::kRoot;
    ++work.tokens;
    work.runs += all_computed || has_alternative || begins ? 1 : 0;
  }
  return work;
}

ScoredPaths scored_paths(const TokenTrie& trie) {
  const AnswerScorer scorer(trie, {}, row_kernels(Isa::kScalar));
  ScoredPaths paths;
  for (const AnswerScorer::Path& path : scorer.paths()) {
    ++paths.count;
    paths.tokens += static_cast<uint32_t>(path.length);
  }
  return paths;
}

}  // namespace batchwright

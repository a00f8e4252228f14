// What the answers of a request cost, as far as the request itself says: for planning, before anything runs.
#pragma once

#include <cstddef>
#include <cstdint>

#include "batchwright/request.h"
#include "decode/token_trie.h"
#include "text/vocabulary.h"

namespace batchwright {

// Tokens that each choice may generate in a context of that length.
int answer_tokens_max(const Request& request, int context_length);

// Whether rows of logits are needed whole, as ChoiceState::needs_logits() says of a choice's first token.
bool needs_full_logits(const Request& request, const Vocabulary& vocabulary);

// Whether nothing but max_tokens and the context end an answer: then its length is known.
bool runs_to_max_tokens(const Request& request, const Vocabulary& vocabulary, int context_length);

// Of one choice that gives a certain string of a list.
struct ListedAnswerWork {
  uint32_t tokens = 0;  // generated, an end-of-text token included
  uint32_t runs = 0;    // forward passes that give them: tokens without an alternative need none
};

// As ChoiceState takes them. all_computed: log-probabilities of tokens are wanted. begins_computed: the first token
// takes a pass whatever it is (of a scored request's first choice).
ListedAnswerWork listed_answer_work(const TokenTrie& trie, size_t answer, bool all_computed, bool begins_computed);

// Sequences beside the choices that score all strings of the trie (decode/answer_logprobs.h).
struct ScoredPaths {
  uint32_t count = 0;
  uint32_t tokens = 0;  // beyond the prompt, of all of them together
};
ScoredPaths scored_paths(const TokenTrie& trie);

}  // namespace batchwright

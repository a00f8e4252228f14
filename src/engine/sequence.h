// What the engine remembers of a request while it runs.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "batchwright/request.h"
#include "decode/answer_logprobs.h"
#include "decode/sampler.h"
#include "decode/stop_matcher.h"
#include "decode/token_trie.h"
#include "text/detokenizer.h"
#include "text/vocabulary.h"

namespace batchwright {

// One choice of a request: takes sampled tokens, gives the choice's text.
class ChoiceState {
 public:
  // What it is given must outlive it. limit: tokens to generate at most. trie: of the request's allowed answers, null
  // where it has none.
  ChoiceState(const Request& request, int index, int limit, const StopStrings& stop_strings, const TokenTrie* trie,
              const Vocabulary& vocabulary, const RowKernels& kernels);

  bool needs_logits() const { return trie_ != nullptr || sampler_.needs_logits(suppressed()); }

  // The next token, at `position`, from the row of logits before it (Sampler::sample).
  Result<SampledToken> sample(std::span<float> logits, int position, SamplerScratch& scratch) const;
  // The same from the row's argmax. Precondition: !needs_logits().
  Result<SampledToken> sample_argmax(const ArgMax& best, int position) const {
    return sampler_.sample_argmax(best, position);
  }

  // The next token; true where the choice has ended with it.
  bool take(SampledToken sampled);

  // Takes the tokens that need no computing: those without an alternative among the allowed answers, unless their
  // log-probabilities are wanted. True where the choice has ended with them.
  bool take_forced();

  int generated() const { return choice_.generated_tokens; }
  bool done() const { return done_; }
  void end_empty();  // a choice of no tokens
  Choice& choice() { return choice_; }

 private:
  std::span<const TokenId> suppressed() const;
  bool ends_generation(TokenId token) const;
  bool take_allowed(SampledToken sampled);
  void go_to(TokenTrie::Node node);
  void end_with(int answer);
  void finish(FinishReason reason);
  void add_text(std::string_view piece);

  const Request* request_;
  const Vocabulary* vocabulary_;
  const TokenTrie* trie_;
  int limit_;
  Sampler sampler_;
  Detokenizer detokenizer_;
  StopMatcher stops_;
  std::vector<TokenId> ending_;  // tokens that end the choice; none get a chance before min_tokens
  TokenTrie::Node node_ = TokenTrie::kRoot;
  std::vector<TokenId> going_on_or_ending_;  // what may follow where an answer is whole and another goes on
  Choice choice_;
  bool done_ = false;
};

struct RequestState {
  Request request;
  StopStrings stop_strings;
  std::shared_ptr<const TokenTrie> trie;  // of the allowed answers; null: none
  std::unique_ptr<AnswerScorer> scorer;   // where their log-probabilities are wanted
  std::vector<std::unique_ptr<ChoiceState>> choices;
  std::vector<int64_t> sequences;  // of each choice; -1 once it has ended
  int open_choices = 0;
  size_t paths_started = 0;                  // of the scorer's
  std::map<size_t, int64_t> path_sequences;  // of those under way
  Completion completion;

  bool done() const {
    return open_choices == 0 && path_sequences.empty() && (!scorer || paths_started == scorer->paths().size());
  }
};

}  // namespace batchwright

// What the engine remembers of a request while it runs.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "batchwright/request.h"
#include "decode/sampler.h"
#include "decode/stop_matcher.h"
#include "text/detokenizer.h"
#include "text/vocabulary.h"

namespace batchwright {

// One choice of a request: takes sampled tokens, gives the choice's text.
class ChoiceState {
 public:
  // `stop_strings` and `vocabulary` must outlive it. limit: tokens to generate at most.
  ChoiceState(const Request& request, int index, int limit, const StopStrings& stop_strings,
              const Vocabulary& vocabulary, const RowKernels& kernels);

  // Tokens that get no chance as the next one.
  std::span<const TokenId> suppressed() const;
  bool needs_logits() const { return sampler_.needs_logits(suppressed()); }
  const Sampler& sampler() const { return sampler_; }

  // The next token; true where the choice has ended with it.
  bool take(SampledToken sampled);

  int generated() const { return choice_.generated_tokens; }
  bool done() const { return done_; }
  void end_empty();  // a choice of no tokens
  Choice& choice() { return choice_; }

 private:
  bool ends_generation(TokenId token) const;
  void finish(FinishReason reason);
  void add_text(std::string_view piece);

  const Request* request_;
  const Vocabulary* vocabulary_;
  int limit_;
  Sampler sampler_;
  Detokenizer detokenizer_;
  StopMatcher stops_;
  std::vector<TokenId> ending_;  // tokens that end the choice; none get a chance before min_tokens
  Choice choice_;
  bool done_ = false;
};

struct RequestState {
  Request request;
  StopStrings stop_strings;
  std::vector<std::unique_ptr<ChoiceState>> choices;
  std::vector<int64_t> sequences;  // of each choice; -1 once it has ended
  int open_choices = 0;
  Completion completion;
};

}  // namespace batchwright

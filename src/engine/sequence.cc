#include "engine/sequence.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace batchwright {

ChoiceState::ChoiceState(const Request& request, int index, int limit, const StopStrings& stop_strings,
                         const TokenTrie* trie, const Vocabulary& vocabulary, const RowKernels& kernels)
    : request_(&request),
      vocabulary_(&vocabulary),
      trie_(trie),
      limit_(limit),
      sampler_(request.sampling, index, request.prompt, vocabulary.size(), request.top_logprobs, kernels),
      detokenizer_(vocabulary),
      stops_(stop_strings),
      ending_(request.stop_token_ids) {
  const std::span<const TokenId> own = vocabulary.end_of_generation();
  ending_.insert(ending_.end(), own.begin(), own.end());
}

std::span<const TokenId> ChoiceState::suppressed() const {
  return choice_.generated_tokens < request_->min_tokens ? std::span<const TokenId>(ending_)
                                                         : std::span<const TokenId>();
}

Result<SampledToken> ChoiceState::sample(std::span<float> logits, int position, SamplerScratch& scratch) const {
  if (trie_ == nullptr) return sampler_.sample(logits, position, suppressed(), scratch);
  const bool is_whole = trie_->answer(node_) >= 0;
  return sampler_.sample_among(is_whole ? going_on_or_ending_ : trie_->continuations(node_), logits, position, scratch);
}

bool ChoiceState::ends_generation(TokenId token) const {
  if (!request_->ignore_eos && vocabulary_->is_end_of_generation(token)) return true;
  return std::find(request_->stop_token_ids.begin(), request_->stop_token_ids.end(), token) !=
         request_->stop_token_ids.end();
}

void ChoiceState::add_text(std::string_view piece) {
  if (piece.empty() || stops_.stopped()) return;
  choice_.text += piece;
  if (stops_.feed(piece)) choice_.text.resize(stops_.safe_length());
}

bool ChoiceState::take(SampledToken sampled) {
  if (trie_ != nullptr) return take_allowed(std::move(sampled));
  ++choice_.generated_tokens;
  if (ends_generation(sampled.token)) {
    finish(FinishReason::kStop);
    return true;
  }
  sampler_.accept(sampled.token);
  choice_.tokens.push_back(sampled.token);
  if (sampled.logprobs) choice_.logprobs.push_back(std::move(*sampled.logprobs));
  add_text(detokenizer_.push(sampled.token));
  if (!stops_.stopped() && choice_.generated_tokens < limit_) return false;
  finish(FinishReason::kLength);
  return true;
}

bool ChoiceState::take_allowed(SampledToken sampled) {
  const int whole = trie_->answer(node_);
  if (whole >= 0 && vocabulary_->is_end_of_generation(sampled.token)) {
    ++choice_.generated_tokens;
    end_with(whole);
    return true;
  }
  if (sampled.logprobs) choice_.logprobs.push_back(std::move(*sampled.logprobs));
  go_to(trie_->next(node_, sampled.token));
  return done_ || take_forced();
}

bool ChoiceState::take_forced() {
  const bool all_computed = request_->top_logprobs >= 0 || request_->prompt_logprobs;
  while (trie_ != nullptr && !done_ && !all_computed) {
    if (trie_->answer(node_) >= 0 || trie_->continuations(node_).size() > 1) return false;
    go_to(trie_->child(node_, 0));
  }
  return done_;
}

void ChoiceState::go_to(TokenTrie::Node node) {
  node_ = node;
  const TokenId token = trie_->token(node);
  ++choice_.generated_tokens;
  choice_.tokens.push_back(token);
  sampler_.accept(token);
  const int whole = trie_->answer(node);
  if (trie_->is_leaf(node)) {
    end_with(whole);
  } else if (whole >= 0) {
    const std::span<const TokenId> more = trie_->continuations(node);
    going_on_or_ending_.clear();
    std::merge(more.begin(), more.end(), ending_.begin(), ending_.end(), std::back_inserter(going_on_or_ending_));
  }
}

void ChoiceState::end_with(int answer) {
  choice_.text = (*request_->allowed_answers)[static_cast<size_t>(answer)].text;
  choice_.finish_reason = FinishReason::kStop;
  done_ = true;
}

void ChoiceState::finish(FinishReason reason) {
  add_text(detokenizer_.flush());
  choice_.finish_reason = stops_.stopped() ? FinishReason::kStop : reason;
  done_ = true;
}

void ChoiceState::end_empty() { finish(FinishReason::kLength); }

}  // namespace batchwright

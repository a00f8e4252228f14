#include "engine/sequence.h"

#include <algorithm>
#include <utility>

namespace batchwright {

ChoiceState::ChoiceState(const Request& request, int index, int limit, const StopStrings& stop_strings,
                         const Vocabulary& vocabulary, const RowKernels& kernels)
    : request_(&request),
      vocabulary_(&vocabulary),
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

void ChoiceState::finish(FinishReason reason) {
  add_text(detokenizer_.flush());
  choice_.finish_reason = stops_.stopped() ? FinishReason::kStop : reason;
  done_ = true;
}

void ChoiceState::end_empty() { finish(FinishReason::kLength); }

}  // namespace batchwright

// What goes into an engine and what comes out: tokens, not text. Text is the business of `text` and `protocol`.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "batchwright/status.h"

namespace batchwright {

using TokenId = int32_t;

struct SamplingParams {
  // 0 is greedy: the exact argmax, the lowest id among equals.
  float temperature = 1.0F;
  // Keep the k likeliest tokens; 0 keeps all.
  int top_k = 0;
  // Keep the smallest set of likeliest tokens whose probability reaches top_p; 1 keeps all.
  float top_p = 1.0F;
  // Keep tokens whose probability is at least min_p times the likeliest's; 0 keeps all.
  float min_p = 0.0F;
  // Divides positive and multiplies negative logits of tokens seen in prompt or output; 1 is off.
  float repetition_penalty = 1.0F;
  // Subtracted once from the logits of tokens generated so far.
  float presence_penalty = 0.0F;
  // Subtracted from the logits of generated tokens, once for each occurrence.
  float frequency_penalty = 0.0F;
  // Added to the logits of the named tokens. Ids ascending, each at most once.
  std::vector<std::pair<TokenId, float>> logit_bias;
  // Key of the counter-based draws, together with the choice's index, the position and the draw's number.
  uint64_t seed = 0;
};

// One of the strings that an answer may be.
struct AllowedAnswer {
  std::string text;             // what a choice's text is then
  std::vector<TokenId> tokens;  // how it is spelled; not empty, no token that ends a text
};
using AllowedAnswers = std::vector<AllowedAnswer>;

struct Request {
  // Opaque to the engine, given back in the completion.
  uint64_t id = 0;

  // At least one token.
  std::vector<TokenId> prompt;

  SamplingParams sampling;

  // Choices to generate; each draws with its own index. They share the prompt's pages.
  int n = 1;

  // Tokens to generate at most; cut to what the context leaves. 0 with prompt_logprobs: score only.
  int max_tokens = 16;
  // Until so many tokens are generated, end-of-text and stop tokens get no chance.
  int min_tokens = 0;
  // Do not end at the model's end-of-text tokens.
  bool ignore_eos = false;
  // Generation ends after one of these; the token itself is not part of the output.
  std::vector<TokenId> stop_token_ids;
  // Generation ends when the generated text contains one of these; the text ends before it.
  std::vector<std::string> stop_strings;

  // The answer is one of these, token by token; null: anything. Not empty, no two with the same tokens, max_tokens at
  // least those of the longest; stops, min_tokens and ignore_eos have no meaning beside it and are refused. Many
  // requests may share one list: what is made of it is made once for those that follow each other.
  //
  // At each step only tokens that continue one of the strings have a chance - where one string's tokens are the
  // beginning of another's, the end-of-text tokens too, which choose the shorter. What is left to choose from goes the
  // way of every sampling. A token without an alternative needs no computing.
  std::shared_ptr<const AllowedAnswers> allowed_answers;
  // Log-probabilities of whole strings of `allowed_answers`, once a request (Completion::answer_logprobs).
  bool answer_logprobs = false;

  // Log-probabilities of each generated token and of so many likeliest ones beside it; -1: none at all.
  int top_logprobs = -1;
  // Log-probabilities of the prompt's tokens too, in the same form (turns prefix sharing off for this request).
  bool prompt_logprobs = false;

  // What whoever submits knows of the rest of the work. Wrong numbers cost time, never bytes.
  // Leading tokens of the prompt with which requests that are still to be submitted begin as well: their pages stay for
  // those, all others are given back at once. -1: not known.
  int reused_tokens = -1;
  // Tokens that each choice is expected to generate, by which memory is planned; -1: max_tokens.
  int expected_tokens = -1;
  // Asked when a choice has generated as many as were expected, and goes on: how many are expected now? Null, or an
  // answer of no more than `generated`: twice as many as before. Called while the engine steps, by the thread that
  // does.
  std::function<int(int generated)> expected_beyond;
};

struct TokenLogprob {
  TokenId token = 0;
  float logprob = 0.0F;  // natural logarithm of the probability before temperature, penalties and filters
};

struct TokenLogprobs {
  TokenLogprob chosen;
  std::vector<TokenLogprob> top;  // by (logprob descending, id ascending)
};

// Of one string of Request::allowed_answers.
struct AnswerLogprob {
  std::string text;
  float logprob = 0.0F;      // of the whole string, under the model's own distribution (decode/answer_logprobs.h)
  float probability = 0.0F;  // among the strings: these sum to 1
};

enum class FinishReason {
  kStop,    // an end-of-text token, a stop token, a stop string, or a whole allowed answer
  kLength,  // max_tokens, or the context is full
  kError,   // see Completion::status
};

struct Choice {
  std::vector<TokenId> tokens;  // without the token that stopped it
  std::string text;             // the detokenised text, cut before a stop string
  FinishReason finish_reason = FinishReason::kLength;
  std::vector<TokenLogprobs> logprobs;  // one a token, when asked for
  int generated_tokens = 0;             // the stopping one included
};

struct Completion {
  uint64_t id = 0;
  Status status;                               // not ok: this request alone failed; choices are empty
  std::vector<Choice> choices;                 // n of them, by index
  std::vector<TokenLogprobs> prompt_logprobs;  // one a prompt token; the first has no probability and is left empty
  std::vector<AnswerLogprob> answer_logprobs;  // in the order of allowed_answers, when asked for
  int prompt_tokens = 0;
  // Over all choices and what answer_logprobs needs beside them; less than n * prompt_tokens where pages were shared.
  int64_t prompt_tokens_computed = 0;
};

}  // namespace batchwright

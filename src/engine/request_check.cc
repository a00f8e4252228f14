#include "engine/request_check.h"

#include <fmt/format.h>

#include <string>
#include <utility>

#include "base/status_macros.h"
#include "decode/sampler.h"

namespace batchwright {

Status check_range(const char* field, int64_t value, int64_t least, int64_t most) {
  if (value >= least && value <= most) return {};
  return invalid_argument(fmt::format("{} is {}; it must be from {} to {}", field, value, least, most));
}

Status check_request(const Request& request, const Vocabulary& vocabulary, int context_length) {
  const auto bad = [](std::string message) { return invalid_argument(std::move(message)); };
  const auto prompt_tokens = static_cast<int64_t>(request.prompt.size());
  if (request.prompt.empty()) return bad("prompt is empty; at least one token is needed");
  for (const TokenId token : request.prompt) {
    if (!vocabulary.contains(token)) {
      return bad(fmt::format("prompt holds the token {}; ids go from 0 to {}", token, vocabulary.size() - 1));
    }
  }
  BATCHWRIGHT_RETURN_IF_ERROR(check_range("max_tokens", request.max_tokens, 0, INT32_MAX));
  if (prompt_tokens + (request.max_tokens > 0 ? 1 : 0) > context_length) {
    return bad(fmt::format("the prompt has {} tokens; the context of {} leaves room for at most {}", prompt_tokens,
                           context_length, request.max_tokens > 0 ? context_length - 1 : context_length));
  }
  BATCHWRIGHT_RETURN_IF_ERROR(check_range("n", request.n, 1, 1 << 16));
  BATCHWRIGHT_RETURN_IF_ERROR(check_range("min_tokens", request.min_tokens, 0, INT32_MAX));
  BATCHWRIGHT_RETURN_IF_ERROR(check_range("top_logprobs", request.top_logprobs, -1, vocabulary.size()));
  for (const TokenId token : request.stop_token_ids) {
    if (!vocabulary.contains(token)) {
      return bad(fmt::format("stop_token_ids holds {}; ids go from 0 to {}", token, vocabulary.size() - 1));
    }
  }
  if (request.answer_logprobs && request.allowed_answers == nullptr) {
    return bad("answer_logprobs is set; it needs allowed_answers");
  }
  return validate_sampling(request.sampling, vocabulary.size());
}

Status check_answers(const Request& request, const TokenTrie& trie, int context_length) {
  const auto alone = [](const char* field) {
    return invalid_argument(fmt::format("{} cannot be combined with allowed_answers", field));
  };
  if (!request.stop_strings.empty()) return alone("stop_strings");
  if (!request.stop_token_ids.empty()) return alone("stop_token_ids");
  if (request.min_tokens > 0) return alone("min_tokens");
  if (request.ignore_eos) return alone("ignore_eos");
  if (request.max_tokens < trie.depth()) {
    return invalid_argument(fmt::format("max_tokens is {}; the longest of allowed_answers has {} tokens",
                                        request.max_tokens, trie.depth()));
  }
  const auto prompt_tokens = static_cast<int64_t>(request.prompt.size());
  if (prompt_tokens + trie.depth() > context_length) {
    return invalid_argument(
        fmt::format("the prompt has {} tokens and the longest of allowed_answers {}; the context "
                    "has room for {}",
                    prompt_tokens, trie.depth(), context_length));
  }
  return {};
}

Result<TokenTrie> make_trie(const AllowedAnswers& answers, const Vocabulary& vocabulary) {
  for (const AllowedAnswer& answer : answers) {
    for (const TokenId token : answer.tokens) {
      if (!vocabulary.contains(token)) {
        return invalid_argument(
            fmt::format("allowed_answers holds the token {}; ids go from 0 to {}", token, vocabulary.size() - 1));
      }
      if (vocabulary.is_end_of_generation(token)) {
        return invalid_argument(fmt::format("allowed_answers: \"{}\" holds {}, which ends every text", answer.text,
                                            vocabulary.token_text(token)));
      }
    }
  }
  BATCHWRIGHT_ASSIGN_OR_RETURN(TokenTrie trie, TokenTrie::create(answers));
  if (trie.has_prefixes() && vocabulary.end_of_generation().empty()) {
    return invalid_argument("allowed_answers: one is the beginning of another, and the model has no end-of-text token");
  }
  return trie;
}

}  // namespace batchwright

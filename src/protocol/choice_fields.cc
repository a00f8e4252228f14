#include "protocol/choice_fields.h"

#include <fmt/format.h>

#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace batchwright {
namespace {

std::string entry_name(std::string_view name, size_t i) { return fmt::format("{}[{}]", name, i); }
std::string quoted(std::string_view text) { return shown(JsonValue(std::string(text))); }

// The strings of the body's own list; nothing where it has none or it is wrong.
std::vector<std::string_view> own_texts(BodyReader& body, std::string_view name) {
  std::vector<std::string_view> texts;
  const JsonValue::Array* const entries = body.array(name);
  if (entries == nullptr) return texts;
  if (entries->empty()) body.refuse(name, "is empty; at least one string is needed", "out_of_range");
  for (size_t i = 0; i < entries->size() && !body.failed(); ++i) {
    if ((*entries)[i].is_string()) {
      texts.push_back((*entries)[i].as_string());
    } else {
      body.wrong_type(entry_name(name, i), (*entries)[i], "a string");
    }
  }
  return texts;
}

void check_texts(BodyReader& body, std::string_view name, const std::vector<std::string_view>& texts,
                 const ProtocolLimits& limits) {
  if (static_cast<int64_t>(texts.size()) > limits.choices) {
    body.refuse(
        name, fmt::format("is an array of {}; at most {} are allowed (--limit-choices)", texts.size(), limits.choices),
        "limit_exceeded");
    return;
  }
  std::unordered_map<std::string_view, size_t> seen;
  for (size_t i = 0; i < texts.size(); ++i) {
    if (texts[i].empty()) {
      body.refuse(entry_name(name, i), "is empty; a string needs at least one character", "out_of_range");
    } else if (static_cast<int64_t>(texts[i].size()) > limits.choice_bytes) {
      body.refuse(entry_name(name, i),
                  fmt::format("is {} bytes long; at most {} are allowed (--limit-choice-bytes)", texts[i].size(),
                              limits.choice_bytes),
                  "limit_exceeded");
    } else if (const auto [it, is_new] = seen.emplace(texts[i], i); !is_new) {
      body.refuse(entry_name(name, i),
                  fmt::format("is {}, like {}; each string may stand once", quoted(texts[i]),
                              body.path_of(entry_name(name, it->second))),
                  "invalid_value");
    }
    if (body.failed()) return;
  }
}

void check_tokens(BodyReader& body, std::string_view name, const AnswerList& list) {
  for (size_t i = 0; i < list.answers.size(); ++i) {
    if (!list.answers[i].tokens.empty()) continue;
    body.refuse(entry_name(name, i), fmt::format("is {}; the model has no tokens for it", quoted(list.answers[i].text)),
                "invalid_value");
    return;
  }
  if (!list.same_tokens) return;
  const auto [later, earlier] = *list.same_tokens;
  body.refuse(entry_name(name, later),
              fmt::format("is {}; the model has the same tokens for {}, {}", quoted(list.answers[later].text),
                          body.path_of(entry_name(name, earlier)), quoted(list.answers[earlier].text)),
              "invalid_value");
}

}  // namespace

std::shared_ptr<const AnswerList> read_choice(BodyReader& body, const ProtocolContext& context, Request& request) {
  const bool by_other_name = body.any("guided_choice") != nullptr;
  if (body.any("choice") != nullptr && by_other_name) {
    body.refuse("guided_choice", "stands beside choice, which means the same; give one of them", "invalid_value");
  }
  const std::string_view name = by_other_name ? "guided_choice" : "choice";
  std::vector<std::string_view> texts = own_texts(body, name);
  if (texts.empty() && !body.failed()) texts.assign(context.defaults.choice.begin(), context.defaults.choice.end());
  const auto logprobs = body.boolean("choice_logprobs");
  if (body.failed()) return nullptr;
  if (texts.empty()) {
    if (logprobs.value_or(false)) body.refuse("choice_logprobs", "is true; it needs choice", "invalid_value");
    return nullptr;
  }
  check_texts(body, name, texts, context.limits);
  if (body.failed()) return nullptr;
  auto list = context.answer_lists->get(texts, context.encoder);
  check_tokens(body, name, *list);
  if (body.failed()) return nullptr;
  request.allowed_answers = std::shared_ptr<const AllowedAnswers>(list, &list->answers);
  request.answer_logprobs = logprobs.value_or(context.defaults.choice_logprobs);
  return list;
}

void check_fields_beside_choice(BodyReader& body, const AnswerList& answers, Request& request) {
  const auto refuse = [&](std::string_view field) {
    body.refuse(field, fmt::format("is {}; it cannot be combined with choice", shown(*body.any(field))),
                "invalid_value");
  };
  if (body.failed()) return;
  if (!request.stop_strings.empty()) refuse("stop");
  if (!request.stop_token_ids.empty()) refuse("stop_token_ids");
  if (request.min_tokens > 0) refuse("min_tokens");
  if (request.ignore_eos) refuse("ignore_eos");
  const int needed = answers.tokens_max();
  if (request.max_tokens < needed) {
    body.refuse(body.any("max_completion_tokens") != nullptr ? "max_completion_tokens" : "max_tokens",
                fmt::format("is {}; the longest string of choice, {}, has {} tokens", request.max_tokens,
                            quoted(answers.answers[answers.longest].text), needed),
                "out_of_range");
  }
  request.max_tokens = needed;
}

}  // namespace batchwright

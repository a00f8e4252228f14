#include "protocol/prepare_request.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "protocol/body_reader.h"
#include "protocol/chat_messages.h"
#include "protocol/choice_fields.h"
#include "protocol/refused_fields.h"
#include "protocol/sampling_fields.h"

namespace batchwright {
namespace {

constexpr int kCompletionMaxTokens = 16;

using Outcome = std::variant<PreparedRequest, RequestError>;

class Preparer {
 public:
  Preparer(const JsonValue::Object& body, std::string_view seed_key, const ProtocolContext& context)
      : body_(body), seed_key_(seed_key), context_(context) {}

  Outcome prepare(Endpoint endpoint) {
    out_.shape.endpoint = endpoint;
    const std::string* const model = body_.string("model");
    out_.shape.model = model == nullptr ? context_.model_name : *model;
    if (endpoint == Endpoint::kChatCompletions) {
      prepare_chat();
    } else {
      prepare_completion();
    }
    if (auto error = body_.take_error()) return std::move(*error);
    return std::move(out_);
  }

 private:
  Request& request() { return out_.request; }
  const ProtocolLimits& limits() const { return context_.limits; }

  // Unknown fields are known only when every known one has been asked for.
  void finish_fields() {
    check_refused_fields(out_.shape.endpoint, body_);
    for (std::string& name : body_.unread()) out_.ignored_fields.push_back(std::move(name));
  }

  void read_generation_fields(int lowest_max_tokens, int default_max_tokens) {
    answers_ = read_choice(body_, context_, request());
    if (answers_) default_max_tokens = answers_->tokens_max();
    read_sampling_fields(body_, seed_key_, context_, lowest_max_tokens, default_max_tokens, request());
    if (answers_) check_fields_beside_choice(body_, *answers_, request());
  }

  void prepare_chat() {
    ChatPrompt prompt;
    prompt.messages = read_messages(body_, limits(), out_.ignored_fields);
    prompt.tools = read_tools(body_, limits());
    prompt.arguments = read_template_arguments(body_);
    if (const auto add = body_.boolean("add_generation_prompt")) prompt.add_generation_prompt = *add;
    read_generation_fields(1, context_.defaults.max_tokens.value_or(context_.context_length));
    const bool logprobs = body_.boolean("logprobs").value_or(false);
    const auto top = body_.integer("top_logprobs", 0, limits().top_logprobs);
    if (top && *top > 0 && !logprobs) {
      body_.refuse("top_logprobs", fmt::format("is {}; it needs logprobs to be true", *top), "invalid_value");
    }
    if (logprobs) request().top_logprobs = static_cast<int>(top.value_or(0));
    out_.shape.logprobs = logprobs;
    finish_fields();
    if (body_.failed()) return;

    auto tokens = context_.encoder.encode_chat(prompt);
    if (!tokens.ok()) {
      body_.fail(request_error(tokens.status(), "messages"));
      return;
    }
    set_prompt(std::move(tokens).value(), "messages");
  }

  void prepare_completion() {
    const bool echo = body_.boolean("echo").value_or(false);
    const auto logprobs = body_.integer("logprobs", 0, limits().top_logprobs);
    const bool scored = echo && logprobs;
    const bool add_bos = body_.boolean("add_special_tokens").value_or(true);
    read_generation_fields(scored ? 0 : 1, context_.defaults.max_tokens.value_or(kCompletionMaxTokens));
    const JsonValue* const prompt = body_.any("prompt");
    finish_fields();
    if (logprobs) request().top_logprobs = static_cast<int>(*logprobs);
    request().prompt_logprobs = scored;
    out_.shape.logprobs = logprobs.has_value();
    out_.shape.echo = echo;
    if (prompt == nullptr) {
      body_.refuse("prompt", "is missing; a completion needs one", "missing");
    } else {
      read_prompt(*prompt, add_bos);
    }
    if (echo && logprobs && !body_.failed()) out_.shape.echo_tokens = request().prompt;
  }

  void read_prompt(const JsonValue& prompt, bool add_bos) {
    if (body_.failed()) return;
    if (prompt.is_string()) {
      read_text_prompt(prompt.as_string(), add_bos);
    } else if (!prompt.is_array()) {
      body_.wrong_type("prompt", prompt, "a string or an array of token ids");
    } else if (prompt.as_array().empty()) {
      body_.refuse("prompt", "is empty; at least one token is needed", "out_of_range");
    } else if (prompt.as_array().front().is_integer()) {
      read_token_prompt(prompt.as_array());
    } else if (prompt.as_array().size() > 1) {
      body_.refuse("prompt",
                   fmt::format("is an array of {} prompts; one row has one prompt: give each a row of its own",
                               prompt.as_array().size()),
                   "unsupported_value");
    } else if (prompt.as_array().front().is_string()) {
      read_text_prompt(prompt.as_array().front().as_string(), add_bos);
    } else if (prompt.as_array().front().is_array() && !prompt.as_array().front().as_array().empty()) {
      read_token_prompt(prompt.as_array().front().as_array());
    } else {
      body_.out_of_range("prompt[0]", prompt.as_array().front(), "a string, a token id or an array of token ids");
    }
  }

  void read_text_prompt(const std::string& text, bool add_bos) {
    if (static_cast<int64_t>(text.size()) > limits().prompt_bytes) {
      body_.refuse("prompt",
                   fmt::format("is {} bytes long; at most {} are allowed (--limit-prompt-bytes)", text.size(),
                               limits().prompt_bytes),
                   "limit_exceeded");
      return;
    }
    if (out_.shape.echo) out_.shape.echo_text = text;
    set_prompt(context_.encoder.encode_text(text, add_bos), "prompt");
  }

  void read_token_prompt(const JsonValue::Array& ids) {
    std::vector<TokenId> tokens;
    tokens.reserve(ids.size());
    const int vocabulary_size = context_.encoder.vocabulary_size();
    for (size_t i = 0; i < ids.size(); ++i) {
      const auto id = ids[i].to_int64();
      if (!id || *id < 0 || *id >= vocabulary_size) {
        body_.out_of_range(fmt::format("prompt[{}]", i), ids[i],
                           fmt::format("a token id from 0 to {}", vocabulary_size - 1));
        return;
      }
      tokens.push_back(static_cast<TokenId>(*id));
    }
    if (out_.shape.echo) out_.shape.echo_text = context_.encoder.decode(tokens);
    set_prompt(std::move(tokens), "prompt");
  }

  void set_prompt(std::vector<TokenId> tokens, std::string_view field) {
    // A context that is full leaves no place for an answer.
    const int places = context_.context_length - (answers_ ? answers_->tokens_max() : request().max_tokens > 0 ? 1 : 0);
    if (tokens.empty()) {
      body_.refuse(field, "is empty; at least one token is needed", "out_of_range");
    } else if (answers_ && tokens.size() > static_cast<size_t>(std::max(places, 0))) {
      body_.refuse(field,
                   fmt::format("is {} tokens long and the longest string of choice {}; the context holds {}",
                               tokens.size(), answers_->tokens_max(), context_.context_length),
                   "context_length_exceeded");
    } else if (tokens.size() > static_cast<size_t>(std::max(places, 0))) {
      body_.refuse(field,
                   fmt::format("is {} tokens long; the context holds {}, the answer's included", tokens.size(),
                               context_.context_length),
                   "context_length_exceeded");
    } else {
      request().prompt = std::move(tokens);
    }
  }

  BodyReader body_;
  std::string_view seed_key_;
  const ProtocolContext& context_;
  PreparedRequest out_;
  std::shared_ptr<const AnswerList> answers_;  // null: anything may be answered
};

}  // namespace

Outcome prepare_request(Endpoint endpoint, const JsonValue& body, std::string_view seed_key,
                        const ProtocolContext& context) {
  if (!body.is_object()) {
    RequestError error;
    error.message = fmt::format("body is {} ({}); it must be an object", shown(body), body.type_name());
    error.param = "body";
    error.code = "wrong_type";
    return error;
  }
  return Preparer(body.as_object(), seed_key, context).prepare(endpoint);
}

}  // namespace batchwright

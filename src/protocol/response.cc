#include "protocol/response.h"

#include <fmt/format.h>

#include <cmath>
#include <set>
#include <span>
#include <string_view>

#include "base/check.h"
#include "base/utf8.h"

namespace batchwright {
namespace {

// As the OpenAI API prints tokens that are no whole characters.
std::string token_string(std::string_view bytes) {
  if (is_valid_utf8(bytes)) return std::string(bytes);
  std::string out = "bytes:";
  for (const char byte : bytes) out += fmt::format("\\x{:02x}", static_cast<unsigned char>(byte));
  return out;
}

// JSON has no infinities; -9999 is what the OpenAI API prints for "impossible".
float printable(float logprob) { return std::isfinite(logprob) ? logprob : -9999.0F; }

void append_chat_token(JsonWriter& out, const TokenLogprob& token, const PromptEncoder& encoder) {
  const std::string_view bytes = encoder.token_bytes(token.token);
  out.member("token", token_string(bytes));
  out.member("logprob", printable(token.logprob));
  out.key("bytes");
  out.begin_array();
  for (const char byte : bytes) out.value(static_cast<int>(static_cast<unsigned char>(byte)));
  out.end_array();
}

void append_chat_logprobs(JsonWriter& out, std::span<const TokenLogprobs> tokens, const PromptEncoder& encoder) {
  out.begin_object();
  out.key("content");
  out.begin_array();
  for (const TokenLogprobs& token : tokens) {
    out.begin_object();
    append_chat_token(out, token.chosen, encoder);
    out.key("top_logprobs");
    out.begin_array();
    for (const TokenLogprob& candidate : token.top) {
      out.begin_object();
      append_chat_token(out, candidate, encoder);
      out.end_object();
    }
    out.end_array();
    out.end_object();
  }
  out.end_array();
  out.end_object();
}

// The four parallel arrays of a completion's log-probabilities: the prompt's tokens where it is echoed, then the
// generated ones.
class CompletionLogprobs {
 public:
  explicit CompletionLogprobs(const PromptEncoder& encoder) : encoder_(encoder) {}

  void add_prompt(std::span<const TokenId> tokens, std::span<const TokenLogprobs> logprobs) {
    for (size_t i = 0; i < tokens.size(); ++i) {
      // Nothing comes before the first token: it has no probability.
      const bool has_logprob = i > 0 && i < logprobs.size();
      tokens_.push_back({tokens[i], has_logprob ? &logprobs[i] : nullptr});
    }
  }
  void add_generated(std::span<const TokenLogprobs> logprobs) {
    for (const TokenLogprobs& token : logprobs) tokens_.push_back({token.chosen.token, &token});
  }

  void append_to(JsonWriter& out) const {
    out.begin_object();
    append_array(out, "tokens",
                 [&](const Entry& entry) { out.value(token_string(encoder_.token_bytes(entry.token))); });
    append_array(out, "token_logprobs", [&](const Entry& entry) {
      if (entry.logprobs == nullptr) {
        out.null();
      } else {
        out.value(printable(entry.logprobs->chosen.logprob));
      }
    });
    append_array(out, "top_logprobs", [&](const Entry& entry) { append_top(out, entry); });
    int64_t offset = 0;
    append_array(out, "text_offset", [&](const Entry& entry) {
      out.value(offset);
      if (encoder_.is_text(entry.token)) offset += characters_begun(encoder_.token_bytes(entry.token));
    });
    out.end_object();
  }

 private:
  struct Entry {
    TokenId token;
    const TokenLogprobs* logprobs;  // null: none
  };

  template <class AppendEntry>
  void append_array(JsonWriter& out, const char* name, AppendEntry append_entry) const {
    out.key(name);
    out.begin_array();
    for (const Entry& entry : tokens_) append_entry(entry);
    out.end_array();
  }

  void append_top(JsonWriter& out, const Entry& entry) const {
    if (entry.logprobs == nullptr) {
      out.null();
      return;
    }
    out.begin_object();
    // Different tokens may have the same text; a key stands once, for the likeliest.
    std::set<std::string> seen;
    for (const TokenLogprob& candidate : entry.logprobs->top) {
      std::string text = token_string(encoder_.token_bytes(candidate.token));
      if (!seen.insert(text).second) continue;
      out.member(text, printable(candidate.logprob));
    }
    out.end_object();
  }

  static int64_t characters_begun(std::string_view bytes) {
    int64_t count = 0;
    for (const char byte : bytes) count += (static_cast<unsigned char>(byte) & 0xC0) != 0x80 ? 1 : 0;
    return count;
  }

  const PromptEncoder& encoder_;
  std::vector<Entry> tokens_;
};

void append_answer_logprobs(JsonWriter& out, std::span<const AnswerLogprob> answers) {
  out.key("choice_logprobs");
  out.begin_array();
  for (const AnswerLogprob& answer : answers) {
    out.begin_object();
    out.member("text", answer.text);
    out.member("logprob", printable(answer.logprob));
    out.member("probability", answer.probability);
    out.end_object();
  }
  out.end_array();
}

void append_chat_choice(JsonWriter& out, const ResponseShape& shape, const Choice& choice,
                        const PromptEncoder& encoder) {
  out.key("message");
  out.begin_object();
  out.member("role", "assistant");
  out.member("content", choice.text);
  out.end_object();
  out.key("logprobs");
  if (shape.logprobs) {
    append_chat_logprobs(out, choice.logprobs, encoder);
  } else {
    out.null();
  }
}

void append_completion_choice(JsonWriter& out, const ResponseShape& shape, const Completion& completion,
                              const Choice& choice, const PromptEncoder& encoder) {
  out.member("text", shape.echo ? shape.echo_text + choice.text : choice.text);
  out.key("logprobs");
  if (!shape.logprobs) {
    out.null();
    return;
  }
  CompletionLogprobs logprobs(encoder);
  if (shape.echo) logprobs.add_prompt(shape.echo_tokens, completion.prompt_logprobs);
  logprobs.add_generated(choice.logprobs);
  logprobs.append_to(out);
}

}  // namespace

const char* finish_reason_name(FinishReason reason) { return reason == FinishReason::kStop ? "stop" : "length"; }

void append_response_body(JsonWriter& out, const ResponseShape& shape, const ResponseIdentity& identity,
                          const Completion& completion, const PromptEncoder& encoder) {
  BATCHWRIGHT_CHECK(completion.status.ok());
  const bool chat = shape.endpoint == Endpoint::kChatCompletions;
  out.begin_object();
  out.member("id", identity.id);
  out.member("object", chat ? "chat.completion" : "text_completion");
  out.member("created", identity.created);
  out.member("model", shape.model);
  out.key("choices");
  out.begin_array();
  int64_t generated = 0;
  for (size_t i = 0; i < completion.choices.size(); ++i) {
    const Choice& choice = completion.choices[i];
    generated += choice.generated_tokens;
    out.begin_object();
    out.member("index", static_cast<uint64_t>(i));
    if (chat) {
      append_chat_choice(out, shape, choice, encoder);
    } else {
      append_completion_choice(out, shape, completion, choice, encoder);
    }
    out.member("finish_reason", finish_reason_name(choice.finish_reason));
    if (!completion.answer_logprobs.empty()) append_answer_logprobs(out, completion.answer_logprobs);
    out.end_object();
  }
  out.end_array();
  out.key("usage");
  out.begin_object();
  out.member("prompt_tokens", completion.prompt_tokens);
  out.member("completion_tokens", generated);
  out.member("total_tokens", completion.prompt_tokens + generated);
  out.end_object();
  out.member("system_fingerprint", identity.system_fingerprint);
  out.end_object();
}

}  // namespace batchwright

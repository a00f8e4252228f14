// The seam between requests and a model's text: its template, its tokeniser, its vocabulary.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "batchwright/request.h"
#include "batchwright/status.h"

namespace batchwright {

struct ChatPrompt {
  JsonValue messages;   // an array of objects, checked
  JsonValue tools;      // an array, or null
  JsonValue arguments;  // an object of further template variables, or null
  bool add_generation_prompt = true;
};

// Thread-safe.
class PromptEncoder {
 public:
  virtual ~PromptEncoder() = default;

  virtual int vocabulary_size() const = 0;

  // Control tokens written in the text stay text. add_bos: begins with BOS where the vocabulary asks for it.
  virtual std::vector<TokenId> encode_text(std::string_view text, bool add_bos) const = 0;

  // The text by itself, as it is spelled within an answer: nothing goes before it.
  virtual std::vector<TokenId> encode_answer(std::string_view text) const = 0;

  // Rendered by the chat template and tokenised; only what the template itself wrote becomes control tokens. Begins
  // with one BOS where template or vocabulary want one. kUnsupported where there is no usable template; otherwise the
  // template's refusal (text/chat_template.h).
  virtual Result<std::vector<TokenId>> encode_chat(const ChatPrompt& prompt) const = 0;

  // What the token adds to a text; a control token's name. Precondition: 0 <= id < vocabulary_size().
  virtual std::string_view token_bytes(TokenId id) const = 0;
  // False for control tokens: they are no part of a text.
  virtual bool is_text(TokenId id) const = 0;

  // Valid UTF-8. Precondition: all ids are in the vocabulary.
  virtual std::string decode(std::span<const TokenId> ids) const = 0;
};

}  // namespace batchwright

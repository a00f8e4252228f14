// From a request's JSON body to what the engine runs.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/json.h"
#include "batchwright/request.h"
#include "protocol/answer_lists.h"
#include "protocol/limits.h"
#include "protocol/prompt_encoder.h"
#include "protocol/request_error.h"

namespace batchwright {

enum class Endpoint { kChatCompletions, kCompletions };

// What a row gets where it says nothing itself.
struct RequestDefaults {
  // n, prompt and the fields of log-probabilities of this request are not used.
  SamplingParams sampling;
  // Nothing: what the context leaves for chats, 16 for completions.
  std::optional<int> max_tokens;
  int min_tokens = 0;
  bool ignore_eos = false;
  std::vector<std::string> stop_strings;
  // The strings that an answer may be; none: anything. max_tokens, min_tokens, ignore_eos and stop_strings of these
  // defaults are not for rows with such a list, whether it is their own or this one.
  std::vector<std::string> choice;
  bool choice_logprobs = false;
};

struct ProtocolContext {
  const PromptEncoder& encoder;
  int context_length = 0;
  // Echoed where the body names no model.
  std::string model_name;
  RequestDefaults defaults;
  ProtocolLimits limits;
  // Shared by all who prepare with this context.
  std::shared_ptr<AnswerLists> answer_lists = std::make_shared<AnswerLists>();
};

// What of a request its response needs.
struct ResponseShape {
  Endpoint endpoint = Endpoint::kChatCompletions;
  std::string model;
  bool logprobs = false;
  // Completions: the prompt stands before each choice's text.
  bool echo = false;
  std::string echo_text;
  std::vector<TokenId> echo_tokens;  // with logprobs only
};

struct PreparedRequest {
  Request request;  // id is left 0
  ResponseShape shape;
  // Fields that were there and mean nothing to this program, for counting.
  std::vector<std::string> ignored_fields;
};

// Checks every field, renders and tokenises. A field that is null counts as absent; unknown fields are ignored and
// listed. `seed_key` (the row's custom_id) is mixed with the default seed where the body has none.
// Thread-safe.
std::variant<PreparedRequest, RequestError> prepare_request(Endpoint endpoint, const JsonValue& body,
                                                            std::string_view seed_key, const ProtocolContext& context);

}  // namespace batchwright

#include "protocol/refused_fields.h"

#include <fmt/format.h>

#include <array>
#include <optional>
#include <string_view>

namespace batchwright {
namespace {

// What may stand there besides null. Numbers are compared as numbers.
enum class Neutral { kNothing, kFalse, kTrue, kZero, kOne, kEmpty };

struct RefusedField {
  std::string_view name;
  Neutral neutral;
};

// Of the OpenAI API and of engines that extend it.
constexpr auto kRefused = std::to_array<RefusedField>({
    {"functions", Neutral::kEmpty},
    {"function_call", Neutral::kNothing},
    {"audio", Neutral::kNothing},
    {"web_search_options", Neutral::kNothing},
    {"reasoning_effort", Neutral::kNothing},
    {"verbosity", Neutral::kNothing},
    {"suffix", Neutral::kEmpty},
    {"use_beam_search", Neutral::kFalse},
    {"length_penalty", Neutral::kOne},
    {"typical_p", Neutral::kOne},
    {"top_a", Neutral::kZero},
    {"tfs_z", Neutral::kOne},
    {"mirostat", Neutral::kZero},
    {"dry_multiplier", Neutral::kZero},
    {"xtc_probability", Neutral::kZero},
    {"dynatemp_range", Neutral::kZero},
    {"bad_words", Neutral::kEmpty},
    {"allowed_token_ids", Neutral::kNothing},
    {"include_stop_str_in_output", Neutral::kFalse},
    {"skip_special_tokens", Neutral::kTrue},
    {"truncate_prompt_tokens", Neutral::kNothing},
    {"prompt_logprobs", Neutral::kNothing},
    {"return_tokens_as_token_ids", Neutral::kFalse},
    {"grammar", Neutral::kEmpty},
    {"json_schema", Neutral::kNothing},
    {"guided_json", Neutral::kNothing},
    {"guided_regex", Neutral::kNothing},
    {"guided_grammar", Neutral::kNothing},
    {"structured_outputs", Neutral::kNothing},
    {"logits_processors", Neutral::kEmpty},
});

constexpr auto kRefusedInChats = std::to_array<RefusedField>({
    {"echo", Neutral::kFalse},
    {"continue_final_message", Neutral::kFalse},
    {"add_special_tokens", Neutral::kFalse},
    {"chat_template", Neutral::kNothing},
    {"documents", Neutral::kEmpty},
});

// They concern the service, not the answer.
constexpr auto kAccepted =
    std::to_array<std::string_view>({"user", "metadata", "store", "service_tier", "safety_identifier"});

bool is_neutral(const JsonValue& value, Neutral neutral) {
  switch (neutral) {
    case Neutral::kNothing:
      return false;
    case Neutral::kFalse:
      return value == JsonValue(false);
    case Neutral::kTrue:
      return value == JsonValue(true);
    case Neutral::kZero:
      return value.is_number() && value.as_double() == 0.0;
    case Neutral::kOne:
      return value.is_number() && value.as_double() == 1.0;
    case Neutral::kEmpty:
      return (value.is_string() && value.as_string().empty()) || (value.is_array() && value.as_array().empty());
  }
  return false;
}

void check(const RefusedField& field, BodyReader& body) {
  const JsonValue* const value = body.any(field.name);
  if (value == nullptr || is_neutral(*value, field.neutral)) return;
  body.refuse(field.name, fmt::format("is {}; this field is not supported", shown(*value)), "unsupported_value");
}

void check_response_format(BodyReader& body) {
  const JsonValue::Object* const format = body.object("response_format");
  if (format == nullptr) return;
  BodyReader fields(*format, "response_format");
  const std::string* const type = fields.string("type");
  if (type == nullptr) {
    if (!fields.failed()) fields.refuse("type", "is missing", "missing");
  } else if (*type != "text") {
    fields.refuse("type", "is " + shown(*type) + "; only \"text\" is supported", "unsupported_value");
  }
  if (fields.failed()) body.fail(*fields.take_error());
}

void check_modalities(BodyReader& body) {
  const JsonValue* const value = body.any("modalities");
  if (value == nullptr || *value == JsonValue(JsonValue::Array{JsonValue("text")})) return;
  body.refuse("modalities", "is " + shown(*value) + "; only [\"text\"] is supported", "unsupported_value");
}

}  // namespace

void check_refused_fields(Endpoint endpoint, BodyReader& body) {
  for (const RefusedField& field : kRefused) check(field, body);
  if (endpoint == Endpoint::kChatCompletions) {
    for (const RefusedField& field : kRefusedInChats) check(field, body);
    check_modalities(body);
  }
  check_response_format(body);
  for (const std::string_view name : kAccepted) body.skip(name);
}

}  // namespace batchwright

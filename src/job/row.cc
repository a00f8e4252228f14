#include "job/row.h"

#include <fmt/format.h>

#include <utility>

#include "protocol/body_reader.h"

namespace batchwright {
namespace {

constexpr const char* kSupportedUrls = "/v1/chat/completions, /v1/completions";

RowError row_error(std::optional<std::string> custom_id, RequestError error) {
  return {std::move(custom_id), std::move(error)};
}

RequestError simple_error(std::string message, std::string param, std::string code) {
  RequestError error;
  error.message = std::move(message);
  error.param = std::move(param);
  error.code = std::move(code);
  return error;
}

// The id that the line gives or gets; an error in the reader where it is unusable.
std::string read_custom_id(BodyReader& fields, int64_t line_number, const ProtocolLimits& limits) {
  const std::string* const id = fields.string("custom_id");
  if (id == nullptr) return fmt::format("line-{}", line_number);
  if (id->empty()) fields.refuse("custom_id", "is empty; it must have at least one character", "out_of_range");
  if (static_cast<int64_t>(id->size()) > limits.custom_id_bytes) {
    fields.refuse("custom_id",
                  fmt::format("is {} bytes long; at most {} are allowed (--limit-custom-id-bytes)", id->size(),
                              limits.custom_id_bytes),
                  "limit_exceeded");
  }
  return *id;
}

std::optional<Endpoint> endpoint_of(std::string_view url) {
  if (url == "/v1/chat/completions") return Endpoint::kChatCompletions;
  if (url == "/v1/completions") return Endpoint::kCompletions;
  return std::nullopt;
}

void read_batch_form(BodyReader& fields, Row& row) {
  if (const std::string* const method = fields.string("method"); method != nullptr && *method != "POST") {
    fields.refuse("method", fmt::format("is {}; it must be \"POST\"", shown(*method)), "invalid_value");
  }
  const std::string* const url = fields.string("url");
  if (url == nullptr) {
    if (!fields.failed()) {
      fields.refuse("url", fmt::format("is missing; supported are {}", kSupportedUrls), "missing");
    }
  } else if (const auto endpoint = endpoint_of(*url)) {
    row.endpoint = *endpoint;
  } else {
    fields.refuse("url", fmt::format("is {}; supported are {}", shown(*url), kSupportedUrls), "unsupported_value");
  }
  if (const JsonValue::Object* const body = fields.object("body")) {
    row.body = JsonValue(*body);
  } else if (!fields.failed()) {
    fields.refuse("body", "is missing; it must be an object", "missing");
  }
  row.ignored_fields = fields.unread();
}

void read_short_form(const JsonValue::Object& line, BodyReader& fields, Row& row) {
  const bool messages = fields.any("messages") != nullptr;
  const bool prompt = fields.any("prompt") != nullptr;
  if (messages == prompt) {
    fields.fail(simple_error(messages ? "the line has both messages and prompt; one row is one request"
                                      : "the line has neither a body with its url, nor messages, nor a prompt",
                             "", messages ? "invalid_value" : "missing"));
    return;
  }
  row.endpoint = messages ? Endpoint::kChatCompletions : Endpoint::kCompletions;
  JsonValue::Object body;
  for (const JsonValue::Member& member : line) {
    if (member.key != "custom_id" && member.key != "method") body.push_back(member);
  }
  row.body = JsonValue(std::move(body));
}

}  // namespace

std::variant<Row, RowError> parse_row(std::string_view line, int64_t line_number, const ProtocolLimits& limits) {
  auto parsed = parse_json(line, {.max_depth = static_cast<int>(limits.json_depth)});
  if (!parsed.ok()) {
    return row_error(std::nullopt, simple_error(parsed.status().message(), "", "invalid_json"));
  }
  if (!parsed->is_object()) {
    return row_error(std::nullopt, simple_error(fmt::format("the line is {} ({}); it must be an object", shown(*parsed),
                                                            parsed->type_name()),
                                                "", "wrong_type"));
  }
  const JsonValue::Object& object = parsed->as_object();
  BodyReader fields(object);
  Row row;
  row.custom_id = read_custom_id(fields, line_number, limits);
  if (auto error = fields.take_error()) return row_error(std::nullopt, std::move(*error));
  if (parsed->find("body") != nullptr || parsed->find("url") != nullptr) {
    read_batch_form(fields, row);
  } else {
    read_short_form(object, fields, row);
  }
  if (auto error = fields.take_error()) return row_error(std::move(row.custom_id), std::move(*error));
  return row;
}

RowError line_too_long(const ProtocolLimits& limits) {
  return row_error(
      std::nullopt,
      simple_error(fmt::format("the line is longer than the limit of {} bytes (--limit-line-bytes)", limits.line_bytes),
                   "", "limit_exceeded"));
}

}  // namespace batchwright

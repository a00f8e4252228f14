#include "protocol/request_error.h"

#include <utility>

namespace batchwright {

RequestError request_error(const Status& status, std::string param) {
  RequestError error;
  error.message = status.message();
  error.param = std::move(param);
  switch (status.code()) {
    case StatusCode::kInvalidArgument:
    case StatusCode::kInvalidData:
      error.code = "invalid_value";
      break;
    case StatusCode::kUnsupported:
      error.code = "unsupported_value";
      break;
    case StatusCode::kResourceExhausted:
      error.code = "limit_exceeded";
      break;
    default:
      error.status_code = 500;
      error.code = "internal_error";
  }
  return error;
}

void append_error_body(JsonWriter& out, const RequestError& error) {
  const auto text_or_null = [&out](const char* name, const std::string& text) {
    out.key(name);
    if (text.empty()) {
      out.null();
    } else {
      out.value(text);
    }
  };
  out.begin_object();
  out.key("error");
  out.begin_object();
  out.member("message", error.message);
  out.member("type", error.type());
  text_or_null("param", error.param);
  text_or_null("code", error.code);
  out.end_object();
  out.end_object();
}

}  // namespace batchwright

// Why a request is refused, in the form that clients of the OpenAI API know.
#pragma once

#include <string>

#include "base/json_writer.h"
#include "batchwright/status.h"

namespace batchwright {

struct RequestError {
  int status_code = 400;
  std::string message;  // field, value, limit
  std::string param;    // the field's path, as "messages[2].content"; empty: no single field
  std::string code;     // for programs: "wrong_type", "out_of_range", ...; may be empty

  // "invalid_request_error", or "server_error" from 500 on.
  const char* type() const { return status_code >= 500 ? "server_error" : "invalid_request_error"; }
};

// 400 for what the request is to blame for, 500 otherwise.
RequestError request_error(const Status& status, std::string param = "");

// {"error":{"message","type","param","code"}}
void append_error_body(JsonWriter& out, const RequestError& error);

}  // namespace batchwright

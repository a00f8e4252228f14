// From what the engine generated to a response's JSON body.
#pragma once

#include <cstdint>
#include <string>

#include "base/json_writer.h"
#include "batchwright/request.h"
#include "protocol/prepare_request.h"

namespace batchwright {

struct ResponseIdentity {
  std::string id;
  int64_t created = 0;
  std::string system_fingerprint;
};

// "stop" or "length".
const char* finish_reason_name(FinishReason reason);

// A chat.completion or text_completion object. Nothing in it depends on time, host, threads or batch but what
// `identity` says. Precondition: the completion's status is ok.
void append_response_body(JsonWriter& out, const ResponseShape& shape, const ResponseIdentity& identity,
                          const Completion& completion, const PromptEncoder& encoder);

}  // namespace batchwright

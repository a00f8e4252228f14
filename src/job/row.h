// One row of a job: the request's envelope.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/json.h"
#include "protocol/limits.h"
#include "protocol/prepare_request.h"
#include "protocol/request_error.h"

namespace batchwright {

struct Row {
  std::string custom_id;  // the row's, or "line-N" ("row-N" in tables)
  Endpoint endpoint = Endpoint::kChatCompletions;
  JsonValue body;
  std::vector<std::string> ignored_fields;
  // Of a table's row: the values that its result repeats, as RowFormat::carried() names them.
  std::vector<std::string> carried;
};

struct RowError {
  std::optional<std::string> custom_id;  // nothing where the line gives none that can be used
  RequestError error;
  std::vector<std::string> carried = {};  // as a Row's; empty where the record could not be split
};

// docs/formats/rows.md. The OpenAI Batch form, {"custom_id","method","url","body"}, or a body by itself (with or
// without custom_id), whose url follows from "messages" or "prompt".
std::variant<Row, RowError> parse_row(std::string_view line, int64_t line_number, const ProtocolLimits& limits);

// The error of a line that was never looked into.
RowError line_too_long(const ProtocolLimits& limits);

}  // namespace batchwright

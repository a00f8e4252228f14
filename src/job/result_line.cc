#include "job/result_line.h"

#include <fmt/format.h>

#include "base/check.h"
#include "base/json_writer.h"

namespace batchwright {
namespace {

void begin_line(JsonWriter& out, const std::optional<std::string>& custom_id, const Hash128& hash) {
  out.begin_object();
  out.member("id", "batch_req_" + hash.hex());
  out.key("custom_id");
  if (custom_id) {
    out.value(*custom_id);
  } else {
    out.null();
  }
}

void begin_response(JsonWriter& out, int status_code, const Hash128& hash) {
  out.key("response");
  out.begin_object();
  out.member("status_code", status_code);
  out.member("request_id", "req_" + hash.hex());
  out.key("body");
}

// The end of "response", and what comes after it.
void end_line(JsonWriter& out, const CarriedColumns& columns) {
  out.end_object();
  if (!columns.values.empty()) {
    BATCHWRIGHT_CHECK(columns.names.size() == columns.values.size());
    out.key("columns");
    out.begin_object();
    for (size_t i = 0; i < columns.names.size(); ++i) out.member(columns.names[i], columns.values[i]);
    out.end_object();
  }
  out.key("error");
  out.null();
  out.end_object();
}

}  // namespace

Hash128 row_hash(const Row& row) {
  Hasher128 hasher;
  hasher.update(row.custom_id);
  // A byte that neither valid UTF-8 nor a name of an endpoint holds keeps the parts apart.
  hasher.update(row.endpoint == Endpoint::kChatCompletions ? "\xFF/chat\xFF" : "\xFF/text\xFF");
  hasher.update(to_json(row.body));
  return hasher.digest();
}

Hash128 row_hash(const RowError& error, int64_t line) {
  return hash128(error.custom_id ? *error.custom_id + "\xFF" + error.error.message : fmt::format("\xFFline-{}", line));
}

std::string result_line(const std::string& custom_id, const Hash128& hash, const ResponseShape& shape,
                        const Completion& completion, const PromptEncoder& encoder, const ResultContext& context,
                        const CarriedColumns& columns) {
  std::string line;
  JsonWriter out(line);
  begin_line(out, custom_id, hash);
  begin_response(out, 200, hash);
  ResponseIdentity identity;
  identity.id = (shape.endpoint == Endpoint::kChatCompletions ? "chatcmpl-" : "cmpl-") + hash.hex();
  identity.created = context.created;
  identity.system_fingerprint = context.system_fingerprint;
  append_response_body(out, shape, identity, completion, encoder);
  end_line(out, columns);
  line += '\n';
  return line;
}

std::string error_line(const std::optional<std::string>& custom_id, const Hash128& hash, int64_t line,
                       const RequestError& error, const CarriedColumns& columns) {
  std::string text;
  JsonWriter out(text);
  begin_line(out, custom_id, hash);
  out.member("line", line);
  begin_response(out, error.status_code, hash);
  append_error_body(out, error);
  end_line(out, columns);
  text += '\n';
  return text;
}

}  // namespace batchwright

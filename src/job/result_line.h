// The lines of output and errors: docs/formats/results.md.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "base/hash.h"
#include "batchwright/request.h"
#include "job/row.h"
#include "protocol/prepare_request.h"
#include "protocol/response.h"

namespace batchwright {

// What ids are made of: custom_id, url and body, so the same wherever the row stands.
Hash128 row_hash(const Row& row);
// Of a line that is no row: its number stands for it.
Hash128 row_hash(const RowError& error, int64_t line);

struct ResultContext {
  int64_t created = 0;
  std::string system_fingerprint;
};

// Values of a table's row that its line repeats, as "columns":{NAME:VALUE,...} before "error". As many values as names;
// no values: no such member.
struct CarriedColumns {
  std::span<const std::string> names;
  std::span<const std::string> values;
};

// With its line feed.
std::string result_line(const std::string& custom_id, const Hash128& hash, const ResponseShape& shape,
                        const Completion& completion, const PromptEncoder& encoder, const ResultContext& context,
                        const CarriedColumns& columns = {});

// With its line feed.
std::string error_line(const std::optional<std::string>& custom_id, const Hash128& hash, int64_t line,
                       const RequestError& error, const CarriedColumns& columns = {});

}  // namespace batchwright

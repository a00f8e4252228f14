// A row on its way to the engine: read, checked, rendered and tokenised.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/hash.h"
#include "job/row_index.h"
#include "protocol/prepare_request.h"

namespace batchwright {

// What identifies a row in its line of the output.
struct RowName {
  int64_t row = 0;   // from 0
  int64_t line = 0;  // from 1
  std::optional<std::string> custom_id;
  Hash128 hash;
  std::vector<std::string> carried;  // values of the table's columns that the result repeats
};

struct FedRow {
  RowName name;
  std::variant<PreparedRequest, RequestError> outcome;
  std::vector<std::string> ignored_fields;
};

// Thread-safe. The errors are those of RowIndex::read(), and kResourceExhausted where there is not memory enough for
// the row, naming its line: another time there may be. What is wrong with the row itself is its outcome.
Result<FedRow> feed_row(const RowFile& rows, const RowIndex& index, int64_t row, const ProtocolContext& context);

}  // namespace batchwright

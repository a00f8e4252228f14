#include "job/fed_row.h"

#include <fmt/format.h>

#include <new>
#include <utility>

#include "base/out_of_memory.h"
#include "base/status_macros.h"
#include "job/result_line.h"

namespace batchwright {
namespace {

Status out_of_memory_at(const RowEntry& row) {
  try {
    return resource_exhausted(
        fmt::format("line {}: memory ran out while this row of {} bytes was read", row.line, row.length));
  } catch (const std::bad_alloc&) {
    return out_of_memory();
  }
}

}  // namespace

Result<FedRow> feed_row(const RowFile& rows, const RowIndex& index, int64_t row, const ProtocolContext& context) {
  FedRow out;
  out.name.row = row;
  out.name.line = index[row].line;
  try {
    BATCHWRIGHT_ASSIGN_OR_RETURN(auto parsed, index.read(rows, row));
    if (auto* const bad = std::get_if<RowError>(&parsed)) {
      out.name.custom_id = bad->custom_id;
      out.name.hash = row_hash(*bad, out.name.line);
      out.name.carried = std::move(bad->carried);
      out.outcome = std::move(bad->error);
      return out;
    }
    Row& good = std::get<Row>(parsed);
    out.name.custom_id = good.custom_id;
    out.name.hash = row_hash(good);
    out.name.carried = std::move(good.carried);
    out.ignored_fields = std::move(good.ignored_fields);
    out.outcome = prepare_request(good.endpoint, good.body, good.custom_id, context);
    if (auto* const prepared = std::get_if<PreparedRequest>(&out.outcome)) {
      for (std::string& name : prepared->ignored_fields) out.ignored_fields.push_back(std::move(name));
      prepared->ignored_fields.clear();
    }
    return out;
  } catch (const std::bad_alloc&) {
    return out_of_memory_at(index[row]);
  }
}

}  // namespace batchwright

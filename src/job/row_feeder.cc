#include "job/row_feeder.h"

#include <exception>
#include <new>
#include <utility>

#include "base/status_macros.h"
#include "job/result_line.h"

namespace batchwright {
namespace {

RequestError out_of_memory() {
  RequestError error;
  error.status_code = 500;
  error.message = "there was not enough memory to read this row";
  error.code = "out_of_memory";
  return error;
}

}  // namespace

RowFeeder::RowFeeder(const RowFile& rows, const RowIndex& index, const std::vector<bool>& is_wanted,
                     const ProtocolContext& context, size_t ahead)
    : rows_(rows), index_(index), is_wanted_(is_wanted), context_(context), queue_(ahead), thread_([this] {
        feed();
      }) {}

RowFeeder::~RowFeeder() { queue_.close(); }

void RowFeeder::feed() {
  for (int64_t row = 0; row < index_.size(); ++row) {
    if (!is_wanted_[static_cast<size_t>(row)]) continue;
    auto fed = prepare(row);
    if (!fed.ok()) {
      status_ = fed.status();
      break;
    }
    if (!queue_.push(std::move(fed).value())) break;
  }
  queue_.close();
}

Result<FedRow> RowFeeder::prepare(int64_t row) const {
  FedRow out;
  out.name.row = row;
  out.name.line = index_[row].line;
  try {
    BATCHWRIGHT_ASSIGN_OR_RETURN(auto parsed, index_.read(rows_, row));
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
    out.outcome = prepare_request(good.endpoint, good.body, good.custom_id, context_);
    if (auto* const prepared = std::get_if<PreparedRequest>(&out.outcome)) {
      for (std::string& name : prepared->ignored_fields) out.ignored_fields.push_back(std::move(name));
      prepared->ignored_fields.clear();
    }
    return out;
  } catch (const std::bad_alloc&) {
    out.outcome = out_of_memory();
    return out;
  }
}

}  // namespace batchwright

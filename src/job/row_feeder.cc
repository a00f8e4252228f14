#include "job/row_feeder.h"

#include <utility>

namespace batchwright {

RowFeeder::RowFeeder(const RowFile& rows, const RowIndex& index, const std::vector<bool>& is_wanted,
                     const ProtocolContext& context, size_t ahead)
    : rows_(rows), index_(index), is_wanted_(is_wanted), context_(context), queue_(ahead), thread_([this] {
        feed();
      }) {}

RowFeeder::~RowFeeder() { queue_.close(); }

void RowFeeder::feed() {
  for (int64_t row = 0; row < index_.size(); ++row) {
    if (!is_wanted_[static_cast<size_t>(row)]) continue;
    auto fed = feed_row(rows_, index_, row, context_);
    if (!fed.ok()) {
      status_ = fed.status();
      break;
    }
    if (!queue_.push(std::move(fed).value())) break;
  }
  queue_.close();
}

}  // namespace batchwright

#include "job/row_feeder.h"

#include <utility>
#include <variant>

#include "base/out_of_memory.h"
#include "base/status_macros.h"

namespace batchwright {

RowFeeder::RowFeeder(RowPlanner& planner, const RowFile& rows, const RowIndex& index, const ProtocolContext& context,
                     size_t ahead)
    : planner_(planner),
      rows_(rows),
      index_(index),
      context_(context),
      queue_(ahead),
      thread_([this](const std::stop_token& stop) { feed(stop); }) {}

RowFeeder::~RowFeeder() {
  thread_.request_stop();
  queue_.close();
}

void RowFeeder::feed(const std::stop_token& stop) {
  status_ = catch_out_of_memory([&]() -> Status {
    while (!stop.stop_requested()) {
      BATCHWRIGHT_ASSIGN_OR_RETURN(const auto window, planner_.next(stop));
      if (window.empty()) break;
      BATCHWRIGHT_RETURN_IF_ERROR(feed_window(window));
    }
    return {};
  });
  queue_.close();
}

Status RowFeeder::feed_window(const std::vector<PlannedRow>& window) {
  for (const PlannedRow& planned : window) {
    BATCHWRIGHT_ASSIGN_OR_RETURN(FedRow fed, feed_row(rows_, index_, planned.row, context_));
    if (auto* const prepared = std::get_if<PreparedRequest>(&fed.outcome)) {
      prepared->request.reused_tokens = planned.reused_tokens;
    }
    if (!queue_.push(std::move(fed))) return {};
  }
  return {};
}

}  // namespace batchwright

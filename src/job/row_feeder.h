// The reading side of a job: rows parsed, rendered and tokenised beside the steps.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>
#include <thread>
#include <variant>
#include <vector>

#include "base/file_system.h"
#include "base/hash.h"
#include "job/bounded_queue.h"
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

// Owns a thread that takes the rows that are wanted in the file's order and stays so many ahead.
class RowFeeder {
 public:
  // All arguments must outlive the feeder.
  RowFeeder(const RowFile& rows, const RowIndex& index, const std::vector<bool>& is_wanted,
            const ProtocolContext& context, size_t ahead);
  ~RowFeeder();
  RowFeeder(const RowFeeder&) = delete;
  RowFeeder& operator=(const RowFeeder&) = delete;

  // As of BoundedQueue. Nothing for long: ask finished().
  std::optional<FedRow> next(std::chrono::milliseconds at_most) { return queue_.pop(at_most); }
  // No rows are left, because all are given out or because reading failed.
  bool finished() const { return queue_.finished(); }
  // Valid once finished: what stopped the reading.
  const Status& status() const { return status_; }

 private:
  void feed();
  Result<FedRow> prepare(int64_t row) const;

  const RowFile& rows_;
  const RowIndex& index_;
  const std::vector<bool>& is_wanted_;
  const ProtocolContext& context_;
  BoundedQueue<FedRow> queue_;
  Status status_;
  std::jthread thread_;
};

}  // namespace batchwright

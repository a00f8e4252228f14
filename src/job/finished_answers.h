// How long the answers of rows came out that earlier runs of the job finished.
#pragma once

#include <cstdint>
#include <deque>
#include <vector>

#include "job/fed_row.h"
#include "journal/journal.h"

namespace batchwright {

// A choice of such a row.
struct FinishedAnswer {
  uint32_t group = 0;  // answer_group()
  int tokens = 0;      // the mean of the row's choices: the journal has no more
  int tokens_max = 0;  // answer_tokens_max()
};

// The rows that ended last, by the journal's records: what is learned of a run that goes on (AnswerLengths), without
// which it would begin as if nothing were known. Not thread-safe.
class FinishedRows {
 public:
  static constexpr size_t kRowsMax = 1024;
  static constexpr size_t kBytesMax = size_t{4} << 20;  // of rows that are read: some tenths of a second

  void record(const RowRecord& row);
  void clear() { rows_.clear(); }

  // Reads these rows again for what the journal does not say, the last ones first, within both limits. In the order in
  // which they ended. Errors are those of reading; a row that is wrong says nothing.
  Result<std::vector<FinishedAnswer>> answers(const RowFile& rows, const RowIndex& index,
                                              const ProtocolContext& context) const;

 private:
  struct Finished {
    uint32_t row = 0;
    uint32_t generated_tokens = 0;
  };
  std::deque<Finished> rows_;
};

}  // namespace batchwright

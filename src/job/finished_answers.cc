#include "job/finished_answers.h"

#include <algorithm>
#include <iterator>
#include <variant>

#include "base/status_macros.h"
#include "engine/answer_work.h"
#include "schedule/answer_lengths.h"

namespace batchwright {

void FinishedRows::record(const RowRecord& row) {
  if (row.kind != ResultKind::kAnswer) return;
  rows_.push_back({row.row, row.generated_tokens});
  if (rows_.size() > kRowsMax) rows_.pop_front();
}

Result<std::vector<FinishedAnswer>> FinishedRows::answers(const RowFile& rows, const RowIndex& index,
                                                          const ProtocolContext& context) const {
  std::vector<FinishedAnswer> answers;
  size_t bytes = 0;
  for (auto finished = rows_.rbegin(); finished != rows_.rend() && bytes < kBytesMax; ++finished) {
    bytes += index[finished->row].length;
    BATCHWRIGHT_ASSIGN_OR_RETURN(const FedRow fed, feed_row(rows, index, finished->row, context));
    const auto* const prepared = std::get_if<PreparedRequest>(&fed.outcome);
    if (prepared == nullptr || prepared->request.n < 1) continue;
    const Request& request = prepared->request;
    const auto choices = static_cast<uint32_t>(request.n);
    const FinishedAnswer answer{answer_group(request),
                                static_cast<int>((finished->generated_tokens + choices / 2) / choices),
                                static_cast<int>(answer_tokens_max(request, context.context_length))};
    answers.insert(answers.end(), choices, answer);
  }
  std::reverse(answers.begin(), answers.end());
  return answers;
}

}  // namespace batchwright

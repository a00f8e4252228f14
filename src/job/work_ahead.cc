#include "job/work_ahead.h"

#include <algorithm>

#include "schedule/scheduler.h"

namespace batchwright {

WorkSegment& WorkSegment::operator+=(const WorkSegment& more) {
  rows += more.rows;
  choices += more.choices;
  compute_tokens += more.compute_tokens;
  prompt_tokens += more.prompt_tokens;
  answer_tokens_max += more.answer_tokens_max;
  return *this;
}

RowLoad row_load(size_t prompt_tokens, uint32_t common_tokens, uint32_t choices, int64_t answer_tokens_max) {
  const auto all = static_cast<int64_t>(prompt_tokens);
  const auto own = [all](int64_t common) {
    common = std::min(common, all - 1);
    const int64_t copied = common % kPagePositions;
    return all - common + (copied < kCopiedMin ? copied : 0);
  };
  return {own(common_tokens) + (int64_t{choices} - 1) * own(all), all, answer_tokens_max, choices};
}

WorkSegment segment_of(const RowLoad& row) {
  return {1, row.choices, row.compute_tokens, row.choices * row.prompt_tokens, row.choices * row.answer_tokens_max};
}

void WorkAhead::add(const RowLoad& row) {
  if (segments_.empty() || segments_.back().rows >= rows_a_segment_) {
    if (segments_.size() == kSegmentsMax) {
      for (size_t i = 0; i < kSegmentsMax / 2; ++i) {
        segments_[i] = segments_[2 * i];
        segments_[i] += segments_[2 * i + 1];
      }
      segments_.resize(kSegmentsMax / 2);
      rows_a_segment_ *= 2;
    }
    segments_.emplace_back();
  }
  segments_.back() += segment_of(row);
}

}  // namespace batchwright

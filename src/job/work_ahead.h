// What a job's rows have before them, in the order in which they run, summed up in a few segments.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace batchwright {

// What is known of a row before it runs. A row that is wrong has nothing: all 0.
struct RowLoad {
  int64_t compute_tokens = 0;     // of its prompt, that rows before it do not have in their pages, over all choices
  int64_t prompt_tokens = 0;      // of one choice
  int64_t answer_tokens_max = 0;  // of one choice
  int64_t choices = 0;
};

// Of a prompt that begins with so many tokens as one before it in the order does; all choices but the first begin with
// all of it. The last token is computed in any case, and what is common in a page only where it is worth a copy
// (kCopiedMin).
RowLoad row_load(size_t prompt_tokens, uint32_t common_tokens, uint32_t choices, int64_t answer_tokens_max);

// Neighbours in the order. Sums over `rows` rows, where not said otherwise.
struct WorkSegment {
  int64_t rows = 0;
  int64_t choices = 0;
  int64_t compute_tokens = 0;
  int64_t prompt_tokens = 0;      // over all choices
  int64_t answer_tokens_max = 0;  // over all choices

  WorkSegment& operator+=(const WorkSegment& more);
  friend bool operator==(const WorkSegment&, const WorkSegment&) = default;
};

WorkSegment segment_of(const RowLoad& row);

// However many rows: at most kSegmentsMax segments, of equally many rows but for the last.
class WorkAhead {
 public:
  static constexpr size_t kSegmentsMax = 512;

  void add(const RowLoad& row);
  const std::vector<WorkSegment>& segments() const { return segments_; }

 private:
  std::vector<WorkSegment> segments_;
  int64_t rows_a_segment_ = 1;
};

}  // namespace batchwright

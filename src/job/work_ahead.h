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

// Of a prompt that begins with so many tokens as the one before it in the order - whole pages - does (-1: not known).
// Of the choices but the first nothing is shared behind the prompt's last whole page.
RowLoad row_load(size_t prompt_tokens, int reused_before, int choices, int64_t answer_tokens_max);

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

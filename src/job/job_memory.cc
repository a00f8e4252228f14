#include "job/job_memory.h"

#include <algorithm>
#include <cstdint>
#include <functional>
#include <queue>
#include <vector>

#include "job/row_feeder.h"
#include "job/row_planner.h"

namespace batchwright {
namespace {

// Buffers for reading and writing, the journal's, and answers that wait for the disk.
constexpr size_t kBuffers = size_t{2} << 20;
constexpr size_t kIndexOfARow = sizeof(RowEntry);
constexpr size_t kOrderOfARow = 40;
// Of a byte of a row's text: the line, what is parsed of it, the prompt as it is rendered, and its tokens twice - in
// the request and in its sequence.
constexpr size_t kOfAByte = 8;

// Of a token of a prompt: in the request, in its sequence, and what tokenising leaves in the allocator. Measured with
// 64 rows of 16,448 tokens: 19 with Qwen 2.5's vocabulary, 46 with Gemma 3's.
constexpr size_t kOfAToken = 28;

// The sum of the greatest of them.
class Greatest {
 public:
  explicit Greatest(size_t count) : count_(count) {}

  void add(uint32_t number) {
    if (numbers_.size() == count_) {
      if (number <= numbers_.top()) return;
      sum_ -= numbers_.top();
      numbers_.pop();
    }
    numbers_.push(number);
    sum_ += number;
  }
  size_t sum() const { return sum_; }

 private:
  const size_t count_;
  std::priority_queue<uint32_t, std::vector<uint32_t>, std::greater<>> numbers_;
  size_t sum_ = 0;
};

// In bytes. Of rows beyond the limit on lines nothing is held.
size_t longest_rows(const RowIndex& index, size_t count) {
  Greatest longest(count);
  for (int64_t row = 0; row < index.size(); ++row) {
    if (index[row].length != RowEntry::kTooLong) longest.add(index[row].length);
  }
  return longest.sum();
}

// On their way: read ahead, waiting or running.
size_t rows_at_once(int max_batch) { return kRowsAhead + static_cast<size_t>(requests_ahead(max_batch)); }

size_t without_rows_at_once(const RowIndex& index) {
  const auto rows = static_cast<size_t>(index.size());
  const size_t ordered = std::min(rows, static_cast<size_t>(RowPlannerOptions().window_rows));
  return kBuffers + rows * kIndexOfARow + ordered * kOrderOfARow;
}

}  // namespace

size_t job_memory_bytes(const RowIndex& index, int max_batch) {
  return without_rows_at_once(index) + kOfAByte * longest_rows(index, rows_at_once(max_batch));
}

size_t expected_job_memory_bytes(const RowIndex& index, std::span<const SimulatedRow> rows, int max_batch) {
  Greatest most_tokens(rows_at_once(max_batch));
  for (const SimulatedRow& row : rows) most_tokens.add(row.prompt_tokens);
  // One row is read at a time.
  return without_rows_at_once(index) + kOfAToken * most_tokens.sum() + kOfAByte * longest_rows(index, 1);
}

}  // namespace batchwright

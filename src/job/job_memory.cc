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

// The sum of the `count` greatest lengths. Of those beyond the limit on lines nothing is held.
size_t longest_rows_bytes(const RowIndex& index, size_t count) {
  std::priority_queue<uint32_t, std::vector<uint32_t>, std::greater<>> longest;
  size_t sum = 0;
  for (int64_t row = 0; row < index.size(); ++row) {
    const uint32_t length = index[row].length;
    if (length == RowEntry::kTooLong) continue;
    if (longest.size() == count) {
      if (length <= longest.top()) continue;
      sum -= longest.top();
      longest.pop();
    }
    longest.push(length);
    sum += length;
  }
  return sum;
}

}  // namespace

size_t job_memory_bytes(const RowIndex& index, int max_batch) {
  const auto rows = static_cast<size_t>(index.size());
  const size_t ordered = std::min(rows, static_cast<size_t>(RowPlannerOptions().window_rows));
  const size_t at_once = kRowsAhead + static_cast<size_t>(requests_ahead(max_batch));
  return kBuffers + rows * kIndexOfARow + ordered * kOrderOfARow + kOfAByte * longest_rows_bytes(index, at_once);
}

}  // namespace batchwright

#include "schedule/future_memory.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <numeric>

#include "step/step.h"

namespace batchwright {

int64_t future_peak_pages(std::span<const FutureSequence> sequences, int lead) {
  // After t steps a sequence has ceil((known + t) / 64) blocks: with known + 63 = 64 whole + rest, these are whole,
  // plus t / 64, plus one where rest and t % 64 make up another block. So sequences of equal rest are counted, not
  // visited.
  std::array<int32_t, kPagePositions> with_rest{};
  int64_t whole = 0;
  const auto count = [&](int positions, int32_t sign) {
    const int raised = positions + kPagePositions - 1;
    whole += sign * (raised / kPagePositions);
    with_rest[static_cast<size_t>(raised % kPagePositions)] += sign;
  };
  int64_t peak = 0;
  for (size_t i = 0, end = 0; i < sequences.size(); i = end) {
    const int growth = sequences[i].growth;
    for (; end < sequences.size() && sequences[end].growth == growth; ++end) {
      count(sequences[end].known, 1);
      whole -= sequences[end].kept;
    }
    const int64_t pages = whole + static_cast<int64_t>(end) * (growth / kPagePositions) +
                          std::accumulate(with_rest.end() - growth % kPagePositions, with_rest.end(), int64_t{0});
    peak = std::max(peak, pages);
    if (lead == 0) continue;
    // At its own end a sequence has no lead any more.
    for (const FutureSequence& s : sequences.subspan(i, end - i)) {
      count(s.known, -1);
      count(s.known + lead, 1);
    }
  }
  return peak;
}

}  // namespace batchwright

#include "schedule/future_memory.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <functional>
#include <numeric>
#include <queue>
#include <vector>

namespace batchwright {
namespace {

// The pages of sequences that all grow, as long as none of them holds all that it ever will.
//
// After t steps a sequence has ceil((known + t) / 64) blocks: with known + 63 = 64 whole + rest, these are whole, plus
// t / 64, plus one where rest and t % 64 make up another block. So sequences of equal rest are counted, not visited.
class GrowingPages {
 public:
  void add(int known) {
    const int raised = known + kPagePositions - 1;
    whole_ += raised / kPagePositions;
    ++with_rest_[static_cast<size_t>(raised % kPagePositions)];
    ++count_;
  }
  int64_t after(int steps) const {
    return whole_ + count_ * (steps / kPagePositions) +
           std::accumulate(with_rest_.end() - steps % kPagePositions, with_rest_.end(), int64_t{0});
  }

 private:
  std::array<int32_t, kPagePositions> with_rest_{};
  int64_t whole_ = 0;
  int64_t count_ = 0;
};

}  // namespace

int64_t future_peak_pages(std::span<const FutureSequence> sequences, int lead, int most) {
  // Going back in time from the last end, those that have not ended: who holds fewer than `most` and who, the fewest
  // positions first, still holds these.
  GrowingPages growing;
  std::priority_queue<int, std::vector<int>, std::greater<>> full;
  int64_t kept = 0;
  int64_t peak = 0;
  for (size_t i = 0, end = 0; i < sequences.size(); i = end) {
    const int growth = sequences[i].growth;
    const int full_from = most * kPagePositions - growth;
    while (!full.empty() && full.top() <= full_from) {
      growing.add(full.top());
      full.pop();
    }
    // At its own end a sequence has no lead any more.
    int64_t ending = 0;
    for (; end < sequences.size() && sequences[end].growth == growth; ++end) {
      const FutureSequence& s = sequences[end];
      ending += std::min(blocks_for(s.known + growth), most);
      kept += s.kept;
    }
    peak = std::max(peak, growing.after(growth) + static_cast<int64_t>(full.size()) * most + ending - kept);
    for (const FutureSequence& s : sequences.subspan(i, end - i)) {
      const int known = s.known + lead;
      if (known > full_from) {
        full.push(known);
      } else {
        growing.add(known);
      }
    }
  }
  return peak;
}

}  // namespace batchwright

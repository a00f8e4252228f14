// Byte-pair merging, the common part of both kinds of tokeniser: again and again the neighbours whose merge ranks best
// (the leftmost of equals) become one symbol, until no neighbours merge.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "batchwright/request.h"

namespace batchwright {

struct MergeSymbol {
  uint32_t begin = 0;  // offset in the text
  uint32_t size = 0;   // bytes
  TokenId id = -1;     // -1: no token of its own
};

struct MergeCandidate {
  static constexpr uint32_t kNone = UINT32_MAX;
  uint32_t rank = kNone;  // lower merges first; kNone: these two do not merge
  TokenId id = -1;        // of the two merged
};

// Holds the memory from one text to the next; one a thread. The result does not depend on which of the two ways it
// goes.
class Merger {
 public:
  // In: the symbols to merge. After run(): what they became.
  std::vector<MergeSymbol> symbols;

  // find(left, right) gives the MergeCandidate of two neighbours; called once for each pair that comes about. Time
  // O(n log n) for n symbols.
  template <class Find>
  void run(Find&& find) {
    if (symbols.size() <= kScanMax) {
      scan(find);
    } else {
      queue(find);
    }
  }

  // The same by the priority queue at any length (O(n log n)); candidates are asked for in the order of merging over
  // the whole text.
  template <class Find>
  void queue(Find&& find);

 private:
  static constexpr size_t kScanMax = 32;  // up to here looking at every pair costs less than keeping a queue

  struct Entry {
    uint32_t rank;
    uint32_t left;
    uint32_t size;  // of both: tells whether the entry is still true, since symbols only grow
    TokenId id;
    bool operator<(const Entry& other) const { return rank != other.rank ? rank > other.rank : left > other.left; }
  };

  template <class Find>
  void scan(Find& find);

  std::vector<MergeCandidate> candidates_;
  std::vector<Entry> heap_;
  std::vector<uint32_t> next_;
  std::vector<uint32_t> previous_;
};

template <class Find>
void Merger::scan(Find& find) {
  if (symbols.size() < 2) return;
  candidates_.resize(symbols.size() - 1);
  for (size_t i = 0; i + 1 < symbols.size(); ++i) candidates_[i] = find(symbols[i], symbols[i + 1]);
  while (!candidates_.empty()) {
    size_t best = 0;
    for (size_t i = 1; i < candidates_.size(); ++i) {
      if (candidates_[i].rank < candidates_[best].rank) best = i;
    }
    if (candidates_[best].rank == MergeCandidate::kNone) return;
    symbols[best].size += symbols[best + 1].size;
    symbols[best].id = candidates_[best].id;
    symbols.erase(symbols.begin() + static_cast<std::ptrdiff_t>(best) + 1);
    candidates_.erase(candidates_.begin() + static_cast<std::ptrdiff_t>(best));
    if (best > 0) candidates_[best - 1] = find(symbols[best - 1], symbols[best]);
    if (best < candidates_.size()) candidates_[best] = find(symbols[best], symbols[best + 1]);
  }
}

template <class Find>
void Merger::queue(Find&& find) {
  const auto count = static_cast<uint32_t>(symbols.size());
  const uint32_t end = UINT32_MAX;
  heap_.clear();
  next_.resize(count);
  previous_.resize(count);
  const auto consider = [&](uint32_t left, uint32_t right) {
    const MergeCandidate c = find(symbols[left], symbols[right]);
    if (c.rank == MergeCandidate::kNone) return;
    heap_.push_back({c.rank, left, symbols[left].size + symbols[right].size, c.id});
    std::push_heap(heap_.begin(), heap_.end());
  };
  for (uint32_t i = 0; i < count; ++i) {
    next_[i] = i + 1 < count ? i + 1 : end;
    previous_[i] = i > 0 ? i - 1 : end;
    if (i > 0) consider(i - 1, i);
  }
  while (!heap_.empty()) {
    std::pop_heap(heap_.begin(), heap_.end());
    const Entry top = heap_.back();
    heap_.pop_back();
    MergeSymbol& left = symbols[top.left];
    const uint32_t right = next_[top.left];
    if (left.size == 0 || right == end || left.size + symbols[right].size != top.size) continue;
    left.size = top.size;
    left.id = top.id;
    symbols[right].size = 0;
    next_[top.left] = next_[right];
    if (next_[right] != end) previous_[next_[right]] = top.left;
    if (previous_[top.left] != end) consider(previous_[top.left], top.left);
    if (next_[top.left] != end) consider(top.left, next_[top.left]);
  }
  std::erase_if(symbols, [](const MergeSymbol& s) { return s.size == 0; });
}

}  // namespace batchwright

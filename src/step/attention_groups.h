#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "step/step.h"

namespace batchwright {

// A run and the pages that its rows see in one page class.
struct RunPages {
  int first_row = 0;
  int count = 0;
  int first_block = 0;            // block of pages[0]
  std::span<const PageId> pages;  // up to and with the block of the run's last position; not empty
  // Where the run's sequence stood in the order of the step before; kLast: nowhere.
  int32_t rank = kLast;

  static constexpr int32_t kLast = INT32_MAX;
};

// Groups rows over shared pages: runs whose page lists begin alike (same first block, same pages) form one group over
// the common part, then part into groups of the next level - a radix tree over the page lists.
//
// Pages are shared through equal beginnings only: where two lists of one first block have a page in common at some
// place, they are equal up to there. So lists are compared by bisection, and as sequences keep their neighbours from
// step to step, hardly anything is to be sorted. Not thread-safe; keeps its buffers.
class AttentionGrouper {
 public:
  // Replaces `levels`, reusing its memory, and sets each run's rank for the next step.
  void group(std::span<RunPages> runs, std::vector<std::vector<AttentionGroup>>& levels);

 private:
  // Runs that agree on all pages before `depth`, in one piece of the order.
  struct Piece {
    size_t begin;
    size_t end;
    size_t depth;
  };

  void sort(std::span<RunPages> runs);
  void split(const Piece& piece, std::vector<AttentionGroup>& groups, size_t& used);
  AttentionGroup& next_group(std::vector<AttentionGroup>& groups, size_t& used);

  std::vector<std::pair<int64_t, RunPages*>> by_rank_;
  std::vector<RunPages*> order_;
  std::vector<size_t> common_;  // pages that a run of the order shares with the one before it
  std::vector<Piece> pieces_;
  std::vector<Piece> next_pieces_;
};

}  // namespace batchwright

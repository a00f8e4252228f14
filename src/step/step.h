// One forward pass as plain data: what schedule and cache plan, and model and engine carry out.
#pragma once

#include <cstdint>
#include <vector>

#include "batchwright/request.h"

namespace batchwright {

// Positions of a page; equal to the block of the attention arithmetic.
inline constexpr int kPagePositions = 64;

// Pages for so many positions.
template <class Integer>
constexpr Integer blocks_for(Integer positions) {
  return (positions + kPagePositions - 1) / kPagePositions;
}

// A page of one page class. Layers with the same reach share a class: a page holds the K and V of 64 positions for all
// layers of its class.
using PageId = int32_t;
inline constexpr PageId kNoPage = -1;

// Consecutive tokens of one sequence: a prefill chunk, a decode token, a draft. Nobody below the scheduler needs to
// know which.
struct Run {
  int64_t sequence = 0;
  int first_position = 0;
  int first_row = 0;  // index of the run's first token among the step's rows
  int count = 0;
};

// Rows that see the same pages, of one run or of several whose sequences share a prefix.
struct AttentionGroup {
  std::vector<int32_t> rows;
  std::vector<PageId> pages;  // of blocks first_block, first_block + 1, ...
  int first_block = 0;
};

// The K and V of a page's first positions become those of another's, in all layers of the class.
struct PageCopy {
  PageId from = kNoPage;
  PageId to = kNoPage;
  int positions = 0;
};

// What the layers of one page class need.
struct ClassPlan {
  // One after the other, before anything is written.
  std::vector<PageCopy> copies;
  // For each row the page that takes its K and V.
  std::vector<PageId> write_pages;
  // A row stands in at most one group of a level; its blocks ascend from level to level.
  std::vector<std::vector<AttentionGroup>> levels;
};

struct LogitsRow {
  int32_t row = 0;  // index among the step's rows
  int64_t sequence = 0;
  bool full = false;  // the whole row of logits is wanted; otherwise the argmax is enough
};

struct Step {
  std::vector<TokenId> tokens;     // one a row
  std::vector<int32_t> positions;  // one a row
  std::vector<Run> runs;
  std::vector<LogitsRow> logits;
  std::vector<ClassPlan> classes;

  int rows() const { return static_cast<int>(tokens.size()); }
  void clear() {
    tokens.clear();
    positions.clear();
    runs.clear();
    logits.clear();
    // The levels are replaced as a whole by who plans the next step, and their memory is used again.
    for (ClassPlan& plan : classes) {
      plan.copies.clear();
      plan.write_pages.clear();
    }
  }
};

}  // namespace batchwright

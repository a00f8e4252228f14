#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "step/step.h"

namespace batchwright {

// A run and the pages that its rows see in one page class.
struct RunPages {
  int first_row = 0;
  int count = 0;
  int first_block = 0;            // block of pages[0]
  std::span<const PageId> pages;  // up to and with the block of the run's last position
};

// Groups rows over shared pages: runs whose page lists begin alike (same first block, same pages) form one group over
// the common part, then part into groups of the next level - a radix tree over the page lists.
std::vector<std::vector<AttentionGroup>> build_attention_groups(std::span<const RunPages> runs);

}  // namespace batchwright

// The order in which the rows of a whole job run.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "schedule/prefix_tree.h"

namespace batchwright {

// What is known of a row before it runs.
struct RowWork {
  uint32_t prompt_tokens = 0;
  uint32_t answer_tokens = 0;  // that it is expected to generate, over all choices
};

struct OrderedRow {
  uint32_t row = 0;
  uint32_t reused_pages = 0;  // leading pages with which rows that come later begin as well

  friend bool operator==(const OrderedRow&, const OrderedRow&) = default;
};

// Depth first: rows under one node follow each other, so that what they share is computed once and is done with when
// the last of them ends. Of what stands side by side - nodes and rows - that with most to generate for what there is to
// compute comes first (by density, as BlendServe, Zhao et al. 2024, sorts its tree): long answers begin early, and rows
// that are mostly prompt are left to fill the steps beside the last of them. Among equals the one that stands first in
// the file. work[r] is that of row r of the tree. Memory while it runs: 20 bytes a row and node.
std::vector<OrderedRow> order_rows(const PrefixTree& tree, std::span<const RowWork> work);

// The same order with only some of its rows: reused_pages are those of the rows that are left. `rows` is a part of an
// order in which others were left out: `keep(row)` says which stay.
template <class Keep>
std::vector<OrderedRow> keep_rows(std::span<const OrderedRow> order, Keep keep) {
  std::vector<OrderedRow> kept;
  for (const OrderedRow& row : order) {
    if (keep(row.row)) {
      kept.push_back(row);
    } else if (!kept.empty() && row.reused_pages < kept.back().reused_pages) {
      // Depth first, two rows share what all those between them share.
      kept.back().reused_pages = row.reused_pages;
    }
  }
  if (!kept.empty()) kept.back().reused_pages = 0;
  return kept;
}

}  // namespace batchwright

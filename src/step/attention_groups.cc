#include "step/attention_groups.h"

#include <algorithm>
#include <cstddef>

namespace batchwright {
namespace {

// Runs that agree on all pages before `depth`, in one piece of the sorted list.
struct Pending {
  size_t begin;
  size_t end;
  size_t depth;
};

bool page_before(const RunPages& a, const RunPages& b) {
  if (a.first_block != b.first_block) return a.first_block < b.first_block;
  return std::lexicographical_compare(a.pages.begin(), a.pages.end(), b.pages.begin(), b.pages.end());
}

}  // namespace

std::vector<std::vector<AttentionGroup>> build_attention_groups(std::span<const RunPages> runs) {
  std::vector<RunPages> sorted(runs.begin(), runs.end());
  std::stable_sort(sorted.begin(), sorted.end(), page_before);

  std::vector<std::vector<AttentionGroup>> levels;
  std::vector<Pending> level;
  if (!sorted.empty()) level.push_back({0, sorted.size(), 0});
  while (!level.empty()) {
    std::vector<AttentionGroup> groups;
    std::vector<Pending> next;
    for (const Pending& pending : level) {
      size_t i = pending.begin;
      // Sorted order puts runs that end here first.
      while (i < pending.end && sorted[i].pages.size() == pending.depth) ++i;
      while (i < pending.end) {
        const RunPages& first = sorted[i];
        size_t j = i + 1;
        while (j < pending.end && sorted[j].first_block == first.first_block &&
               sorted[j].pages[pending.depth] == first.pages[pending.depth]) {
          ++j;
        }
        // In sorted order the first and the last run of the piece agree the least.
        const RunPages& last = sorted[j - 1];
        const size_t shorter = std::min(first.pages.size(), last.pages.size());
        size_t common = pending.depth + 1;
        while (common < shorter && first.pages[common] == last.pages[common]) ++common;
        if (j - i == 1) common = first.pages.size();

        AttentionGroup group;
        group.first_block = first.first_block + static_cast<int>(pending.depth);
        group.pages.assign(first.pages.begin() + static_cast<ptrdiff_t>(pending.depth),
                           first.pages.begin() + static_cast<ptrdiff_t>(common));
        for (size_t r = i; r < j; ++r) {
          for (int row = 0; row < sorted[r].count; ++row) group.rows.push_back(sorted[r].first_row + row);
        }
        groups.push_back(std::move(group));
        if (j - i > 1) next.push_back({i, j, common});
        i = j;
      }
    }
    if (!groups.empty()) levels.push_back(std::move(groups));
    level = std::move(next);
  }
  return levels;
}

}  // namespace batchwright

#include "step/attention_groups.h"

#include <algorithm>
#include <cstddef>

namespace batchwright {
namespace {

// Leading pages that two lists of equal first block share.
size_t common_pages(const RunPages& a, const RunPages& b) {
  size_t low = 0;
  size_t high = std::min(a.pages.size(), b.pages.size());
  while (low < high) {
    const size_t middle = (low + high + 1) / 2;
    if (a.pages[middle - 1] == b.pages[middle - 1]) {
      low = middle;
    } else {
      high = middle - 1;
    }
  }
  return low;
}

// Lexicographic: what begins alike stands together, and what ends there comes first.
bool stands_before(const RunPages* a, const RunPages* b) {
  if (a->first_block != b->first_block) return a->first_block < b->first_block;
  const size_t common = common_pages(*a, *b);
  if (common == b->pages.size()) return false;
  return common == a->pages.size() || a->pages[common] < b->pages[common];
}

}  // namespace

void AttentionGrouper::sort(std::span<RunPages> runs) {
  by_rank_.clear();
  for (RunPages& run : runs) {
    by_rank_.emplace_back((int64_t{run.rank} << 32) + static_cast<int64_t>(by_rank_.size()), &run);
  }
  std::sort(by_rank_.begin(), by_rank_.end());
  order_.clear();
  for (const auto& [key, run] : by_rank_) {
    // Nearly always in order already.
    if (order_.empty() || !stands_before(run, order_.back())) {
      order_.push_back(run);
    } else {
      order_.insert(std::upper_bound(order_.begin(), order_.end(), run, stands_before), run);
    }
  }
}

AttentionGroup& AttentionGrouper::next_group(std::vector<AttentionGroup>& groups, size_t& used) {
  if (used == groups.size()) groups.emplace_back();
  AttentionGroup& group = groups[used++];
  group.rows.clear();
  return group;
}

void AttentionGrouper::split(const Piece& piece, std::vector<AttentionGroup>& groups, size_t& used) {
  size_t i = piece.begin;
  while (i < piece.end && order_[i]->pages.size() == piece.depth) ++i;
  while (i < piece.end) {
    const RunPages& first = *order_[i];
    size_t depth = first.pages.size();
    size_t j = i + 1;
    for (; j < piece.end && common_[j] > piece.depth; ++j) depth = std::min(depth, common_[j]);

    AttentionGroup& group = next_group(groups, used);
    group.first_block = first.first_block + static_cast<int>(piece.depth);
    group.pages.assign(first.pages.begin() + static_cast<ptrdiff_t>(piece.depth),
                       first.pages.begin() + static_cast<ptrdiff_t>(depth));
    for (size_t r = i; r < j; ++r) {
      for (int row = 0; row < order_[r]->count; ++row) group.rows.push_back(order_[r]->first_row + row);
    }
    if (j - i > 1) next_pieces_.push_back({i, j, depth});
    i = j;
  }
}

void AttentionGrouper::group(std::span<RunPages> runs, std::vector<std::vector<AttentionGroup>>& levels) {
  sort(runs);
  common_.assign(order_.size(), 0);
  for (size_t i = 0; i < order_.size(); ++i) {
    order_[i]->rank = static_cast<int32_t>(i);
    if (i > 0 && order_[i]->first_block == order_[i - 1]->first_block) {
      common_[i] = common_pages(*order_[i - 1], *order_[i]);
    }
  }
  size_t depth = 0;
  pieces_.clear();
  if (!order_.empty()) pieces_.push_back({0, order_.size(), 0});
  while (!pieces_.empty()) {
    if (depth == levels.size()) levels.emplace_back();
    size_t used = 0;
    next_pieces_.clear();
    for (const Piece& piece : pieces_) split(piece, levels[depth], used);
    levels[depth].resize(used);
    if (used > 0) ++depth;
    pieces_.swap(next_pieces_);
  }
  levels.resize(depth);
}

}  // namespace batchwright

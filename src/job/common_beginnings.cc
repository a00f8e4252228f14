#include "job/common_beginnings.h"

#include <algorithm>
#include <deque>
#include <unordered_map>
#include <utility>

namespace batchwright {
namespace {

constexpr size_t kStretchesMax = 16;
// Fewer pairs say too little of a node.
constexpr size_t kNodePairsMin = 8;

// Of each row, under which node of the tree it and the one before it part: the nodes that they have in common make
// their whole pages, and follow from these alone.
struct Parting {
  uint32_t node = 0;
  uint32_t depth = 0;
};

class PartingFinder {
 public:
  Parting next(uint32_t common_tokens) {
    while (path_.back().tokens > common_tokens) path_.pop_back();
    if (path_.back().tokens < common_tokens) path_.push_back({++nodes_, common_tokens});
    return {path_.back().node, static_cast<uint32_t>(path_.size() - 1)};
  }

 private:
  struct Open {
    uint32_t node;
    uint32_t tokens;
  };
  std::vector<Open> path_{{0, 0}};
  uint32_t nodes_ = 0;
};

// With which both begin.
uint32_t common_tokens(std::span<const TokenId> a, std::span<const TokenId> b) {
  const auto parted =
      std::mismatch(a.begin(), a.begin() + static_cast<ptrdiff_t>(std::min(a.size(), b.size())), b.begin());
  return static_cast<uint32_t>(parted.first - a.begin());
}

// What was found, and how much of it was handed out.
struct Pool {
  std::vector<uint32_t> found;
  size_t next = 0;

  uint32_t take() { return found.empty() ? 0 : found[next++ % found.size()]; }
};

class Sample {
 public:
  Sample(std::span<uint32_t> common, const CommonBeginningsOptions& options, const OrderedPrompts& prompts)
      : common_(common), neighbours_(static_cast<size_t>(std::max(1, options.neighbours))), prompts_(prompts) {
    const size_t length = std::max(2 * neighbours_, options.sample_rows / kStretchesMax);
    const size_t count = std::max<size_t>(2, options.sample_rows / length);
    const size_t rows = common.size();
    if (rows <= options.sample_rows || rows <= length * count) {
      stretches_.push_back({0, rows});
      return;
    }
    for (size_t k = 0; k < count; ++k) stretches_.push_back({k * (rows - length) / (count - 1), length});
  }

  // Two passes over the rows: what is under which node is not kept.
  void refine() {
    for_each_shared([&](size_t i, Parting parting) {
      if (is_in_stretch(i)) look(i, parting);
    });
    for_each_shared([&](size_t i, Parting parting) {
      const auto node = nodes_.find(parting.node);
      const bool is_known = node != nodes_.end() && node->second.found.size() >= kNodePairsMin;
      const auto seen = looked_.find(i);
      extra_ = seen != looked_.end() ? seen->second : is_known ? node->second.take() : depth(parting.depth).take();
    });
  }

 private:
  struct Stretch {
    size_t begin;
    size_t rows;
  };

  template <class Visit>
  void for_each_shared(Visit visit) {
    PartingFinder finder;
    current_ = 0;
    for (size_t i = 0; i < common_.size(); ++i) {
      const uint32_t tokens = prompts_.tokens(i);
      if (tokens == 0) continue;
      const uint32_t pages = common_[i];
      extra_ = 0;
      visit(i, finder.next(pages));
      common_[i] = std::min(pages + extra_, tokens);
    }
  }

  bool is_in_stretch(size_t i) {
    while (current_ < stretches_.size() && i >= stretches_[current_].begin + stretches_[current_].rows) {
      ++current_;
      before_.clear();
    }
    return current_ < stretches_.size() && i >= stretches_[current_].begin;
  }

  void look(size_t i, Parting parting) {
    std::vector<TokenId> prompt = prompts_.prompt(i);
    const bool is_judged = stretches_[current_].begin == 0 || i >= stretches_[current_].begin + neighbours_;
    if (is_judged) {
      uint32_t most = common_[i];
      for (const std::vector<TokenId>& other : before_) most = std::max(most, common_tokens(prompt, other));
      const uint32_t extra = most - common_[i];
      looked_.emplace(i, extra);
      if (i > 0) {
        nodes_[parting.node].found.push_back(extra);
        depth(parting.depth).found.push_back(extra);
      }
    }
    before_.push_back(std::move(prompt));
    if (before_.size() > neighbours_) before_.pop_front();
  }

  Pool& depth(uint32_t depth) { return depths_[depth]; }

  std::span<uint32_t> common_;
  const size_t neighbours_;
  const OrderedPrompts& prompts_;
  std::vector<Stretch> stretches_;
  size_t current_ = 0;
  uint32_t extra_ = 0;  // of the row that is visited
  std::deque<std::vector<TokenId>> before_;
  std::unordered_map<size_t, uint32_t> looked_;  // by row
  std::unordered_map<uint32_t, Pool> nodes_;
  std::unordered_map<uint32_t, Pool> depths_;
};

}  // namespace

void refine_common_tokens(std::span<uint32_t> common_tokens, const CommonBeginningsOptions& options,
                          const OrderedPrompts& prompts) {
  if (!common_tokens.empty()) Sample(common_tokens, options, prompts).refine();
}

}  // namespace batchwright

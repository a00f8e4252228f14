#include "step/attention_groups.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <utility>
#include <vector>

namespace batchwright {
namespace {

// What each row sees, block by block, in the order of the levels.
using Seen = std::map<int32_t, std::vector<std::pair<int, PageId>>>;

Seen walk(const std::vector<std::vector<AttentionGroup>>& levels) {
  Seen seen;
  for (const auto& level : levels) {
    std::map<int32_t, int> in_level;
    for (const AttentionGroup& group : level) {
      for (const int32_t row : group.rows) {
        EXPECT_EQ(++in_level[row], 1) << "row " << row << " stands twice in a level";
        for (size_t i = 0; i < group.pages.size(); ++i) {
          seen[row].emplace_back(group.first_block + static_cast<int>(i), group.pages[i]);
        }
      }
    }
  }
  return seen;
}

TEST(AttentionGroups, SharedPrefixMeetsItsPagesOnce) {
  const std::vector<PageId> a = {1, 2, 3};
  const std::vector<PageId> b = {1, 2, 4, 5};
  const std::vector<PageId> c = {1, 2};
  const std::vector<RunPages> runs = {{0, 1, 0, a}, {1, 2, 0, b}, {3, 1, 0, c}};
  const auto levels = build_attention_groups(runs);
  ASSERT_EQ(levels.size(), 2U);
  ASSERT_EQ(levels[0].size(), 1U);
  EXPECT_EQ(levels[0][0].pages, (std::vector<PageId>{1, 2}));
  EXPECT_EQ(levels[0][0].rows.size(), 4U);
  EXPECT_EQ(levels[1].size(), 2U);
}

TEST(AttentionGroups, EveryRowSeesItsPagesAscendingWhateverIsShared) {
  for (uint32_t seed = 0; seed < 200; ++seed) {
    std::mt19937 random(seed);
    std::vector<std::vector<PageId>> tables;
    std::vector<RunPages> runs;
    int rows = 0;
    const int count = 1 + static_cast<int>(random() % 12);
    tables.reserve(static_cast<size_t>(count));
    for (int i = 0; i < count; ++i) {
      std::vector<PageId> table;
      if (i > 0 && random() % 4 != 0) {
        const auto& other = tables[random() % tables.size()];
        table.assign(other.begin(), other.begin() + static_cast<ptrdiff_t>(random() % (other.size() + 1)));
      }
      const size_t more = (table.empty() ? 1 : 0) + random() % 4;
      for (size_t m = 0; m < more; ++m) table.push_back(static_cast<PageId>(1000 * i + static_cast<int>(m)));
      tables.push_back(std::move(table));
    }
    Seen expected;
    for (const auto& table : tables) {
      // Page ids of different first blocks never meet: a window's start drops the same leading pages for its sharers.
      const int first = static_cast<int>(random() % std::min<size_t>(2, table.size()));
      const int n = 1 + static_cast<int>(random() % 3);
      runs.push_back({rows, n, first, std::span<const PageId>(table).subspan(static_cast<size_t>(first))});
      for (int r = 0; r < n; ++r) {
        for (size_t i = static_cast<size_t>(first); i < table.size(); ++i) {
          expected[rows + r].emplace_back(static_cast<int>(i), table[i]);
        }
      }
      rows += n;
    }
    EXPECT_EQ(walk(build_attention_groups(runs)), expected) << "seed " << seed;
  }
}

}  // namespace
}  // namespace batchwright

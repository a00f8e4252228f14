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

std::vector<std::vector<AttentionGroup>> group(std::vector<RunPages> runs) {
  AttentionGrouper grouper;
  std::vector<std::vector<AttentionGroup>> levels;
  grouper.group(runs, levels);
  return levels;
}

TEST(AttentionGroups, SharedPrefixMeetsItsPagesOnce) {
  const std::vector<PageId> a = {1, 2, 3};
  const std::vector<PageId> b = {1, 2, 4, 5};
  const std::vector<PageId> c = {1, 2};
  const std::vector<RunPages> runs = {{0, 1, 0, a}, {1, 2, 0, b}, {3, 1, 0, c}};
  const auto levels = group(runs);
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
    EXPECT_EQ(walk(group(runs)), expected) << "seed " << seed;
  }
}

// Levels and ranks of the step before change what is done, never what comes out.
TEST(AttentionGroups, MemoryOfEarlierStepsDoesNotShow) {
  std::mt19937 random(7);
  AttentionGrouper grouper;
  std::vector<std::vector<AttentionGroup>> levels;
  std::vector<std::vector<PageId>> tables;
  std::vector<int32_t> ranks;
  PageId next_page = 0;
  for (int step = 0; step < 300; ++step) {
    if (tables.size() < 3 || random() % 3 == 0) {
      std::vector<PageId> table;
      if (!tables.empty()) {
        const auto& other = tables[random() % tables.size()];
        table.assign(other.begin(), other.begin() + static_cast<ptrdiff_t>(random() % (other.size() + 1)));
      }
      table.push_back(next_page++);
      tables.push_back(std::move(table));
      ranks.push_back(RunPages::kLast);
    }
    if (tables.size() > 12) {
      const auto gone = static_cast<ptrdiff_t>(random() % tables.size());
      tables.erase(tables.begin() + gone);
      ranks.erase(ranks.begin() + gone);
    }
    tables[random() % tables.size()].push_back(next_page++);
    std::vector<RunPages> runs;
    for (size_t i = 0; i < tables.size(); ++i) runs.push_back({static_cast<int>(i), 1, 0, tables[i], ranks[i]});
    grouper.group(runs, levels);
    for (size_t i = 0; i < tables.size(); ++i) ranks[i] = runs[i].rank;
    const auto fresh = group(runs);
    ASSERT_EQ(walk(levels), walk(fresh)) << "step " << step;
    ASSERT_EQ(levels.size(), fresh.size());
    for (size_t l = 0; l < levels.size(); ++l) ASSERT_EQ(levels[l].size(), fresh[l].size()) << "level " << l;
  }
}

}  // namespace
}  // namespace batchwright

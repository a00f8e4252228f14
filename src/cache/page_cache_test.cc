#include "cache/page_cache.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <random>
#include <vector>

namespace batchwright {
namespace {

std::vector<TokenId> iota_tokens(int count, TokenId first = 0) {
  std::vector<TokenId> tokens(static_cast<size_t>(count));
  for (int i = 0; i < count; ++i) tokens[static_cast<size_t>(i)] = first + i;
  return tokens;
}

TEST(PageCache, EqualChainsShareTheirPages) {
  PageCache cache({{0, 16}});
  const auto tokens = iota_tokens(200);
  BlockTable a;
  BlockTable b;
  ASSERT_EQ(cache.adopt_prefix(a, tokens, 3), PageCache::Prefix::kCompute);
  ASSERT_EQ(cache.reserve(a, 4), 4);
  EXPECT_EQ(cache.adopt_prefix(b, tokens, 3), PageCache::Prefix::kWait) << "the first has promised the blocks";
  cache.publish(a, tokens, 130);
  EXPECT_EQ(cache.adopt_prefix(b, tokens, 3), PageCache::Prefix::kWait);
  EXPECT_EQ(b.blocks(), 2);
  EXPECT_EQ(b.page(0, 1), a.page(0, 1));
  cache.publish(a, tokens, 200);
  EXPECT_EQ(cache.adopt_prefix(b, tokens, 3), PageCache::Prefix::kCompute);
  EXPECT_EQ(b.blocks(), 3);
  EXPECT_EQ(cache.held(0), 4);
  EXPECT_TRUE(cache.consistent(std::vector<const BlockTable*>{&a, &b}));
  cache.release(a);
  EXPECT_EQ(cache.held(0), 3);
  cache.release(b);
  EXPECT_EQ(cache.held(0), 0);

  BlockTable c;
  EXPECT_EQ(cache.adopt_prefix(c, tokens, 3), PageCache::Prefix::kCompute);
  EXPECT_EQ(c.blocks(), 3) << "pages stay for later sequences";
  cache.release(c);
}

TEST(PageCache, OtherTokensOrAnotherPrefixShareNothing) {
  PageCache cache({{0, 16}});
  auto tokens = iota_tokens(129);
  BlockTable a;
  cache.adopt_prefix(a, tokens, 2);
  cache.reserve(a, 2);
  cache.publish(a, tokens, 128);
  tokens[0] = 999;  // the second block is equal, its prefix is not
  BlockTable b;
  EXPECT_EQ(cache.adopt_prefix(b, tokens, 2), PageCache::Prefix::kCompute);
  EXPECT_EQ(b.blocks(), 0);
}

TEST(PageCache, WithdrawnPromisesFreeTheWaiting) {
  PageCache cache({{0, 16}});
  const auto tokens = iota_tokens(129);
  BlockTable a;
  BlockTable b;
  cache.adopt_prefix(a, tokens, 2);
  EXPECT_EQ(cache.adopt_prefix(b, tokens, 2), PageCache::Prefix::kWait);
  cache.release(a);
  EXPECT_EQ(cache.adopt_prefix(b, tokens, 2), PageCache::Prefix::kCompute);
}

TEST(PageCache, EvictsLeavesFirstAndOnlyWhatNobodyHolds) {
  PageCache cache({{0, 4}});
  const auto tokens = iota_tokens(300);
  BlockTable a;
  cache.adopt_prefix(a, tokens, 4);
  ASSERT_EQ(cache.reserve(a, 4), 4);
  cache.publish(a, tokens, 256);
  cache.release(a);
  BlockTable b;
  cache.adopt_prefix(b, tokens, 2);
  EXPECT_EQ(b.blocks(), 2);
  BlockTable c;
  EXPECT_EQ(cache.reserve(c, 4), 2) << "two pages are held";
  EXPECT_TRUE(cache.consistent(std::vector<const BlockTable*>{&b, &c}));
}

TEST(PageCache, WindowedPagesAreFreedBehindTheWindow) {
  PageCache cache({{0, 8}, {64, 3}});
  const auto tokens = iota_tokens(400);
  BlockTable a;
  for (int block = 0; block < 6; ++block) {
    ASSERT_EQ(cache.reserve(a, block + 1), block + 1);
    cache.publish(a, tokens, 64 * (block + 1));
    cache.leave_window(a, 64 * (block + 1));
  }
  EXPECT_EQ(a.page(1, 0), kNoPage);
  EXPECT_NE(a.page(1, 5), kNoPage);
  EXPECT_NE(a.page(0, 0), kNoPage);
  cache.release(a);

  // The full pages of six blocks are there, but a window of the windowed class only at the end.
  BlockTable b;
  EXPECT_EQ(cache.adopt_prefix(b, tokens, 6), PageCache::Prefix::kCompute);
  EXPECT_EQ(b.blocks(), 6);
  EXPECT_EQ(b.page(1, 3), kNoPage);
  cache.release(b);
  BlockTable c;
  EXPECT_EQ(cache.adopt_prefix(c, tokens, 2), PageCache::Prefix::kCompute);
  EXPECT_EQ(c.blocks(), 0) << "computed again: block 1 lost its windowed page";
}

// Random sequences over few distinct prefixes; after every call all counts are taken again by hand.
TEST(PageCache, CountsHoldUnderRandomUse) {
  for (uint32_t seed = 0; seed < 60; ++seed) {
    std::mt19937 random(seed);
    const int window = 1 + static_cast<int>(random() % 200);
    PageCache cache({{0, 20}, {window, 12}});
    struct Sequence {
      std::vector<TokenId> tokens;
      BlockTable table;
      int computed = 0;
    };
    std::vector<std::unique_ptr<Sequence>> live;
    for (int turn = 0; turn < 300; ++turn) {
      if (live.size() < 5 && random() % 3 == 0) {
        auto s = std::make_unique<Sequence>();
        const auto length = 65 + random() % 260;
        for (size_t i = 0; i < length; ++i) {
          s->tokens.push_back(static_cast<TokenId>(i % 64 == 63 ? random() % 2 : i / 64));
        }
        live.push_back(std::move(s));
      }
      if (live.empty()) continue;
      const size_t pick = random() % live.size();
      Sequence& s = *live[pick];
      if (random() % 8 == 0) {
        cache.release(s.table);
        live.erase(live.begin() + static_cast<ptrdiff_t>(pick));
      } else {
        const int limit = static_cast<int>(s.tokens.size() - 1) / kPagePositions;
        bool wait = false;
        if (s.computed % kPagePositions == 0) {
          wait = cache.adopt_prefix(s.table, s.tokens, limit) == PageCache::Prefix::kWait;
          s.computed = std::max(s.computed, s.table.published() * kPagePositions);
        }
        if (!wait) {
          const int target =
              std::min<int>(static_cast<int>(s.tokens.size()), s.computed + 1 + static_cast<int>(random() % 100));
          const int blocks = cache.reserve(s.table, (target + kPagePositions - 1) / kPagePositions);
          const int before = s.computed;
          s.computed = std::max(s.computed, std::min(target, blocks * kPagePositions));
          for (int c = 0; c < 2 && s.computed > before; ++c) {
            const int reach = c == 0 ? s.computed : std::min(window, s.computed);
            for (int p = s.computed - reach; p < s.computed; ++p) {
              ASSERT_NE(s.table.page(c, p / kPagePositions), kNoPage)
                  << "seed " << seed << " class " << c << " position " << p;
            }
          }
          cache.publish(s.table, s.tokens, s.computed);
          cache.leave_window(s.table, s.computed);
        }
      }
      std::vector<const BlockTable*> tables;
      for (const auto& sequence : live) tables.push_back(&sequence->table);
      ASSERT_TRUE(cache.consistent(tables)) << "seed " << seed << " turn " << turn;
    }
  }
}

}  // namespace
}  // namespace batchwright

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

// Computes all of the tokens.
void run(PageCache& cache, BlockTable& table, const std::vector<TokenId>& tokens) {
  const int size = static_cast<int>(tokens.size());
  const int blocks = blocks_for(size);
  cache.adopt_prefix(table, tokens, (size - 1) / kPagePositions);
  ASSERT_EQ(cache.reserve(table, blocks), blocks);
  cache.publish(table, tokens, size);
}

TEST(PageCache, ANodeIsGivenBackAtItsLastUse) {
  PageCache cache({{0, 16}});
  const auto tokens = iota_tokens(260);
  auto other = tokens;
  other[130] = 999;
  BlockTable a(2, 0);  // others will begin with two blocks
  run(cache, a, tokens);
  EXPECT_EQ(a.published(), 2) << "of no use to others";
  EXPECT_EQ(cache.kept_blocks(a), 2);
  cache.release(a);
  EXPECT_EQ(cache.held(0), 0);
  EXPECT_EQ(cache.awaited(), 2);
  BlockTable b(1, 1);  // the second block is used for the last time
  run(cache, b, other);
  EXPECT_EQ(cache.kept_blocks(b), 1);
  cache.release(b);
  EXPECT_EQ(cache.awaited(), 1);
  EXPECT_EQ(cache.unheld(), 1);
  BlockTable c(0, 2);
  run(cache, c, tokens);
  cache.release(c);
  EXPECT_EQ(cache.unheld(), 0);
  EXPECT_TRUE(cache.consistent({}));
}

// The younger statement holds, whoever comes first to the block.
TEST(PageCache, AnOlderSequenceDoesNotReopenWhatAYoungerClosed) {
  PageCache cache({{0, 16}});
  const auto tokens = iota_tokens(200);
  BlockTable older(3, 0);
  BlockTable younger(0, 1);
  EXPECT_EQ(cache.adopt_prefix(older, tokens, 3), PageCache::Prefix::kCompute);
  ASSERT_EQ(cache.reserve(older, 4), 4);
  cache.publish(older, tokens, 70);
  EXPECT_EQ(cache.adopt_prefix(younger, tokens, 3), PageCache::Prefix::kWait);
  cache.publish(older, tokens, 200);
  EXPECT_EQ(cache.adopt_prefix(younger, tokens, 3), PageCache::Prefix::kCompute);
  EXPECT_EQ(younger.blocks(), 3);
  cache.release(younger);
  cache.release(older);
  EXPECT_EQ(cache.unheld(), 0);
}

TEST(PageCache, AwaitedPagesAreTheLastToGo) {
  PageCache cache({{0, 6}});
  BlockTable awaited(3, 0);
  BlockTable recent;
  const auto tokens = iota_tokens(192);
  run(cache, awaited, tokens);
  run(cache, recent, iota_tokens(192, 5000));
  cache.release(awaited);
  cache.release(recent);
  EXPECT_EQ(cache.awaited(), 3);
  EXPECT_EQ(cache.unheld(), 6);
  BlockTable a;
  ASSERT_EQ(cache.reserve(a, 3), 3);
  EXPECT_EQ(cache.awaited(), 3) << "they are older, but others come";
  ASSERT_EQ(cache.reserve(a, 5), 5);
  EXPECT_EQ(cache.awaited(), 1);
  cache.give_up_awaited();
  EXPECT_EQ(cache.awaited(), 0);
  EXPECT_EQ(cache.unheld(), 1);
  EXPECT_TRUE(cache.consistent(std::vector<const BlockTable*>{&a}));
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
    int64_t age = 0;
    for (int turn = 0; turn < 300; ++turn) {
      if (live.size() < 5 && random() % 3 == 0) {
        auto s = std::make_unique<Sequence>();
        const auto length = 65 + random() % 260;
        for (size_t i = 0; i < length; ++i) {
          s->tokens.push_back(static_cast<TokenId>(i % 64 == 63 ? random() % 2 : i / 64));
        }
        if (random() % 2 == 0) s->table = BlockTable(static_cast<int>(random() % (length / 64 + 1)), age++);
        live.push_back(std::move(s));
      }
      if (live.empty()) continue;
      const size_t pick = random() % live.size();
      Sequence& s = *live[pick];
      if (random() % 40 == 0) cache.give_up_awaited();
      if (random() % 12 == 0) {
        cache.suspend(s.table);
        s.computed = 0;
      } else if (random() % 8 == 0) {
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
          const int blocks = cache.reserve(s.table, blocks_for(target));
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

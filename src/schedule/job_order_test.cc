#include "schedule/job_order.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <random>
#include <set>
#include <string>
#include <vector>

namespace batchwright {
namespace {

using Prompt = std::vector<TokenId>;

uint32_t common_pages(const Prompt& a, const Prompt& b) {
  const uint32_t most = std::min(shareable_pages(a.size()), shareable_pages(b.size()));
  uint32_t pages = 0;
  while (pages < most && std::equal(a.begin() + pages * kPagePositions, a.begin() + (pages + 1) * kPagePositions,
                                    b.begin() + pages * kPagePositions)) {
    ++pages;
  }
  return pages;
}

PrefixTree tree_of(const std::vector<Prompt>& prompts) {
  PrefixTreeBuilder builder;
  for (const Prompt& prompt : prompts) builder.add(prompt);
  return builder.build();
}

// Pages of one of few kinds, so that prompts share many beginnings.
struct RandomJob {
  explicit RandomJob(uint32_t seed) : random(seed) {
    const int kinds = 1 + below(4);
    const int pages_most = below(7);
    const int rows = 1 + below(30);
    for (int r = 0; r < rows; ++r) {
      Prompt prompt;
      const int pages = below(pages_most + 1);
      for (int p = 0; p < pages; ++p) prompt.insert(prompt.end(), kPagePositions, below(kinds));
      prompt.insert(prompt.end(), static_cast<size_t>(below(3)), 7);
      work.push_back({static_cast<uint32_t>(prompt.size()), static_cast<uint32_t>(below(100))});
      prompts.push_back(std::move(prompt));
    }
  }
  int below(int n) { return static_cast<int>(random() % static_cast<uint32_t>(n)); }

  std::mt19937 random;
  std::vector<Prompt> prompts;
  std::vector<RowWork> work;
};

TEST(PrefixTree, HasWhatTheRowsShare) {
  for (uint32_t seed = 0; seed < 500; ++seed) {
    SCOPED_TRACE(seed);
    const RandomJob job(seed);
    const PrefixTree tree = tree_of(job.prompts);
    std::set<Prompt> pages;  // each with all before it
    for (const Prompt& prompt : job.prompts) {
      for (uint32_t p = 1; p <= shareable_pages(prompt.size()); ++p) {
        pages.emplace(prompt.begin(), prompt.begin() + p * kPagePositions);
      }
    }
    EXPECT_EQ(tree.distinct_pages, static_cast<int64_t>(pages.size()));
    for (size_t a = 0; a < job.prompts.size(); ++a) {
      uint32_t most = 0;
      for (size_t b = 0; b < job.prompts.size(); ++b) {
        if (b != a) most = std::max(most, common_pages(job.prompts[a], job.prompts[b]));
      }
      EXPECT_EQ(tree.nodes[tree.node_of_row[a]].end_page, most) << "row " << a;
    }
    for (size_t n = 1; n < tree.nodes.size(); ++n) {
      EXPECT_LT(tree.nodes[n].parent, n);
      EXPECT_GT(tree.nodes[n].end_page, tree.nodes[tree.nodes[n].parent].end_page);
    }
  }
}

TEST(PrefixTree, PagesAtManyPositionsAndBehindManyParents) {
  // One page of tokens behind 3,000 different ones, and 3,000 different ones behind one.
  std::vector<Prompt> prompts;
  for (int i = 0; i < 3000; ++i) {
    Prompt prompt(kPagePositions, 1000 + i);
    prompt.insert(prompt.end(), kPagePositions + 1, 5);
    prompts.push_back(prompt);
    Prompt other(kPagePositions, 5);
    other.insert(other.end(), kPagePositions + 1, 1000 + i);
    prompts.push_back(other);
  }
  const PrefixTree tree = tree_of(prompts);
  EXPECT_EQ(tree.distinct_pages, 3000 + 3000 + 1 + 3000);
  EXPECT_EQ(tree.nodes.size(), 2U);
}

TEST(PrefixTree, MemoryIsAsTheHeaderSays) {
  PrefixTreeBuilder builder;
  Prompt prompt(20 * kPagePositions + 1);
  int64_t pages = 0;
  for (int row = 0; row < 20000; ++row) {
    std::iota(prompt.begin() + kPagePositions, prompt.end(), row * 7919);
    builder.add(prompt);
    pages = 1 + int64_t{row + 1} * 19;
    ASSERT_LE(static_cast<int64_t>(builder.memory_bytes()), 4 * (row + 1) + 16 * pages + 1024) << row;
  }
  EXPECT_EQ(builder.build().distinct_pages, pages);
}

TEST(JobOrder, RowsThatShareStandTogether) {
  for (uint32_t seed = 0; seed < 500; ++seed) {
    SCOPED_TRACE(seed);
    const RandomJob job(seed);
    const PrefixTree tree = tree_of(job.prompts);
    const std::vector<OrderedRow> order = order_rows(tree, job.work);
    EXPECT_EQ(order, order_rows(tree, job.work));
    std::set<uint32_t> rows;
    for (const OrderedRow& row : order) rows.insert(row.row);
    ASSERT_EQ(rows.size(), job.prompts.size());
    ASSERT_EQ(order.size(), job.prompts.size());
    // With no more memory than one row's pages nothing is computed twice: brute force over what the row before has.
    int64_t computed = 0;
    for (size_t i = 0; i < order.size(); ++i) {
      const Prompt& prompt = job.prompts[order[i].row];
      computed += shareable_pages(prompt.size()) - (i == 0 ? 0 : common_pages(prompt, job.prompts[order[i - 1].row]));
      uint32_t reused = 0;
      for (size_t k = i + 1; k < order.size(); ++k) {
        reused = std::max(reused, common_pages(prompt, job.prompts[order[k].row]));
      }
      EXPECT_EQ(order[i].reused_pages, reused);
    }
    EXPECT_EQ(computed, tree.distinct_pages);
  }
}

TEST(JobOrder, WhatIsLeftOfAnOrderKeepsWhatItShares) {
  for (uint32_t seed = 0; seed < 500; ++seed) {
    SCOPED_TRACE(seed);
    RandomJob job(seed);
    std::vector<bool> wanted;
    for (size_t r = 0; r < job.prompts.size(); ++r) wanted.push_back(job.below(2) == 0);
    const std::vector<OrderedRow> order =
        keep_rows(order_rows(tree_of(job.prompts), job.work), [&](uint32_t row) { return wanted[row]; });
    EXPECT_EQ(static_cast<int64_t>(order.size()), std::count(wanted.begin(), wanted.end(), true));
    for (size_t i = 0; i < order.size(); ++i) {
      uint32_t reused = 0;
      for (size_t k = i + 1; k < order.size(); ++k) {
        reused = std::max(reused, common_pages(job.prompts[order[i].row], job.prompts[order[k].row]));
      }
      EXPECT_EQ(order[i].reused_pages, reused);
    }
  }
}

TEST(JobOrder, LongAnswersFirstAndLongPromptsLast) {
  // Two documents of two pages; one has questions with long answers.
  const auto row = [](TokenId document, int pages, int rest) {
    Prompt prompt(static_cast<size_t>(pages * kPagePositions), document);
    prompt.insert(prompt.end(), static_cast<size_t>(rest), 9);
    return prompt;
  };
  const std::vector<Prompt> prompts{row(1, 2, 10), row(2, 2, 10), row(3, 0, 60),
                                    row(1, 2, 20), row(2, 2, 30), row(4, 20, 1)};
  const std::vector<RowWork> work{{138, 10}, {138, 200}, {60, 900}, {148, 10}, {158, 100}, {1281, 8}};
  std::vector<uint32_t> rows;
  for (const OrderedRow& r : order_rows(tree_of(prompts), work)) rows.push_back(r.row);
  EXPECT_EQ(rows, (std::vector<uint32_t>{2, 1, 4, 0, 3, 5}));
}

TEST(JobOrder, NoRowsAndRowsWithoutPrompts) {
  EXPECT_TRUE(order_rows(tree_of({}), {}).empty());
  const std::vector<RowWork> work{{0, 0}, {0, 0}};
  const std::vector<OrderedRow> order = order_rows(tree_of({{}, {}}), work);
  EXPECT_EQ(order, (std::vector<OrderedRow>{{0, 0}, {1, 0}}));
}

}  // namespace
}  // namespace batchwright

#include "job/common_beginnings.h"

#include <gtest/gtest.h>

#include <vector>

#include "step/step.h"

namespace batchwright {
namespace {

constexpr int kPage = kPagePositions;

// A prompt of a page that group's rows share, `shared` more tokens of the group's, and ten of the row's own.
std::vector<TokenId> prompt_of(int group, int shared, int row) {
  std::vector<TokenId> prompt(static_cast<size_t>(kPage), group);
  prompt.insert(prompt.end(), static_cast<size_t>(shared), 1000 + group);
  prompt.insert(prompt.end(), 10, 100'000 + row);
  return prompt;
}

struct Job {
  std::vector<uint32_t> common;
  std::vector<uint32_t> tokens;
  std::vector<std::vector<TokenId>> prompts;
  size_t looked_at = 0;

  void add(std::vector<TokenId> prompt, int common_tokens) {
    common.push_back(static_cast<uint32_t>(common_tokens));
    tokens.push_back(static_cast<uint32_t>(prompt.size()));
    prompts.push_back(std::move(prompt));
  }

  void refine(size_t sample_rows) {
    const auto prompt = [this](size_t i) {
      ++looked_at;
      return prompts[i];
    };
    refine_common_tokens(common, {4, sample_rows}, {[this](size_t i) { return tokens[i]; }, prompt});
  }
};

// Groups that share 5, 25, 45 tokens beyond the page, one behind the other.
Job groups_of(int rows_each) {
  Job job;
  for (int group = 0; group < 3; ++group) {
    for (int i = 0; i < rows_each; ++i) {
      job.add(prompt_of(group, 5 + 20 * group, group * rows_each + i), i == 0 ? 0 : kPage);
    }
  }
  return job;
}

TEST(CommonBeginnings, OfFewRowsAllAreLookedAt) {
  Job job = groups_of(20);
  job.refine(60);
  EXPECT_EQ(job.looked_at, 60U);
  for (size_t i = 0; i < job.common.size(); ++i) {
    const auto group = static_cast<uint32_t>(i / 20);
    EXPECT_EQ(job.common[i], i % 20 == 0 ? 0 : kPage + 5 + 20 * group) << i;
  }
}

TEST(CommonBeginnings, OfManyWhatIsFoundUnderANodeStandsForTheOthers) {
  Job job = groups_of(1000);
  job.refine(160);
  EXPECT_LE(job.looked_at, 160U);
  EXPECT_GE(job.looked_at, 80U);
  for (size_t i = 0; i < job.common.size(); ++i) {
    const auto group = static_cast<uint32_t>(i / 1000);
    EXPECT_EQ(job.common[i], i % 1000 == 0 ? 0 : kPage + 5 + 20 * group) << i;
  }
}

TEST(CommonBeginnings, AnyOfTheRowsJustBeforeWillDo) {
  Job job;
  // Every other row is alike.
  for (int i = 0; i < 12; ++i) {
    std::vector<TokenId> prompt(20, i % 2);
    prompt.push_back(100 + i);
    job.add(prompt, 0);
  }
  job.tokens[5] = 0;
  job.refine(100);
  EXPECT_EQ(job.looked_at, 11U);
  EXPECT_EQ(job.common[1], 0U);
  EXPECT_EQ(job.common[5], 0U);
  for (const size_t i : {2U, 3U, 4U, 6U, 7U, 11U}) EXPECT_EQ(job.common[i], 20U) << i;
}

TEST(CommonBeginnings, NothingToLookAt) {
  Job empty;
  empty.refine(10);
  EXPECT_EQ(empty.looked_at, 0U);
  Job gone = groups_of(3);
  for (std::vector<TokenId>& prompt : gone.prompts) prompt.clear();
  gone.refine(100);
  EXPECT_EQ(gone.common[1], static_cast<uint32_t>(kPage));
}

}  // namespace
}  // namespace batchwright

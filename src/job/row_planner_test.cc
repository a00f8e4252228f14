#include "job/row_planner.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <memory>
#include <numeric>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "base/memory_file_system.h"
#include "protocol/testing/byte_prompt_encoder.h"

namespace batchwright {
namespace {

class RowPlannerTest : public testing::Test {
 protected:
  RowPlannerTest() { context_ = std::make_unique<ProtocolContext>(ProtocolContext{encoder_, 10000, "m", {}, {}, {}}); }

  // A token a byte, and one before them.
  void write(const std::vector<std::string>& bodies) {
    std::string content;
    for (const std::string& body : bodies) content += body + "\n";
    files_.write("job.jsonl", content);
    input_ = *files_.open_read("job.jsonl");
    format_ = *open_row_format({}, {}, *input_, "job.jsonl");
    rows_ = std::make_unique<RowFile>(RowFile{*input_, *format_, "job.jsonl"});
    index_ = *RowIndex::build(*rows_, {});
    is_wanted_.assign(bodies.size(), true);
  }

  static std::string row(const std::string& prompt, int max_tokens = 8, int n = 1) {
    return fmt::format(R"({{"prompt":"{}","max_tokens":{},"n":{}}})", prompt, max_tokens, n);
  }

  std::unique_ptr<RowPlanner> planner(RowPlannerOptions options = {}) {
    if (options.path.empty()) options.path = "x.plan";
    options.threads = 2;
    return std::make_unique<RowPlanner>(files_, *rows_, index_, is_wanted_, *context_, options);
  }

  // All windows, one behind the other.
  static std::vector<int64_t> rows_of(RowPlanner& planner) {
    std::vector<int64_t> rows;
    while (true) {
      const auto window = planner.next({});
      EXPECT_TRUE(window.ok()) << window.status().message();
      if (!window.ok() || window->empty()) return rows;
      for (const PlannedRow& planned : *window) rows.push_back(planned.row);
    }
  }

  MemoryFileSystem files_;
  BytePromptEncoder encoder_;
  std::unique_ptr<ProtocolContext> context_;
  std::unique_ptr<ReadableFile> input_;
  std::unique_ptr<RowFormat> format_;
  std::unique_ptr<RowFile> rows_;
  RowIndex index_;
  std::vector<bool> is_wanted_;
};

const std::string kA(200, 'a');
const std::string kB(200, 'b');

TEST_F(RowPlannerTest, RowsThatBeginAlikeStandTogether) {
  write({row(kA + "1"), row(kB + "1"), row(kA + "2"), "no row", row(kB + "2"), row("short", 900)});
  const auto p = planner();
  const auto window = p->next({});
  ASSERT_TRUE(window.ok());
  std::vector<int64_t> rows;
  std::vector<int> reused;
  for (const PlannedRow& planned : *window) {
    rows.push_back(planned.row);
    reused.push_back(planned.reused_tokens);
  }
  EXPECT_EQ(rows, (std::vector<int64_t>{3, 5, 0, 2, 1, 4}));
  EXPECT_EQ(reused, (std::vector<int>{0, 0, 192, 0, 192, 0}));
  EXPECT_EQ(p->rows_planned(), 6);
  EXPECT_EQ(p->prompt_tokens_distinct(), 2 * 192 + 4 * 10 + 6);
  // The same row by row: a wrong one, a short one, and of two that differ in their last token the second has that one
  // to compute.
  const std::vector<WorkSegment> work = p->work();
  EXPECT_EQ(work, (std::vector<WorkSegment>{{1, 0, 0, 0, 0},
                                            {1, 1, 6, 6, 900},
                                            {1, 1, 202, 202, 8},
                                            {1, 1, 1, 202, 8},
                                            {1, 1, 202, 202, 8},
                                            {1, 1, 1, 202, 8}}));
  EXPECT_TRUE(p->next({})->empty());
}

TEST_F(RowPlannerTest, ChoicesShareTheirPromptAndLogprobsOfPromptsShareNothing) {
  write({row(kA + "1", 8, 3), R"({"prompt":")" + kA + R"(1","echo":true,"logprobs":1,"max_tokens":4})"});
  const auto p = planner();
  EXPECT_EQ(rows_of(*p).size(), 2U);
  EXPECT_EQ(p->prompt_tokens_distinct(), 192 + 3 * 10 + 202);
  int64_t compute_tokens = 0;
  for (const WorkSegment& segment : p->work()) compute_tokens += segment.compute_tokens;
  // Of the second and third choice the last page's tokens are copied, but for the last one.
  EXPECT_EQ(compute_tokens, p->prompt_tokens_distinct() - 2 * 9);
}

TEST_F(RowPlannerTest, TheOrderIsKeptAndNothingTokenisedAgain) {
  write({row(kA + "1"), row(kB + "1"), row(kA + "2"), row(kA + "3"), row(kB + "2")});
  const auto first = planner();
  const std::vector<int64_t> rows = rows_of(*first);
  EXPECT_EQ(rows, (std::vector<int64_t>{0, 2, 3, 1, 4}));
  // Two rows are done; what is left of the order goes on, and no row is read for it.
  is_wanted_[0] = is_wanted_[3] = false;
  files_.set_fault([](const std::string& name, const std::string& path) {
    return name == "read" && path == "job.jsonl" ? io_error("not again") : Status();
  });
  const auto second = planner();
  const auto window = second->next({});
  ASSERT_TRUE(window.ok()) << window.status().message();
  ASSERT_EQ(window->size(), 3U);
  EXPECT_EQ((*window)[0].row, 2);
  EXPECT_EQ((*window)[0].reused_tokens, 0);
  EXPECT_EQ((*window)[1].row, 1);
  EXPECT_EQ((*window)[1].reused_tokens, 192);
  EXPECT_EQ(second->prompt_tokens_distinct(), first->prompt_tokens_distinct());
  // Of the work that was kept beside the order what is left.
  int64_t rows_left = 0;
  int64_t compute_tokens = 0;
  for (const WorkSegment& segment : second->work()) {
    rows_left += segment.rows;
    compute_tokens += segment.compute_tokens;
  }
  EXPECT_EQ(rows_left, 3);
  EXPECT_EQ(compute_tokens, 1 + 202 + 1);
}

TEST_F(RowPlannerTest, PlansThatDoNotFitAreMadeAgain) {
  write({row(kA + "1"), row(kB + "1"), row(kA + "2"), row(kB + "2")});
  is_wanted_[2] = false;
  EXPECT_EQ(rows_of(*planner()), (std::vector<int64_t>{1, 3, 0}));
  // A row that it lacks.
  is_wanted_[2] = true;
  EXPECT_EQ(rows_of(*planner()), (std::vector<int64_t>{0, 2, 1, 3}));
  // Another job's.
  RowPlannerOptions other;
  other.key.low = 1;
  EXPECT_EQ(rows_of(*planner(other)), (std::vector<int64_t>{0, 2, 1, 3}));
  const std::string whole = files_.content("x.plan");
  for (size_t at = 0; at < whole.size(); ++at) {
    SCOPED_TRACE(at);
    std::string damaged = whole;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x10);
    files_.write("x.plan", damaged);
    EXPECT_EQ(rows_of(*planner(other)), (std::vector<int64_t>{0, 2, 1, 3}));
    files_.write("x.plan", whole.substr(0, at));
    EXPECT_EQ(rows_of(*planner(other)), (std::vector<int64_t>{0, 2, 1, 3}));
  }
}

TEST_F(RowPlannerTest, WindowsOneAfterTheOther) {
  std::vector<std::string> bodies;
  for (int i = 0; i < 10; ++i) bodies.push_back(row((i % 2 == 0 ? kA : kB) + std::to_string(i)));
  write(bodies);
  RowPlannerOptions options;
  options.window_rows = 4;
  const auto whole = planner(options);
  EXPECT_EQ(rows_of(*whole), (std::vector<int64_t>{0, 2, 1, 3, 4, 6, 5, 7, 8, 9}));
  EXPECT_EQ(whole->prompt_tokens_distinct(), 3 * 2 * 192 + 10 * 10);
  // An earlier run stopped in the second window, with a row of the first not ended.
  (void)files_.remove("x.plan");
  const auto stopped = planner(options);
  ASSERT_TRUE(stopped->next({}).ok());
  ASSERT_TRUE(stopped->next({}).ok());
  is_wanted_.assign(10, true);
  is_wanted_[0] = is_wanted_[1] = is_wanted_[3] = is_wanted_[6] = false;
  const auto again = planner(options);
  EXPECT_EQ(rows_of(*again), (std::vector<int64_t>{2, 4, 5, 7, 8, 9}));
  EXPECT_EQ(again->prompt_tokens_distinct(), whole->prompt_tokens_distinct());
}

TEST_F(RowPlannerTest, TheFilesOrderWhereItIsAskedFor) {
  write({row(kA + "1"), row(kB + "1"), row(kA + "2")});
  RowPlannerOptions options;
  options.file_order = true;
  const auto p = planner(options);
  const auto window = p->next({});
  ASSERT_TRUE(window.ok());
  ASSERT_EQ(window->size(), 3U);
  EXPECT_EQ((*window)[1].row, 1);
  EXPECT_EQ((*window)[1].reused_tokens, -1);
  EXPECT_FALSE(files_.has("x.plan"));
}

// Each begins with 130 tokens of one of three groups, and goes on with its own.
std::string prompt_of_group(int64_t row) {
  const int64_t group = row % 3;
  return std::string(130, static_cast<char>('a' + group)) + fmt::format("{:06}", row);
}

TEST_F(RowPlannerTest, WhatNeighboursHaveInCommonIsKnownToTheTokenWithoutReadingARowAgain) {
  std::vector<std::string> bodies;
  for (int i = 0; i < 30; ++i) bodies.push_back(row(prompt_of_group(i)));
  bodies[4] = "no row";
  write(bodies);
  for (const bool file_order : {false, true}) {
    SCOPED_TRACE(file_order);
    std::atomic<int> reads{0};
    files_.set_fault([&](const std::string& name, const std::string& path) {
      if (name == "read" && path == "job.jsonl") ++reads;
      return Status();
    });
    RowPlannerOptions options;
    options.file_order = file_order;
    options.look = [](const FedRow&) {};
    const auto window = planner(options)->next({});
    files_.set_fault({});
    ASSERT_TRUE(window.ok()) << window.status().message();
    ASSERT_EQ(window->size(), 30U);
    EXPECT_EQ(reads, 30);
    std::map<int64_t, int> rows_of_group;
    bool is_any_before = false;
    for (const PlannedRow& planned : *window) {
      // A token before all prompts, the group's, and the zeros that numbers begin with.
      uint32_t least = 0;
      uint32_t most = 0;
      if (planned.row != 4) {
        const bool is_first = rows_of_group[planned.row % 3]++ == 0;
        if (std::exchange(is_any_before, true)) least = most = 1;
        if (!is_first) std::tie(least, most) = std::pair(1 + 130 + 4, 1 + 130 + 5);
      }
      EXPECT_GE(planned.common_tokens, least) << planned.row;
      EXPECT_LE(planned.common_tokens, most) << planned.row;
    }
  }
}

TEST_F(RowPlannerTest, OfNeighboursOnlyThoseThatMayRunTogetherCount) {
  write({row("aaaa1"), row("bbbb1"), row("cccc1"), row("aaaa2")});
  for (const int neighbours : {2, 3}) {
    RowPlannerOptions options;
    options.file_order = true;
    options.look = [](const FedRow&) {};
    options.neighbours = neighbours;
    const auto window = planner(options)->next({});
    ASSERT_TRUE(window.ok());
    EXPECT_EQ((*window)[3].common_tokens, neighbours == 3 ? 5U : 1U);
  }
}

TEST_F(RowPlannerTest, OfManyRowsASampleSaysWhatNeighboursHaveInCommon) {
  std::vector<std::string> bodies;
  constexpr int kRows = 9000;
  for (int i = 0; i < kRows; ++i) bodies.push_back(row(prompt_of_group(i)));
  write(bodies);
  const auto p = planner();
  const auto window = p->next({});
  ASSERT_TRUE(window.ok()) << window.status().message();
  std::map<int64_t, int> rows_of_group;
  for (const PlannedRow& planned : *window) {
    if (rows_of_group[planned.row % 3]++ == 0) continue;
    EXPECT_GE(planned.common_tokens, 1U + 130 + 2) << planned.row;
    EXPECT_LE(planned.common_tokens, 1U + 130 + 5) << planned.row;
  }
  // What is left of a prompt: one to four digits.
  int64_t compute_tokens = 0;
  for (const WorkSegment& segment : p->work()) compute_tokens += segment.compute_tokens;
  EXPECT_GT(compute_tokens, kRows);
  EXPECT_LT(compute_tokens, 4 * kRows + 3 * 137);
}

TEST_F(RowPlannerTest, AStopAndADiskThatIsFull) {
  write({row(kA + "1"), row(kB + "1")});
  std::stop_source stop;
  stop.request_stop();
  EXPECT_EQ(planner()->next(stop.get_token()).status().code(), StatusCode::kInterrupted);
  files_.set_fault([](const std::string& name, const std::string& path) {
    return name == "append" && path == "x.plan" ? io_error("x.plan: No space left on device") : Status();
  });
  EXPECT_EQ(planner()->next({}).status().code(), StatusCode::kIoError);
}

}  // namespace
}  // namespace batchwright

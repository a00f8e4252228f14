// Random jobs in the simulator: what must hold whatever comes.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>
#include <vector>

#include "base/random.h"
#include "plan/simulator.h"
#include "schedule/scheduler.h"

namespace batchwright {
namespace {

class Dice {
 public:
  explicit Dice(uint64_t seed) : random_(seed) {}
  uint32_t below(uint32_t n) { return static_cast<uint32_t>(random_.below(n)); }
  bool one_in(uint32_t n) { return below(n) == 0; }

 private:
  SplitMix64 random_;
};

using Job = std::vector<SimulatedRow>;

CostModel some_model(size_t classes) {
  CostModel model;
  model.shape.classes.assign(classes, {});
  model.fixed_seconds = 1e-3;
  model.layers = CostCurve({{1, 1e-2}, {64, 5e-2}, {512, 0.4}});
  return model;
}

// What follows from the order: depth first, a row has most in common with its neighbours.
void set_reused(Job& job) {
  SimulatedRow* before = nullptr;
  for (SimulatedRow& row : job) {
    row.reused_tokens = 0;
    if (!row.is_shared) continue;
    row.common_tokens = before == nullptr ? 0 : std::min({row.common_tokens, row.prompt_tokens, before->prompt_tokens});
    if (before != nullptr) before->reused_tokens = row.common_tokens;
    before = &row;
  }
}

Job random_job(Dice& dice) {
  Job job(1 + dice.below(60));
  const bool one_a_step = dice.one_in(2);
  const bool has_paths = dice.one_in(2);
  for (SimulatedRow& row : job) {
    row.prompt_tokens = 1 + dice.below(dice.one_in(5) ? 900 : 200);
    row.common_tokens = dice.one_in(3) ? 0 : dice.below(400);
    row.max_tokens = 1 + dice.below(dice.one_in(4) ? 300 : 20);
    row.answer_tokens = 1 + dice.below(row.max_tokens);
    row.answer_runs = !one_a_step && dice.one_in(4) ? dice.below(row.answer_tokens + 1) : row.answer_tokens;
    row.group = dice.below(3);
    row.choices = static_cast<uint16_t>(dice.one_in(5) ? 1 + dice.below(4) : 1);
    if (has_paths && dice.one_in(8)) {
      row.scored_paths = static_cast<uint16_t>(1 + dice.below(20));
      row.scored_path_tokens = static_cast<uint16_t>(1 + dice.below(9));
    }
    row.full_logits = dice.one_in(2);
    if (dice.one_in(8)) {
      row.is_shared = false;
      if (dice.one_in(2)) row.max_tokens = row.answer_tokens = row.answer_runs = 0;
    }
  }
  set_reused(job);
  return job;
}

bool computes_choice(const SimulatedRow& row, int choice) {
  return std::min(row.answer_runs, row.answer_tokens) > 0 || (!row.is_shared && choice == 0);
}

int64_t sequences_of(const SimulatedRow& row) {
  int64_t sequences = row.scored_paths;
  for (int choice = 0; choice < row.choices; ++choice) sequences += computes_choice(row, choice) ? 1 : 0;
  return sequences;
}

// No beginning of a prompt twice, but for the last token of each choice's prompt.
int64_t least_prompt_tokens(const Job& job) {
  int64_t tokens = 0;
  for (const SimulatedRow& row : job) {
    if (sequences_of(row) == 0) return 0;  // what it would have computed for others is hard to say
    const uint32_t common = row.is_shared ? row.common_tokens : 0;
    tokens += std::max<int64_t>(0, int64_t{row.prompt_tokens} - 1 - common);
    for (int choice = 0; choice < row.choices; ++choice) tokens += computes_choice(row, choice) ? 1 : 0;
  }
  return tokens;
}

// If the row ran alone, each of its sequences after the other.
int64_t steps_alone(const SimulatedRow& row, int budget) {
  const auto most = static_cast<int64_t>(row.prompt_tokens + row.scored_path_tokens + row.answer_tokens);
  return sequences_of(row) * (most / budget + 1 + row.answer_runs) + 1;
}

// Of any row from when it is submitted until it ends.
int64_t steps_at_most(const Job& job, const SimulationOptions& options) {
  const int chunk = options.max_batch_tokens - options.max_batch + 1;
  std::vector<int64_t> alone;
  std::vector<int64_t> positions;
  for (const SimulatedRow& row : job) {
    const int64_t most = row.prompt_tokens + row.answer_tokens;
    alone.push_back(sequences_of(row) * (most / chunk + 1 + blocks_for(most) + 1 + row.answer_runs));
    for (int64_t i = 0; i < sequences_of(row); ++i) positions.push_back(most);
  }
  const auto sum_of_largest = [](std::vector<int64_t> of, int count) {
    std::sort(of.begin(), of.end(), std::greater<>());
    of.resize(std::min(of.size(), static_cast<size_t>(count)));
    return std::accumulate(of.begin(), of.end(), int64_t{0});
  };
  return 2 * sum_of_largest(alone, options.requests_ahead) + Scheduler::kPatience +
         sum_of_largest(positions, options.max_batch - 1);
}

int32_t least_pages(const Job& job) {
  uint32_t most = 0;
  for (const SimulatedRow& row : job) {
    most = std::max(most, row.prompt_tokens + std::max<uint32_t>(row.answer_tokens, row.scored_path_tokens));
  }
  return static_cast<int32_t>(blocks_for(most)) + 1;
}

TEST(SimulatorProperties, WhateverComesEveryRowEndsWithinMemory) {
  int64_t preempted = 0;
  int certain = 0;
  int without_paths = 0;
  for (uint64_t seed = 0; seed < 1000; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    Dice dice(seed);
    const Job job = random_job(dice);
    SimulationOptions options;
    options.max_batch = 1 + static_cast<int>(dice.below(12));
    options.max_batch_tokens = std::max(options.max_batch, 1 + static_cast<int>(dice.below(300)));
    options.requests_ahead = 1 + static_cast<int>(dice.below(20));
    options.share_prefixes = !dice.one_in(8);
    options.admission = static_cast<Admission>(dice.below(4));
    const int32_t pages = least_pages(job) + static_cast<int32_t>(dice.below(dice.one_in(2) ? 8 : 80));
    options.page_classes = {{0, pages}};
    options.page_bytes = {1000};
    size_t bytes = static_cast<size_t>(pages) * 1000;
    if (dice.one_in(3)) {
      const int window = 1 + static_cast<int>(dice.below(200));
      const int32_t of_window =
          blocks_for(window + options.max_batch_tokens) + 1 + static_cast<int32_t>(dice.below(20));
      options.page_classes.push_back({window, of_window});
      options.page_bytes.push_back(7);
      bytes += static_cast<size_t>(of_window) * 7;
    }
    const CostModel model = some_model(options.page_classes.size());
    const SimulationResult result = simulate(job, options, model);

    ASSERT_EQ(result.rows_ended, static_cast<int64_t>(job.size()));
    ASSERT_LE(result.kv_bytes_held_max, bytes);
    ASSERT_LE(result.kv_bytes_touched, bytes);
    ASSERT_GE(result.kv_bytes_touched, result.kv_bytes_held_max);
    int64_t prompt_tokens = 0;
    int64_t generated = 0;
    for (const SimulatedRow& row : job) {
      generated += int64_t{row.choices} * row.answer_tokens;
      for (int choice = 0; choice < row.choices; ++choice) {
        prompt_tokens += computes_choice(row, choice) ? row.prompt_tokens : 0;
      }
    }
    ASSERT_EQ(result.prompt_tokens, prompt_tokens);
    ASSERT_EQ(result.generated_tokens, generated);
    ASSERT_GE(result.prompt_tokens_computed, least_prompt_tokens(job));
    ASSERT_LE(result.rows_paused, result.preemptions);
    // Several tokens at once are more than the peak to come is reckoned with.
    const bool one_a_step = std::all_of(job.begin(), job.end(),
                                        [](const SimulatedRow& row) { return row.answer_runs == row.answer_tokens; });
    if (one_a_step && (options.admission == Admission::kOracle || options.admission == Admission::kReserveMax)) {
      ++certain;
      ASSERT_EQ(result.preemptions, 0) << "nobody generates more than expected";
    }
    // Nobody keeps all others from going on: together they take no longer than one after the other, and what was given
    // up once more.
    int64_t alone = 0;
    int64_t longest = 0;
    for (const SimulatedRow& row : job) {
      const int64_t steps = steps_alone(row, options.max_batch_tokens);
      alone += steps;
      longest = std::max(longest, steps);
    }
    ASSERT_LE(result.steps, alone + result.preemptions * longest);
    ASSERT_LE(result.row_steps_max, result.steps);
    // Nobody starves (schedule/scheduler.h): the sequences of rows in flight are all that can be before one of them.
    // Scored paths come later than rows that follow theirs.
    const bool has_paths =
        std::any_of(job.begin(), job.end(), [](const SimulatedRow& row) { return row.scored_paths > 0; });
    if (!has_paths) {
      ++without_paths;
      ASSERT_LE(result.row_steps_max, steps_at_most(job, options));
    }

    const SimulationResult again = simulate(job, options, model);
    ASSERT_EQ(again.steps, result.steps);
    ASSERT_EQ(again.seconds, result.seconds);
    ASSERT_EQ(again.prompt_tokens_computed, result.prompt_tokens_computed);
    ASSERT_EQ(again.kv_bytes_touched, result.kv_bytes_touched);
    preempted += result.preemptions;
  }
  EXPECT_GT(certain, 100);
  EXPECT_GT(without_paths, 100);
  EXPECT_GT(preempted, 0) << "some are meant to be scarce of memory";
}

TEST(SimulatorProperties, WithPlentyOfMemoryNothingIsComputedTwice) {
  for (uint64_t seed = 0; seed < 300; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    Dice dice(seed);
    Job job(1 + dice.below(200));
    for (SimulatedRow& row : job) {
      row.prompt_tokens = 1 + dice.below(500);
      row.common_tokens = dice.below(500);
      row.answer_tokens = row.answer_runs = 1 + dice.below(16);
    }
    set_reused(job);
    // Whole pages: of others it depends on who is still there to be copied from. And none up to a prompt's end, whose
    // token is computed in any case.
    for (size_t i = 1; i < job.size(); ++i) {
      uint32_t& common = job[i].common_tokens;
      common -= common % kPagePositions;
      if (common == job[i].prompt_tokens || common == job[i - 1].prompt_tokens) common -= kPagePositions;
    }
    set_reused(job);
    SimulationOptions options;
    options.page_classes = {{0, 5000}};
    options.page_bytes = {1};
    options.max_batch = 1 + static_cast<int>(dice.below(64));
    ASSERT_EQ(simulate(job, options, some_model(1)).prompt_tokens_computed, least_prompt_tokens(job));
  }
}

// A model of half a billion parameters, 768 KB a page, with 4 GiB for its pages; and answers as they come in jobs.
TEST(SimulatorProperties, AtDefaultSettingsHardlyAnyRowIsPaused) {
  for (const double median : {3.0, 60.0, 200.0, 700.0}) {
    SplitMix64 random(static_cast<uint64_t>(median));
    Job job(2000);
    for (SimulatedRow& row : job) {
      row.prompt_tokens = 40 + static_cast<uint32_t>(random.below(1500));
      row.common_tokens = row.reused_tokens = 36;
      row.max_tokens = 30000;
      // Log-logistic: its tail is as heavy as they come.
      const double u = (static_cast<double>(random.below(1U << 20)) + 0.5) / (1U << 20);
      row.answer_tokens = static_cast<uint32_t>(std::clamp(median * std::sqrt(u / (1 - u)), 1.0, 30000.0));
      row.answer_runs = row.answer_tokens;
    }
    SimulationOptions options;
    options.page_classes = {{0, 5461}};
    options.page_bytes = {768 << 10};
    const SimulationResult result = simulate(job, options, some_model(1));
    EXPECT_LT(result.rows_paused * 100, result.rows_ended) << "answers of about " << median;
    EXPECT_EQ(result.rows_ended, 2000);
  }
}

}  // namespace
}  // namespace batchwright

// Random jobs without a model: what must hold whatever comes, and how much sharing is kept where memory is scarce.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <map>
#include <numeric>
#include <random>
#include <set>
#include <span>
#include <utility>
#include <vector>

#include "schedule/scheduler.h"

namespace batchwright {
namespace {

using Tokens = std::vector<TokenId>;

struct Row {
  Tokens prompt;
  int generated = 1;
  int samples = 1;
  int expected = 1;
  int most = 0;          // SequenceSpec::most_tokens
  int reused = -1;       // of the last sample
  int remove_after = 0;  // tokens generated, then it is cancelled; 0: not at all
};
using Job = std::vector<Row>;

class Dice {
 public:
  explicit Dice(uint32_t seed) : random_(seed) {}
  int below(int n) { return static_cast<int>(random_() % static_cast<uint32_t>(n)); }
  bool one_in(int n) { return below(n) == 0; }

 private:
  std::mt19937 random_;
};

int common_tokens(const Tokens& a, const Tokens& b) {
  return static_cast<int>(std::mismatch(a.begin(), a.end(), b.begin(), b.end()).first - a.begin());
}

// Leaves of a random tree of text, depth first: each inner node adds some tokens to what stands above it.
void grow(Dice& dice, const Tokens& above, int levels, Job& job) {
  const int children = 1 + dice.below(levels == 0 ? 5 : 3);
  for (int child = 0; child < children; ++child) {
    Tokens tokens = above;
    const int more = levels == 0 ? 1 + dice.below(90) : dice.below(260);
    for (int i = 0; i < more; ++i) tokens.push_back(dice.below(1000));
    if (levels > 0) {
      grow(dice, tokens, levels - 1, job);
      continue;
    }
    tokens.push_back(static_cast<TokenId>(1000 + job.size()));
    Row row;
    row.prompt = std::move(tokens);
    row.generated = dice.one_in(4) ? 1 + dice.below(200) : 1 + dice.below(12);
    row.samples = dice.one_in(5) ? 1 + dice.below(4) : 1;
    row.expected = row.generated;
    job.push_back(std::move(row));
  }
}

void shuffle(Dice& dice, Job& job) {
  for (size_t i = job.size(); i > 1; --i) {
    std::swap(job[i - 1], job[static_cast<size_t>(dice.below(static_cast<int>(i)))]);
  }
}

// What is true of a job whose rows come in this order.
void set_hints(Job& job) {
  for (size_t i = 0; i < job.size(); ++i) {
    job[i].reused = 0;
    for (size_t j = i + 1; j < job.size(); ++j) {
      job[i].reused = std::max(job[i].reused, common_tokens(job[i].prompt, job[j].prompt));
    }
  }
}

// Prompt tokens that have to be computed when nothing is computed twice: a block counts once for each distinct
// beginning that it ends. The block of a prompt's last token is computed for each sample, as its logits are wanted.
int64_t least_prompt_tokens(const Job& job) {
  std::set<Tokens> blocks;
  int64_t tokens = 0;
  for (const Row& row : job) {
    const int shared = (static_cast<int>(row.prompt.size()) - 1) / kPagePositions;
    for (int b = 1; b <= shared; ++b) {
      tokens += blocks.emplace(row.prompt.begin(), row.prompt.begin() + b * kPagePositions).second ? kPagePositions : 0;
    }
    tokens += row.samples * (static_cast<int64_t>(row.prompt.size()) - shared * kPagePositions);
  }
  return tokens;
}

// The same where a page may be shared up to any of its positions: no beginning of a prompt twice, but for the prompt's
// last token.
int64_t least_prompt_tokens_by_position(const Job& job) {
  std::set<Tokens> beginnings;
  int64_t last_tokens = 0;
  for (const Row& row : job) {
    last_tokens += row.samples;
    for (auto end = row.prompt.begin() + 1; end < row.prompt.end(); ++end) beginnings.emplace(row.prompt.begin(), end);
  }
  return static_cast<int64_t>(beginnings.size()) + last_tokens;
}

int64_t all_prompt_tokens(const Job& job) {
  int64_t tokens = 0;
  for (const Row& row : job) tokens += row.samples * static_cast<int64_t>(row.prompt.size());
  return tokens;
}

// Pages that the longest sequence needs alone.
int least_pages(const Job& job) {
  int most = 0;
  for (const Row& row : job) most = std::max(most, blocks_for(static_cast<int>(row.prompt.size()) + row.generated));
  return most;
}

struct Outcome {
  int64_t prompt_rows = 0;
  int64_t preemptions = 0;
  int64_t steps = 0;
  int64_t pages_most = 0;
  uint64_t digest = 0;  // of all steps
  // Of all sequences, the most: steps from when it was added until it ended, and these for its bound.
  int64_t steps_of_one = 0;
  double share_of_bound = 0;
};

// Runs a job to its end and looks at every step.
class Runner {
 public:
  Runner(const Job& job, const SchedulerOptions& options, std::vector<PageClassSpec> classes, int ahead)
      : job_(job),
        ahead_(ahead),
        max_batch_(options.max_batch),
        chunk_(std::max(options.max_batch_tokens, options.max_batch) - options.max_batch + 1),
        cache_(std::move(classes)),
        scheduler_(options, cache_) {}

  void run(Outcome& outcome) {
    submit(outcome);
    while (!open_.empty()) {
      const Step& step = scheduler_.plan();
      ASSERT_GT(step.rows(), 0);
      ASSERT_LT(++outcome.steps, 100000);
      ASSERT_NO_FATAL_FAILURE(check_writes(step));
      digest(step, outcome.digest);
      outcome.pages_most = std::max<int64_t>(outcome.pages_most, cache_.held(0));
      for (const Run& run : step.runs) {
        const int prompt = static_cast<int>(job_[open_.at(run.sequence).row].prompt.size());
        outcome.prompt_rows += std::clamp(prompt - run.first_position, 0, run.count);
      }
      scheduler_.commit();
      for (const LogitsRow& row : step.logits) take(row.sequence, outcome);
      submit(outcome);
    }
    EXPECT_EQ(scheduler_.running() + scheduler_.waiting(), 0);
    EXPECT_TRUE(cache_.consistent({}));
    for (int c = 0; c < cache_.classes(); ++c) EXPECT_EQ(cache_.held(c), 0);
    outcome.preemptions = scheduler_.preemptions();
  }

  const PageCache& cache() const { return cache_; }

 private:
  struct Open {
    size_t row = 0;
    int generated = 0;
    int64_t added_step = 0;
    int64_t steps_bound = 0;
  };

  static int positions(const Row& row) { return static_cast<int>(row.prompt.size()) + row.generated; }

  // At most, if it ran as the oldest from its first token on: the others leave `chunk_` tokens of a step's budget, and
  // where pages are scarce a chunk ends with a page.
  int64_t steps_alone(const Row& row) const {
    return positions(row) / chunk_ + 1 + blocks_for(positions(row)) + 1 + row.generated;
  }

  // schedule/scheduler.h has the rule.
  int64_t steps_bound(const Row& added) const {
    int64_t alone = steps_alone(added);
    for (const auto& [id, open] : open_) alone += steps_alone(job_[open.row]);
    int most = 0;
    for (size_t younger = next_row_; younger < job_.size(); ++younger) most = std::max(most, positions(job_[younger]));
    return 2 * alone + Scheduler::kPatience + int64_t{max_batch_ - 1} * most;
  }

  // As a job's runner does: so many requests at once are with the engine.
  void submit(const Outcome& outcome) {
    for (; next_row_ < job_.size() && static_cast<int>(open_.size()) < ahead_; ++next_row_) {
      const Row& row = job_[next_row_];
      for (int sample = 0; sample < row.samples; ++sample) {
        SequenceSpec spec;
        spec.prompt = row.prompt;
        spec.expected_tokens = row.expected;
        spec.most_tokens = row.most;
        const bool last = sample + 1 == row.samples;
        spec.reused_tokens = last || row.reused < 0 ? row.reused : static_cast<int>(row.prompt.size());
        const int64_t bound = steps_bound(row);
        open_.emplace(scheduler_.add(std::move(spec)), Open{next_row_, 0, outcome.steps, bound});
      }
    }
  }

  void take(int64_t sequence, Outcome& outcome) {
    Open& open = open_.at(sequence);
    const Row& row = job_[open.row];
    ++open.generated;
    if (open.generated == row.generated || open.generated == row.remove_after) {
      const int64_t steps = outcome.steps - open.added_step;
      outcome.steps_of_one = std::max(outcome.steps_of_one, steps);
      const double share = static_cast<double>(steps) / static_cast<double>(open.steps_bound);
      outcome.share_of_bound = std::max(outcome.share_of_bound, share);
      scheduler_.remove(sequence);
      open_.erase(sequence);
      return;
    }
    const TokenId token = 5000 + static_cast<TokenId>(sequence);
    scheduler_.append(sequence, std::span(&token, 1));
  }

  // A page that a run writes stands in no list of another run, and stands for one block only.
  void check_writes(const Step& step) {
    for (int c = 0; c < cache_.classes(); ++c) {
      const ClassPlan& plan = step.classes[static_cast<size_t>(c)];
      ASSERT_EQ(plan.write_pages.size(), step.tokens.size());
      std::map<PageId, std::pair<int64_t, int>> writer;
      std::vector<int64_t> sequence_of(step.tokens.size());
      for (const Run& run : step.runs) {
        for (int row = run.first_row; row < run.first_row + run.count; ++row) {
          const auto k = static_cast<size_t>(row);
          sequence_of[k] = run.sequence;
          const std::pair own(run.sequence, step.positions[k] / kPagePositions);
          ASSERT_GE(plan.write_pages[k], 0);
          ASSERT_LT(plan.write_pages[k], cache_.spec(c).pages);
          ASSERT_EQ(writer.emplace(plan.write_pages[k], own).first->second, own) << "a page is written by two";
        }
      }
      for (const auto& level : plan.levels) {
        for (const AttentionGroup& group : level) {
          for (size_t b = 0; b < group.pages.size(); ++b) {
            const auto it = writer.find(group.pages[b]);
            if (it == writer.end()) continue;
            ASSERT_EQ(it->second.second, group.first_block + static_cast<int>(b));
            for (const int32_t row : group.rows) {
              ASSERT_EQ(sequence_of[static_cast<size_t>(row)], it->second.first) << "a page is written while shared";
            }
          }
        }
      }
    }
  }

  static void digest(const Step& step, uint64_t& digest) {
    for (const Run& run : step.runs) {
      for (const auto value : {run.sequence, int64_t{run.first_position}, int64_t{run.count}}) {
        digest = (digest ^ static_cast<uint64_t>(value)) * 0x100000001b3ULL;
      }
    }
    for (const ClassPlan& plan : step.classes) {
      for (const PageId page : plan.write_pages) digest = (digest ^ static_cast<uint64_t>(page)) * 0x100000001b3ULL;
    }
  }

  const Job& job_;
  int ahead_;
  int max_batch_;
  int chunk_;
  PageCache cache_;
  Scheduler scheduler_;
  size_t next_row_ = 0;
  std::map<int64_t, Open> open_;
};

Job random_job(Dice& dice) {
  Job job;
  const int roots = 1 + dice.below(2);
  for (int root = 0; root < roots; ++root) grow(dice, {}, dice.below(4), job);
  return job;
}

TEST(SchedulerProperties, WhateverIsToldEveryRowEnds) {
  int64_t preempted = 0;
  for (uint32_t seed = 0; seed < 2000; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    Dice dice(seed);
    Job job = random_job(dice);
    if (dice.one_in(3)) shuffle(dice, job);
    const int hints = dice.below(3);
    if (hints > 0) set_hints(job);
    const int expectations = dice.below(3);
    const bool removals = dice.one_in(3);
    for (Row& row : job) {
      if (hints == 2 && dice.one_in(2)) row.reused = dice.below(static_cast<int>(row.prompt.size()) + 1);
      if (expectations == 1) row.expected = dice.below(row.generated + 1);
      if (expectations == 2) row.expected = row.generated + dice.below(50);
      if (removals && dice.one_in(4)) row.remove_after = 1 + dice.below(row.generated);
    }
    SchedulerOptions options;
    options.max_batch = 1 + dice.below(12);
    options.max_batch_tokens = 1 + dice.below(300);
    options.share_prefixes = !dice.one_in(8);
    options.prefill_first = dice.one_in(8);
    const int budget = std::max(options.max_batch, options.max_batch_tokens);
    std::vector<PageClassSpec> classes = {{0, least_pages(job) + dice.below(dice.one_in(2) ? 8 : 80)}};
    if (dice.one_in(3)) {
      const int window = 1 + dice.below(200);
      classes.push_back({window, blocks_for(window + budget) + 1 + dice.below(20)});
    }
    const int ahead = 1 + dice.below(20);
    Outcome outcome;
    Runner runner(job, options, classes, ahead);
    ASSERT_NO_FATAL_FAILURE(runner.run(outcome));
    Outcome again;
    Runner(job, options, classes, ahead).run(again);
    ASSERT_EQ(outcome.digest, again.digest) << "another order of the same job";
    if (seed % 16 == 0 && !removals) {
      ASSERT_GE(outcome.prompt_rows, least_prompt_tokens_by_position(job));
    }
    if (expectations != 1) {
      ASSERT_EQ(outcome.preemptions, 0) << "nobody generated more than expected";
    }
    if (!options.prefill_first) {
      ASSERT_LE(outcome.share_of_bound, 1);
    }
    preempted += outcome.preemptions;
  }
  EXPECT_GT(preempted, 0) << "some are meant to be scarce of memory";
}

// Some long rows among very many short ones, which would be glad to go before them: a stream that never ends, as far as
// a long one can tell.
Job stream_job(Dice& dice) {
  Tokens shared;
  for (int i = dice.below(200); i > 0; --i) shared.push_back(dice.below(1000));
  Job job(static_cast<size_t>(300 + dice.below(300)));
  const int apart = 20 + dice.below(200);
  const int long_prompt = dice.one_in(2) ? 1 : 300;
  const int short_prompt = dice.one_in(2) ? 30 : 300;
  for (size_t i = 0; i < job.size(); ++i) {
    Row& row = job[i];
    const bool is_long = i < 2 || dice.one_in(apart);
    if (!dice.one_in(4)) row.prompt = shared;
    for (int more = 1 + dice.below(is_long ? long_prompt : short_prompt); more > 0; --more)
      row.prompt.push_back(dice.below(1000));
    row.prompt.push_back(static_cast<TokenId>(1000 + i));
    row.generated = is_long ? 100 + dice.below(300) : 1 + dice.below(12);
    row.expected = row.generated;
  }
  return job;
}

TEST(SchedulerProperties, NobodyStarves) {
  int64_t preempted = 0;
  double most = 0;
  for (uint32_t seed = 0; seed < 400; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    Dice dice(seed);
    Job job = stream_job(dice);
    const int expectations = dice.below(4);
    for (Row& row : job) {
      if (expectations == 1) row.expected = 0;
      if (expectations == 2) row.expected = 1 + dice.below(row.generated);
      if (expectations >= 2 && dice.one_in(2)) row.most = row.generated + dice.below(300);
      if (expectations == 3) row.expected = std::max(1, row.generated - dice.below(30));
    }
    if (dice.one_in(2)) set_hints(job);
    SchedulerOptions options;
    options.max_batch = 2 + dice.below(10);
    options.max_batch_tokens = options.max_batch + dice.below(100);
    options.share_prefixes = !dice.one_in(4);
    std::vector<PageClassSpec> classes = {{0, least_pages(job) + dice.below(6)}};
    if (dice.one_in(4)) {
      const int window = 1 + dice.below(200);
      classes.push_back({window, blocks_for(window + options.max_batch_tokens) + 1 + dice.below(10)});
    }
    Outcome outcome;
    Runner(job, options, classes, 2 * options.max_batch).run(outcome);
    ASSERT_LE(outcome.share_of_bound, 1) << "the longest took " << outcome.steps_of_one << " steps";
    most = std::max(most, outcome.share_of_bound);
    preempted += outcome.preemptions;
  }
  std::printf("nobody took more than %.2f of what is promised\n", most);
  EXPECT_GT(preempted, 0) << "some are meant to be scarce of memory";
}

TEST(SchedulerProperties, WithRightHintsNothingIsComputedTwiceOrKeptTooLong) {
  for (uint32_t seed = 0; seed < 1000; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    Dice dice(seed);
    Job job = random_job(dice);
    set_hints(job);
    SchedulerOptions options;
    options.max_batch = 1 + dice.below(16);
    options.max_batch_tokens = 16 + dice.below(300);
    std::vector<PageClassSpec> classes = {{0, 4000}};
    if (dice.one_in(2)) classes.push_back({1 + dice.below(200), 4000});
    Outcome outcome;
    Runner runner(job, options, classes, 1 + dice.below(20));
    ASSERT_NO_FATAL_FAILURE(runner.run(outcome));
    ASSERT_LE(outcome.prompt_rows, least_prompt_tokens(job));
    ASSERT_EQ(runner.cache().unheld(), 0) << "each page is freed at its last use";
  }
}

// A system prompt, examples, documents, questions: much to share, answers with a heavy tail.
Job deep_job(Dice& dice) {
  Job job;
  const auto with = [&](Tokens tokens, int more) {
    for (; more > 0; --more) tokens.push_back(dice.below(1000));
    return tokens;
  };
  const Tokens system = with({}, 64 + dice.below(600));
  for (int e = 2 + dice.below(3); e > 0; --e) {
    const Tokens examples = with(system, dice.below(800));
    for (int d = 1 + dice.below(5); d > 0; --d) {
      const Tokens document = with(examples, 200 + dice.below(1500));
      for (int q = 1 + dice.below(10); q > 0; --q) {
        Row row;
        row.prompt = with(document, 5 + dice.below(100));
        row.generated = 1 + (dice.one_in(5) ? dice.below(300) : dice.below(30));
        row.expected = row.generated;
        row.samples = dice.one_in(8) ? 3 : 1;
        job.push_back(std::move(row));
      }
    }
  }
  return job;
}

// Memory that the job would like: what it holds at most where there is plenty. Where there is a quarter of it, order
// and hints keep the saving that is lost when rows come as they will.
TEST(SchedulerProperties, AQuarterOfTheMemoryKeepsTheSaving) {
  int64_t saved = 0;
  int64_t saved_shuffled = 0;
  int64_t possible = 0;
  int jobs = 0;
  for (uint32_t seed = 0; seed < 80; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    Dice dice(seed);
    Job job = deep_job(dice);
    set_hints(job);
    SchedulerOptions options;
    options.max_batch = 64;
    options.max_batch_tokens = 256;
    const auto run = [&](int32_t pages) {
      Outcome outcome;
      Runner runner(job, options, {{0, pages}}, 128);
      runner.run(outcome);
      EXPECT_EQ(outcome.preemptions, 0);
      return outcome;
    };
    const auto quarter = static_cast<int32_t>(run(40000).pages_most / 4);
    if (quarter < least_pages(job)) continue;
    saved += all_prompt_tokens(job) - run(quarter).prompt_rows;
    shuffle(dice, job);
    for (Row& row : job) row.reused = -1;
    saved_shuffled += all_prompt_tokens(job) - run(quarter).prompt_rows;
    possible += all_prompt_tokens(job) - least_prompt_tokens(job);
    ++jobs;
  }
  const auto share = [&](int64_t tokens) { return static_cast<double>(tokens) / static_cast<double>(possible); };
  std::printf("%d jobs at a quarter of their memory keep %.2f%% of the possible saving, shuffled %.2f%%\n", jobs,
              100 * share(saved), 100 * share(saved_shuffled));
  EXPECT_GT(jobs, 30);
  EXPECT_GE(share(saved), 0.95);
  EXPECT_LT(share(saved_shuffled), 0.95) << "memory is meant to be scarce";
}

// The optimum by trying: the least that any order of the rows computes when one runs after the other and pages of the
// row before are all that is kept. What the tree promises must be reached by some order, and is beaten by none.
TEST(SchedulerProperties, TheLeastIsWhatTheBestOfAllOrdersComputes) {
  for (uint32_t seed = 0; seed < 300; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    Dice dice(seed);
    Job job;
    grow(dice, {}, 1 + dice.below(2), job);
    if (job.size() > 6) job.resize(6);
    for (Row& row : job) row.samples = 1;
    std::vector<size_t> order(job.size());
    std::iota(order.begin(), order.end(), size_t{0});
    int64_t best = INT64_MAX;
    do {
      int64_t computed = 0;
      for (size_t i = 0; i < order.size(); ++i) {
        const Tokens& prompt = job[order[i]].prompt;
        const int shared = i == 0 ? 0 : common_tokens(prompt, job[order[i - 1]].prompt) / kPagePositions;
        const int most = (static_cast<int>(prompt.size()) - 1) / kPagePositions;
        computed += static_cast<int64_t>(prompt.size()) - std::min(shared, most) * kPagePositions;
      }
      best = std::min(best, computed);
    } while (std::next_permutation(order.begin(), order.end()));

    set_hints(job);
    SchedulerOptions options;
    options.max_batch = 1;
    Outcome outcome;
    // One row at a time in just the memory for the longest: the order is depth first, so nothing is thrown away early.
    Runner runner(job, options, {{0, least_pages(job)}}, 1 + dice.below(3));
    ASSERT_NO_FATAL_FAILURE(runner.run(outcome));
    // Pages that begin alike are copied where there is room for it.
    ASSERT_LE(outcome.prompt_rows, best);
    ASSERT_GE(outcome.prompt_rows, least_prompt_tokens_by_position(job));
    ASSERT_EQ(best, least_prompt_tokens(job));
  }
}

}  // namespace
}  // namespace batchwright

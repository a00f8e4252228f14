#include "schedule/scheduler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>
#include <span>
#include <utility>
#include <vector>

namespace batchwright {
namespace {

// Stands for a model: remembers of each page which tokens' K and V were written to it, and checks that every row finds
// just its own sequence's tokens in the pages it is given.
class FakeModel {
 public:
  explicit FakeModel(const PageCache& cache) : cache_(cache), pages_(static_cast<size_t>(cache.classes())) {}

  void run(const Step& step, const std::map<int64_t, std::vector<TokenId>>& tokens) {
    for (int c = 0; c < cache_.classes(); ++c) {
      auto& pages = pages_[static_cast<size_t>(c)];
      const ClassPlan& plan = step.classes[static_cast<size_t>(c)];
      for (const PageCopy& copy : plan.copies) {
        ASSERT_GT(copy.positions, 0);
        for (int i = 0; i < copy.positions; ++i) pages[copy.to][i] = pages[copy.from][i];
      }
      for (const Run& run : step.runs) {
        for (int i = 0; i < run.count; ++i) {
          const auto row = static_cast<size_t>(run.first_row + i);
          ASSERT_EQ(step.positions[row], run.first_position + i);
          ASSERT_EQ(step.tokens[row], tokens.at(run.sequence)[static_cast<size_t>(run.first_position + i)]);
          const PageId page = plan.write_pages[row];
          ASSERT_NE(page, kNoPage);
          pages[page][step.positions[row] % kPagePositions] = prefix(tokens.at(run.sequence), step.positions[row]);
        }
      }
      std::map<int32_t, std::map<int, PageId>> blocks_of_row;
      for (const auto& level : plan.levels) {
        for (const AttentionGroup& group : level) {
          for (const int32_t row : group.rows) {
            for (size_t b = 0; b < group.pages.size(); ++b) {
              const int block = group.first_block + static_cast<int>(b);
              ASSERT_TRUE(blocks_of_row[row].emplace(block, group.pages[b]).second);
            }
          }
        }
      }
      const int window = cache_.spec(c).window;
      for (const Run& run : step.runs) {
        for (int i = 0; i < run.count; ++i) {
          const int position = run.first_position + i;
          const int first = window == 0 ? 0 : std::max(0, position - window + 1);
          for (int p = first; p <= position; ++p) {
            const auto& blocks = blocks_of_row[run.first_row + i];
            const auto block = blocks.find(p / kPagePositions);
            ASSERT_NE(block, blocks.end());
            ASSERT_EQ(pages[block->second][p % kPagePositions], prefix(tokens.at(run.sequence), p))
                << "class " << c << " sequence " << run.sequence << " position " << position << " sees " << p;
          }
        }
      }
    }
  }

 private:
  static std::vector<TokenId> prefix(const std::vector<TokenId>& tokens, int position) {
    return {tokens.begin(), tokens.begin() + position + 1};
  }
  const PageCache& cache_;
  std::vector<std::map<PageId, std::map<int, std::vector<TokenId>>>> pages_;
};

// 30 prompts of 100 tokens in common and 20 each of its own: one computes the first, all others what they have alone.
TEST(Scheduler, OfPagesThatBeginAlikeTheBeginningIsCopied) {
  for (const int reused : {-1, 100}) {
    PageCache cache({{0, 200}, {70, 200}});
    FakeModel model(cache);
    SchedulerOptions options;
    options.max_batch_tokens = 64;
    Scheduler scheduler(options, cache);
    std::map<int64_t, std::vector<TokenId>> tokens;
    for (int i = 0; i < 30; ++i) {
      SequenceSpec spec;
      spec.prompt.assign(100, 7);
      spec.prompt.resize(120, 100 + i);
      spec.reused_tokens = i < 29 ? reused : std::min(reused, 0);
      const auto prompt = spec.prompt;
      tokens[scheduler.add(std::move(spec))] = prompt;
    }
    int64_t rows = 0;
    while (scheduler.running() + scheduler.waiting() > 0) {
      const Step& step = scheduler.plan();
      ASSERT_GT(step.rows(), 0);
      rows += step.rows();
      ASSERT_NO_FATAL_FAILURE(model.run(step, tokens));
      scheduler.commit();
      for (const LogitsRow& row : std::vector(step.logits)) scheduler.remove(row.sequence);
    }
    EXPECT_EQ(rows, 100 + 30 * 20);
  }
}

// Where memory is scarce nobody waits to copy what is about to be computed, but what is computed is copied all the
// same.
TEST(Scheduler, OfPagesThatBeginAlikeTheBeginningIsCopiedWhereMemoryIsScarceToo) {
  constexpr int kRows = 30;
  constexpr int kGenerated = 6;
  PageCache cache({{0, 9}});  // that 8 have one page in common and one each of their own
  FakeModel model(cache);
  SchedulerOptions options;
  options.max_batch_tokens = 64;
  Scheduler scheduler(options, cache);
  std::map<int64_t, std::vector<TokenId>> tokens;
  for (int i = 0; i < kRows; ++i) {
    SequenceSpec spec;
    spec.prompt.assign(100, 7);
    spec.prompt.resize(120, 100 + i);
    spec.expected_tokens = kGenerated;
    const auto prompt = spec.prompt;
    tokens[scheduler.add(std::move(spec))] = prompt;
  }
  int64_t rows = 0;
  int running = 0;
  while (scheduler.running() + scheduler.waiting() > 0) {
    const Step& step = scheduler.plan();
    ASSERT_GT(step.rows(), 0);
    rows += step.rows();
    running = std::max(running, scheduler.running());
    ASSERT_NO_FATAL_FAILURE(model.run(step, tokens));
    scheduler.commit();
    for (const LogitsRow& row : std::vector(step.logits)) {
      auto& known = tokens[row.sequence];
      if (known.size() == 120 + kGenerated - 1) {
        scheduler.remove(row.sequence);
        continue;
      }
      known.push_back(50);
      scheduler.append(row.sequence, std::span(known).last(1));
    }
  }
  EXPECT_EQ(running, 8);
  EXPECT_EQ(scheduler.preemptions(), 0);
  // The second begins while the first computes what it could copy.
  EXPECT_LE(rows, 100 + kRows * (20 + kGenerated - 1) + 36);
}

TEST(Scheduler, EverySequenceEndsAndSeesItsOwnTokensAlone) {
  int64_t preempted = 0;
  for (uint32_t seed = 0; seed < 60; ++seed) {
    std::mt19937 random(seed);
    const auto below = [&](uint32_t n) { return static_cast<int>(random() % n); };
    constexpr int kLongest = 330;
    const bool windowed = below(2) == 0;
    const int window = 1 + below(150);
    SchedulerOptions options;
    options.max_batch = 1 + below(8);
    options.max_batch_tokens = 1 + below(200);
    options.share_prefixes = below(4) != 0;
    options.prefill_first = below(3) == 0;
    const int budget = std::max(options.max_batch, options.max_batch_tokens);
    // From what one sequence alone needs to plenty.
    std::vector<PageClassSpec> classes = {{0, 9 + below(30)}};
    if (windowed) classes.push_back({window, (window + budget + 63) / 64 + 2 + below(20)});
    PageCache cache(classes);
    Scheduler scheduler(options, cache);
    FakeModel model(cache);

    std::map<int64_t, std::vector<TokenId>> tokens;
    std::map<int64_t, size_t> ends;
    std::set<int64_t> open;
    // Of sequences that want logits of their prompt: the positions that have given none yet, as [first, end).
    std::map<int64_t, std::pair<int, int>> wanted;
    int64_t next_id = 0;
    int to_add = 14;
    for (int turn = 0; turn < 20000 && (to_add > 0 || !open.empty()); ++turn) {
      if (to_add > 0 && below(3) == 0) {
        SequenceSpec spec;
        const int length = 1 + below(260);
        for (int i = 0; i < length; ++i) spec.prompt.push_back(i % 64 == 63 ? below(2) : i / 64);
        if (below(6) == 0) spec.prompt_logits_from = below(2) == 0 ? 0 : below(static_cast<uint32_t>(length));
        spec.answer_tokens = below(4) == 0 ? below(static_cast<uint32_t>(length)) : 0;
        const auto prompt = spec.prompt;
        if (spec.prompt_logits_from >= 0) wanted[next_id] = {spec.prompt_logits_from, length};
        ++next_id;
        const int64_t id = scheduler.add(std::move(spec));
        tokens[id] = prompt;
        ends[id] = std::min<size_t>(kLongest, prompt.size() + 1 + static_cast<size_t>(below(90)));
        open.insert(id);
        --to_add;
      }
      const Step& step = scheduler.plan();
      if (open.empty()) {
        ASSERT_EQ(step.rows(), 0);
        continue;
      }
      ASSERT_GT(step.rows(), 0) << "seed " << seed;
      ASSERT_LE(step.rows(), budget);
      ASSERT_LE(scheduler.running(), options.max_batch);
      ASSERT_NO_FATAL_FAILURE(model.run(step, tokens)) << "seed " << seed << " turn " << turn;
      scheduler.commit();
      for (const LogitsRow& row : step.logits) {
        const auto next = static_cast<size_t>(step.positions[static_cast<size_t>(row.row)]) + 1;
        if (const auto it = wanted.find(row.sequence); it != wanted.end() && row.full) {
          // Ascending; again from the beginning after a preemption.
          if (static_cast<int>(next) == it->second.first + 1) ++it->second.first;
        }
        if (next < tokens[row.sequence].size()) continue;
        if (next >= ends[row.sequence] || below(150) == 0) {
          if (const auto it = wanted.find(row.sequence); it != wanted.end()) {
            ASSERT_EQ(it->second.first, it->second.second) << "seed " << seed << ": logits of the prompt are missing";
          }
          scheduler.remove(row.sequence);
          open.erase(row.sequence);
        } else {
          std::vector<TokenId> more;
          for (int i = below(8) == 0 ? 1 + below(70) : 1; i > 0; --i) more.push_back(below(2));
          scheduler.append(row.sequence, more);
          tokens[row.sequence].insert(tokens[row.sequence].end(), more.begin(), more.end());
        }
      }
    }
    EXPECT_TRUE(open.empty()) << "seed " << seed;
    EXPECT_EQ(cache.held(0), 0);
    preempted += scheduler.preemptions();
  }
  EXPECT_GT(preempted, 0) << "some of the caches are meant to be scarce";
}

TEST(Scheduler, ASharedPrefixIsComputedOnce) {
  PageCache cache({{0, 100}});
  SchedulerOptions options;
  options.max_batch = 8;
  options.max_batch_tokens = 512;
  Scheduler scheduler(options, cache);
  for (int i = 0; i < 8; ++i) {
    SequenceSpec spec;
    spec.prompt.assign(200, 7);
    spec.prompt.push_back(i);
    scheduler.add(std::move(spec));
  }
  int rows = 0;
  for (int turn = 0; turn < 3; ++turn) {
    rows += scheduler.plan().rows();
    scheduler.commit();
  }
  EXPECT_EQ(rows, 200 + 8);
}

// What an answer's sequence computes is there for one that wants logits of later positions.
TEST(Scheduler, LogitsOfTheEndLeaveTheBeginningShared) {
  PageCache cache({{0, 100}});
  SchedulerOptions options;
  options.max_batch = 8;
  options.max_batch_tokens = 512;
  Scheduler scheduler(options, cache);
  SequenceSpec spec;
  spec.prompt.assign(200, 7);
  scheduler.add(spec);
  spec.prompt.insert(spec.prompt.end(), {1, 2, 3});
  spec.answer_tokens = 3;
  spec.prompt_logits_from = 200;
  const int64_t scored = scheduler.add(spec);
  int rows = 0;
  std::vector<int> positions;
  for (int turn = 0; turn < 3; ++turn) {
    const Step& step = scheduler.plan();
    rows += step.rows();
    for (const LogitsRow& row : step.logits) {
      if (row.sequence == scored) positions.push_back(step.positions[static_cast<size_t>(row.row)]);
    }
    scheduler.commit();
  }
  EXPECT_EQ(rows, 200 + 3);
  EXPECT_EQ(positions, (std::vector<int>{200, 201, 202}));
  EXPECT_EQ(scheduler.prompt_rows(scored), 0) << "the answer's tokens are not counted";
}

// A sequence of a prompt of `tokens` equal tokens that generates `generated` more.
SequenceSpec spec_of(TokenId token, int tokens, int generated, int reused = -1) {
  SequenceSpec spec;
  spec.prompt.assign(static_cast<size_t>(tokens), token);
  spec.expected_tokens = generated;
  spec.reused_tokens = reused;
  return spec;
}

void step(Scheduler& scheduler) {
  const Step& planned = scheduler.plan();
  scheduler.commit();
  for (const LogitsRow& row : planned.logits) {
    const TokenId token = 1;
    scheduler.append(row.sequence, std::span(&token, 1));
  }
}

// Three pages at the end of each; but the second begins when the first is nearly there.
void admits_by_the_peak_to_come(const std::vector<PageClassSpec>& classes) {
  PageCache cache(classes);
  Scheduler scheduler({}, cache);
  const int64_t first = scheduler.add(spec_of(1, 10, 150));
  scheduler.add(spec_of(2, 10, 150));
  step(scheduler);
  EXPECT_EQ(scheduler.running(), 1) << "both would come to three pages at once";
  EXPECT_TRUE(scheduler.out_of_pages());
  int steps = 1;
  for (; scheduler.running() < 2; ++steps) step(scheduler);
  // In the first's last step the second must not need its third page, not even if it were a position ahead of it.
  EXPECT_EQ(10 + (150 - steps), 128 - 1);
  for (; steps < 150; ++steps) step(scheduler);
  scheduler.remove(first);
  for (; steps < 150 + 32; ++steps) step(scheduler);
  EXPECT_EQ(scheduler.preemptions(), 0);
}

TEST(Scheduler, AdmitsByThePeakToCome) { admits_by_the_peak_to_come({{0, 5}}); }
TEST(Scheduler, AdmitsByThePeakToComeInAWindow) { admits_by_the_peak_to_come({{0, 100}, {256, 5}}); }
TEST(Scheduler, AdmitsByThePeakToComeWhereAllIsWindows) { admits_by_the_peak_to_come({{256, 5}}); }

TEST(Scheduler, WhatIsAwaitedCountsAsTakenWhileAnythingRuns) {
  PageCache cache({{0, 6}});
  Scheduler scheduler({}, cache);
  const int64_t first = scheduler.add(spec_of(1, 200, 1, 192));  // leaves three pages for others to come
  step(scheduler);
  scheduler.remove(first);
  ASSERT_EQ(cache.awaited(), 3);
  const int64_t second = scheduler.add(spec_of(2, 100, 10));
  const int64_t third = scheduler.add(spec_of(3, 100, 10));
  step(scheduler);
  EXPECT_EQ(scheduler.running(), 1);
  EXPECT_EQ(cache.awaited(), 3);
  scheduler.remove(second);
  step(scheduler);
  EXPECT_EQ(scheduler.running(), 1);
  scheduler.remove(third);
  // Whom nothing runs beside is not kept waiting.
  scheduler.add(spec_of(4, 300, 10));
  step(scheduler);
  EXPECT_EQ(scheduler.running(), 1);
  EXPECT_EQ(scheduler.preemptions(), 0);
}

// While the second's prompt is computed, a token or two a step, the first gets ahead of what was planned and has to
// wait. When the second has ended there is room for the third; but first the oldest goes on.
TEST(Scheduler, WhatTheOldestIsOwedIsPaidBeforeOthersBegin) {
  PageCache cache({{0, 10}});
  SchedulerOptions options;
  options.max_batch = 2;
  options.max_batch_tokens = 2;
  Scheduler scheduler(options, cache);
  const int64_t oldest = scheduler.add(spec_of(1, 1, 400));
  const int64_t second = scheduler.add(spec_of(2, 440, 1));
  const int64_t third = scheduler.add(spec_of(3, 10, 1));
  int64_t debt = 0;
  int64_t debt_at_end = 0;
  bool has_begun = false;
  for (int generated = 0; !has_begun && generated < 400;) {
    const int64_t debt_before = debt;
    const Step& planned = scheduler.plan();
    scheduler.commit();
    ++debt;
    for (const auto& run : planned.runs) {
      if (run.sequence == oldest) debt = std::max<int64_t>(0, debt - 2);
      has_begun = has_begun || run.sequence == third;
    }
    if (has_begun) {
      EXPECT_EQ(debt_before, Scheduler::kPatience - 1) << "no later, either";
    }
    for (const LogitsRow& row : planned.logits) {
      const TokenId token = 1;
      if (row.sequence == second) debt_at_end = debt;
      if (row.sequence == oldest) ++generated;
      row.sequence == oldest ? scheduler.append(oldest, std::span(&token, 1)) : scheduler.remove(row.sequence);
    }
  }
  EXPECT_TRUE(has_begun);
  EXPECT_GT(debt_at_end, Scheduler::kPatience);
  EXPECT_EQ(scheduler.preemptions(), 0);
}

// A token was chosen after the prompt's end already: computing it again must not choose another.
TEST(Scheduler, TheEndOfAScoredPromptLeadsToOneTokenEvenIfComputedAgain) {
  PageCache cache({{0, 4}});
  Scheduler scheduler({}, cache);
  const int64_t older = scheduler.add(spec_of(1, 60, 0));
  SequenceSpec spec = spec_of(2, 60, 0);
  spec.prompt_logits_from = 0;
  const int64_t scored = scheduler.add(spec);
  int ends = 0;
  int beginnings = 0;
  for (int turn = 0; turn < 300 && beginnings < 2; ++turn) {
    const Step& planned = scheduler.plan();
    scheduler.commit();
    bool enough = false;
    for (const LogitsRow& row : planned.logits) {
      const int position = planned.positions[static_cast<size_t>(row.row)];
      if (row.sequence == scored) beginnings += position == 0 ? 1 : 0;
      if (row.sequence == scored) ends += position == 59 ? 1 : 0;
      const TokenId token = 1;
      if (row.sequence == scored && position < 59) continue;
      enough = enough || (row.sequence == older && position > 140);
      scheduler.append(row.sequence, std::span(&token, 1));
    }
    if (enough) scheduler.remove(older);
  }
  EXPECT_EQ(scheduler.preemptions(), 1);
  EXPECT_EQ(beginnings, 2);
  EXPECT_EQ(ends, 1);
}

}  // namespace
}  // namespace batchwright

#include "job/time_left.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <deque>
#include <utility>
#include <vector>

#include "base/random.h"
#include "job/work_ahead.h"

namespace batchwright {
namespace {

double uniform(SplitMix64& random) { return static_cast<double>(random.next() >> 11) * 0x1p-53; }

struct TestRow {
  int prompt;      // tokens,
  int compute;     // of which so many are not in the pages of rows before it
  int answer;      // tokens that it will turn out to generate,
  int answer_max;  // and may
  bool wrong = false;
};

// What steps of the machine of these tests cost, but that it turned out to be half as fast as when it was measured.
CostModel machine() {
  CostModel model;
  model.shape.classes = {{0, 1}};
  model.fixed_seconds = 0.002;
  model.layers = CostCurve({{1, 0.006}, {48, 0.006}, {512, 0.064}});
  model.pair_seconds = 5e-8;
  return model;
}

// Steps of a job as the scheduler makes them, at what steps of a machine cost that reads weights, multiplies and pays
// for attention.
class Steps {
 public:
  Steps(std::vector<TestRow> rows, int max_batch, int budget)
      : rows_(std::move(rows)), max_batch_(max_batch), budget_(budget) {}

  bool is_planned = true;
  double copies = 1;  // of the tokens that are to be computed, so many are
  double noise = 0;
  bool has_model = true;

  // Runs all; what was said once a share of the rows had ended, against what then happened.
  double relative_error_after(double share) {
    TimeLeft time(static_cast<int64_t>(rows_.size()), max_batch_);
    WorkAhead ahead;
    for (const TestRow& row : rows_) ahead.add(load(row));
    if (is_planned) time.plan(ahead.segments());
    double said = -1;
    double said_at = 0;
    while (ended_ < rows_.size()) {
      submit(time);
      step(time);
      if (said < 0 && static_cast<double>(ended_) >= share * static_cast<double>(rows_.size())) {
        said = time.seconds();
        said_at = clock_;
      }
    }
    EXPECT_GE(said, 0);
    EXPECT_NEAR(time.seconds(), 0, 1e-9);
    return said / (clock_ - said_at) - 1;
  }

 private:
  struct Active {
    uint64_t id;
    TestRow row;
    double prompt_left;
    int generated = 0;
  };

  static RowLoad load(const TestRow& row) {
    return row.wrong ? RowLoad() : RowLoad{row.compute, row.prompt, row.answer_max, 1};
  }

  void submit(TimeLeft& time) {
    while (next_ < rows_.size() && static_cast<int>(active_.size()) < 2 * max_batch_) {
      const TestRow& row = rows_[next_++];
      if (row.wrong) {
        time.begin_wrong();
        ++ended_;
        continue;
      }
      // Of a row alone nobody knows what it has in common with others; the plan does.
      time.begin(next_, is_planned ? RowLoad{row.prompt, row.prompt, row.answer_max, 1} : load(row));
      active_.push_back({next_, row, std::max(1.0, std::round(row.compute * copies))});
    }
  }

  void step(TimeLeft& time) {
    StepRecord record;
    record.token_budget = budget_;
    const int could_run = std::min(static_cast<int>(active_.size()), max_batch_);
    double squares = 0;
    int room = budget_;
    for (int pass = 0; pass < 2; ++pass) {
      for (int i = 0; i < could_run; ++i) {
        Active& a = active_[static_cast<size_t>(i)];
        if (pass == 0 && a.generated > 0) {
          record.sequences_running = i + 1;
          ++record.decode_tokens;
          record.decode_positions += a.row.prompt + a.generated;
          ++record.generated_tokens;
          ++a.generated;
          --room;
        } else if (pass == 1 && a.generated == 0 && room > 0) {
          record.sequences_running = i + 1;
          const int tokens = std::min(room, static_cast<int>(a.prompt_left));
          record.prompt_tokens_computed += tokens;
          record.prompt_positions += std::llround(tokens * (a.row.prompt - a.prompt_left + tokens / 2.0));
          squares += double{1} * tokens * tokens;
          room -= tokens;
          a.prompt_left -= tokens;
          if (a.prompt_left > 0) continue;
          a.generated = 1;
          ++record.generated_tokens;
        }
      }
    }
    record.sequences_waiting = static_cast<int>(active_.size()) - record.sequences_running;
    record.step = ++steps_;
    if (squares > 0) record.prompt_run_tokens = squares / record.prompt_tokens_computed;
    const auto positions = static_cast<double>(record.prompt_positions + record.decode_positions);
    const double tokens = record.tokens();
    record.seconds = 0.004 + std::max(0.012, 0.00025 * tokens) + positions * 1e-7;
    record.seconds *= 1 + noise * (uniform(random_) - 0.5);
    clock_ += record.seconds * 1.02;
    time.stepped(record, StepLimit::kNothing, has_model ? &model_ : nullptr, clock_);
    for (size_t i = 0; i < active_.size();) {
      const Active& a = active_[i];
      if (a.generated == 0 || a.generated < a.row.answer) {
        ++i;
        continue;
      }
      time.end(a.id, std::vector<int>{a.generated});
      active_.erase(active_.begin() + static_cast<ptrdiff_t>(i));
      ++ended_;
    }
  }

  const std::vector<TestRow> rows_;
  const int max_batch_;
  const int budget_;
  std::deque<Active> active_;
  size_t next_ = 0;
  size_t ended_ = 0;
  int64_t steps_ = 0;
  double clock_ = 5;
  SplitMix64 random_{7};
  const CostModel model_ = machine();
};

std::vector<TestRow> repeated(int count, const TestRow& row) {
  return std::vector<TestRow>(static_cast<size_t>(count), row);
}

// Documents with questions: the first question computes its document.
std::vector<TestRow> documents() {
  std::vector<TestRow> rows;
  for (int i = 0; i < 256; ++i) rows.push_back({1100, i % 8 == 0 ? 1100 : 40, 32, 32});
  return rows;
}

// What is mostly answer goes first, what is mostly prompt last.
std::vector<TestRow> mixed() {
  std::vector<TestRow> rows = repeated(128, {60, 60, 256, 256});
  const std::vector<TestRow> prompts = repeated(128, {1500, 1500, 8, 8});
  rows.insert(rows.end(), prompts.begin(), prompts.end());
  return rows;
}

TEST(TimeLeftTest, Documents) {
  EXPECT_NEAR(Steps(documents(), 64, 512).relative_error_after(0.05), 0, 0.1);
  Steps noisy(documents(), 64, 512);
  noisy.noise = 0.3;
  EXPECT_NEAR(noisy.relative_error_after(0.05), 0, 0.1);
}

TEST(TimeLeftTest, CopiesComputeLess) {
  Steps steps(documents(), 64, 512);
  steps.copies = 0.7;
  EXPECT_NEAR(steps.relative_error_after(0.2), 0, 0.1);
}

TEST(TimeLeftTest, LongAnswersFirst) { EXPECT_NEAR(Steps(mixed(), 64, 512).relative_error_after(0.05), 0, 0.1); }

// Two rates are learned from the steps. What the attention of longer prompts will cost is not known then.
TEST(TimeLeftTest, WithoutACostModel) {
  Steps same(documents(), 64, 512);
  same.has_model = false;
  EXPECT_NEAR(same.relative_error_after(0.05), 0, 0.1);
  Steps longer(mixed(), 64, 512);
  longer.has_model = false;
  EXPECT_NEAR(longer.relative_error_after(0.05), 0, 0.25);
}

TEST(TimeLeftTest, ShortAnswersToSharedPrompts) {
  std::vector<TestRow> rows = repeated(512, {520, 60, 6, 8});
  rows[0].compute = 520;
  EXPECT_NEAR(Steps(rows, 64, 512).relative_error_after(0.05), 0, 0.1);
}

// What is computed of the prompt sees little of it at first.
TEST(TimeLeftTest, ALongPromptCostsMoreTheFurtherItIs) {
  std::vector<TestRow> rows = repeated(64, {16400, 16, 33, 33});
  rows[0].compute = 16400;
  EXPECT_NEAR(Steps(rows, 64, 512).relative_error_after(0.0), 0, 0.1);
}

// The last wave is not full, and the last rows run alone.
TEST(TimeLeftTest, WavesAndTails) {
  EXPECT_NEAR(Steps(repeated(100, {30, 30, 400, 400}), 64, 512).relative_error_after(0.05), 0, 0.1);
  EXPECT_NEAR(Steps(repeated(20, {30, 30, 200, 200}), 64, 512).relative_error_after(0.0), 0, 0.1);
  std::vector<TestRow> rows = repeated(200, {30, 30, 20, 20});
  rows.insert(rows.begin(), {30, 30, 1500, 1500});
  EXPECT_NEAR(Steps(rows, 64, 512).relative_error_after(0.05), 0, 0.1);
}

TEST(TimeLeftTest, WithoutAPlanRowsAreLikeThoseThatBegan) {
  Steps steps(documents(), 64, 512);
  steps.is_planned = false;
  EXPECT_NEAR(steps.relative_error_after(0.05), 0, 0.15);
}

TEST(TimeLeftTest, WrongRowsTakeNoTime) {
  std::vector<TestRow> rows = repeated(40, {1, 1, 1, 1, true});
  const std::vector<TestRow> more = documents();
  rows.insert(rows.end(), more.begin(), more.end());
  EXPECT_NEAR(Steps(rows, 64, 512).relative_error_after(0.2), 0, 0.1);
}

double power_law(SplitMix64& random, double least, double power) {
  return least * std::pow(1 - uniform(random), -1 / power);
}

double log_normal(SplitMix64& random, double median, double deviation) {
  const double radius = std::sqrt(-2 * std::log(1 - uniform(random)));
  return median * std::exp(deviation * radius * std::cos(6.283185307179586 * uniform(random)));
}

// Answers that end by themselves, or at 1024 tokens. That those which end first are short does not count, and how
// likely the longest are, of which none may have been seen yet, is told from the others.
TEST(TimeLeftTest, FreeAnswers) {
  const std::vector<std::pair<const char*, double (*)(SplitMix64&)>> laws = {
      {"power law 1.1", [](SplitMix64& random) { return power_law(random, 24, 1.1); }},
      {"power law 1.6", [](SplitMix64& random) { return power_law(random, 12, 1.6); }},
      {"log-normal 0.4", [](SplitMix64& random) { return log_normal(random, 200, 0.4); }},
      {"log-normal 0.7", [](SplitMix64& random) { return log_normal(random, 110, 0.7); }},
      {"log-normal 1", [](SplitMix64& random) { return log_normal(random, 60, 1); }},
      {"exponential", [](SplitMix64& random) { return -100 * std::log(1 - uniform(random)); }},
      {"uniform", [](SplitMix64& random) { return 200 * uniform(random); }},
  };
  for (const auto& [name, law] : laws) {
    double sum_few = 0;
    double sum_many = 0;
    for (uint64_t seed = 1; seed <= 8; ++seed) {
      SplitMix64 random{seed};
      std::vector<TestRow> rows;
      for (int i = 0; i < 4000; ++i) {
        rows.push_back({80, 80, std::clamp(static_cast<int>(law(random)), 1, 1024), 1024});
      }
      const double after_200 = Steps(rows, 64, 512).relative_error_after(0.05);
      EXPECT_NEAR(after_200, 0, 0.25) << name << ", seed " << seed;
      EXPECT_NEAR(Steps(rows, 64, 512).relative_error_after(0.5), 0, 0.15) << name << ", seed " << seed;
      sum_many += after_200;
      rows.resize(512);
      sum_few += Steps(rows, 64, 512).relative_error_after(0.25);
    }
    EXPECT_NEAR(sum_many / 8, 0, 0.06) << name;
    EXPECT_NEAR(sum_few / 8, 0, 0.15) << name;
  }
}

TEST(TimeLeftTest, NothingIsSaidAtFirst) {
  TimeLeft time(10, 4);
  EXPECT_LT(time.seconds(), 0);
  time.begin(1, {100, 100, 10, 1});
  EXPECT_LT(time.seconds(), 0);
}

TEST(WorkAheadTest, SegmentsKeepTheSumsOfManyRows) {
  WorkAhead ahead;
  WorkSegment sum;
  for (int i = 0; i < 5000; ++i) {
    ahead.add({i, 10, 20, i % 3});
    sum += {1, i % 3, i, 10 * (i % 3), 20 * (i % 3)};
  }
  EXPECT_LE(ahead.segments().size(), WorkAhead::kSegmentsMax);
  EXPECT_GT(ahead.segments().size(), WorkAhead::kSegmentsMax / 2);
  WorkSegment found;
  for (const WorkSegment& segment : ahead.segments()) found += segment;
  EXPECT_EQ(found, sum);
}

}  // namespace
}  // namespace batchwright

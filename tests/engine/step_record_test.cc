// What the engine says of its steps: the records add up to the statistics and to what the requests asked for.

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "batchwright/engine.h"

namespace batchwright {
namespace {

constexpr int kPrompt = 150;
constexpr int kCommon = 128;  // two pages
constexpr int kAnswer = 6;

Request request(uint64_t id, int choices) {
  Request r;
  r.id = id;
  for (int i = 0; i < kPrompt; ++i) r.prompt.push_back(30 + (i < kCommon ? i % 50 : static_cast<int>(id) + i % 20));
  r.n = choices;
  r.max_tokens = kAnswer;
  r.sampling.seed = id;
  r.ignore_eos = true;
  return r;
}

struct Sum {
  int64_t decode = 0;
  int64_t computed = 0;
  int64_t prompt = 0;
  int64_t shared = 0;
  int64_t generated = 0;
  int64_t preemptions = 0;
  double filled = 0;
};

class StepRecords : public testing::Test {
 protected:
  void load(size_t kv_memory_bytes) {
    EngineOptions options;
    options.threads = 1;
    options.context_length = 192;
    options.max_batch = 8;
    options.max_batch_tokens = 64;
    options.kv_memory_bytes = kv_memory_bytes;
    auto loaded = Engine::load(std::string(BATCHWRIGHT_TINY_MODELS) + "/tiny-qwen2-f32.gguf", options);
    ASSERT_TRUE(loaded.ok()) << loaded.status().message();
    engine = std::move(*loaded);
  }

  // Runs all that was submitted, looking at every step.
  void run() {
    while (engine->active() > 0) {
      const StepRecord before = engine->last_step();
      const auto done = engine->step();
      ASSERT_TRUE(done.ok());
      const StepRecord now = engine->last_step();
      const EngineStats stats = engine->stats();
      ASSERT_EQ(now.step, before.step + 1);
      ASSERT_EQ(now.step, stats.steps);
      ASSERT_GE(now.begin_seconds, before.begin_seconds + before.seconds);
      ASSERT_NEAR(now.seconds, now.seconds_plan + now.seconds_forward + now.seconds_hand_on, 1e-9);
      ASSERT_GT(now.seconds_forward, 0);
      ASSERT_EQ(now.token_budget, 64);
      ASSERT_GE(now.tokens(), 1);
      ASSERT_LE(now.tokens(), now.token_budget);
      ASSERT_LE(now.logits_rows, now.tokens());
      ASSERT_GE(now.sequences_running, 1);
      ASSERT_LE(now.sequences_running, 8);
      ASSERT_GE(now.kv_pages_used, 1);
      ASSERT_LE(now.kv_pages_used, now.kv_pages_total);
      ASSERT_LE(now.kv_bytes_used, now.kv_bytes_total);
      ASSERT_EQ(now.kv_bytes_used * static_cast<size_t>(now.kv_pages_total),
                now.kv_bytes_total * static_cast<size_t>(now.kv_pages_used));  // pages of one size
      sum.decode += now.decode_tokens;
      sum.computed += now.prompt_tokens_computed;
      sum.prompt += now.prompt_tokens;
      sum.shared += now.prompt_tokens_shared;
      sum.generated += now.generated_tokens;
      sum.preemptions += now.preemptions;
      sum.filled += static_cast<double>(now.tokens()) / now.token_budget;
    }
    const EngineStats stats = engine->stats();
    EXPECT_EQ(sum.computed, stats.prompt_tokens_computed);
    EXPECT_EQ(sum.prompt, stats.prompt_tokens);
    EXPECT_EQ(sum.generated, stats.generated_tokens);
    EXPECT_EQ(sum.preemptions, stats.preemptions);
    EXPECT_NEAR(sum.filled, stats.steps_filled, 1e-9);
  }

  std::unique_ptr<Engine> engine;
  Sum sum;
};

TEST_F(StepRecords, NoneBeforeTheFirstStep) {
  load(size_t{32} << 20);
  EXPECT_EQ(engine->last_step().step, 0);
  // An answer that needs no step has none.
  Request r = request(1, 1);
  r.max_tokens = 0;
  engine->submit(std::move(r));
  ASSERT_TRUE(engine->step().ok());
  EXPECT_EQ(engine->last_step().step, 0);
}

TEST_F(StepRecords, AddUpToWhatTheRequestsAskedFor) {
  load(size_t{32} << 20);
  for (uint64_t id = 1; id <= 12; ++id) engine->submit(request(id, id % 3 == 0 ? 2 : 1));
  run();
  EXPECT_EQ(sum.prompt, 16 * kPrompt);
  EXPECT_EQ(sum.generated, 16 * kAnswer);
  // The first token comes with the prompt's last position.
  EXPECT_EQ(sum.decode, 16 * (kAnswer - 1));
  EXPECT_EQ(sum.preemptions, 0);
  EXPECT_EQ(sum.computed + sum.shared, sum.prompt);
  // The common pages once, the rest of each prompt by each request; of second choices the last token at least, and all
  // that was not there to be copied when they began.
  EXPECT_GE(sum.computed, kCommon + 12 * (kPrompt - kCommon) + 4);
  EXPECT_LT(sum.computed, kCommon + 16 * (kPrompt - kCommon));
}

TEST_F(StepRecords, WhatIsComputedAgainCountsAsComputedAlone) {
  load(size_t{32} << 20);
  const EngineStats plenty = engine->stats();
  // Room for the prompts of all, not for their answers.
  load(5 * plenty.kv_memory_bytes / static_cast<size_t>(plenty.kv_pages_total));
  constexpr int kRequests = 4;
  constexpr int kShortPrompt = kPrompt - kCommon;  // with nothing in common
  for (uint64_t id = 1; id <= kRequests; ++id) {
    Request r = request(id, 1);
    r.prompt.erase(r.prompt.begin(), r.prompt.end() - kShortPrompt);
    r.max_tokens = 100;
    r.expected_tokens = 0;
    engine->submit(std::move(r));
  }
  run();
  EXPECT_GT(sum.preemptions, 0);
  EXPECT_EQ(sum.prompt, kRequests * kShortPrompt);
  EXPECT_EQ(sum.shared, 0);
  EXPECT_GT(sum.computed, sum.prompt);
  EXPECT_EQ(sum.generated, kRequests * 100);
  EXPECT_GT(sum.decode, kRequests * 99);
}

}  // namespace
}  // namespace batchwright

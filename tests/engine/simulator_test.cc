// A job in the simulator takes the very steps that it takes in the engine.
#include "plan/simulator.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/random.h"
#include "batchwright/engine.h"
#include "schedule/answer_lengths.h"

namespace batchwright {
namespace {

constexpr int kContext = 512;
constexpr TokenId kFirstToken = 30;
constexpr int kTokens = 60;
constexpr int kAhead = 10;

struct Job {
  std::vector<Request> requests;
  std::vector<SimulatedRow> rows;
};

// Prompts that begin like those before them; answers that end when they like, by stop tokens.
Job make_job(uint64_t seed, bool with_choices) {
  SplitMix64 random(seed);
  Job job;
  std::vector<TokenId> last;
  for (uint64_t id = 1; id <= 100; ++id) {
    SimulatedRow row;
    Request request;
    request.id = id;
    row.is_shared = random.below(8) != 0;
    row.prompt_tokens = 2 + static_cast<uint32_t>(random.below(250));
    const uint64_t common = row.is_shared && random.below(3) != 0 ? random.below(200) : 0;
    row.common_tokens = static_cast<uint32_t>(std::min<uint64_t>({common, last.size(), row.prompt_tokens}));
    request.prompt.assign(last.begin(), last.begin() + row.common_tokens);
    while (request.prompt.size() < row.prompt_tokens) {
      TokenId token = kFirstToken + static_cast<TokenId>(random.below(kTokens));
      const size_t at = request.prompt.size();
      if (at == row.common_tokens && at < last.size() && token == last[at]) token = kFirstToken + kTokens;
      request.prompt.push_back(token);
    }
    request.prompt_logprobs = !row.is_shared;
    if (request.prompt_logprobs) request.top_logprobs = 0;
    if (row.is_shared) {
      last = request.prompt;
      if (!job.rows.empty()) {
        // The last one of those that share.
        for (size_t i = job.rows.size(); i-- > 0;) {
          if (!job.rows[i].is_shared) continue;
          job.rows[i].reused_tokens = row.common_tokens;
          break;
        }
      }
    }
    request.max_tokens = 1 + static_cast<int>(random.below(150));
    if (with_choices && random.below(4) == 0) {
      request.n = 1 + static_cast<int>(random.below(3));
      request.ignore_eos = true;
    } else {
      for (TokenId token = 0; token < 8; ++token) request.stop_token_ids.push_back(kFirstToken + token);
    }
    request.sampling.seed = seed;
    row.choices = static_cast<uint16_t>(request.n);
    row.max_tokens = static_cast<uint32_t>(request.max_tokens);
    row.group = answer_group(request);
    row.full_logits = true;
    job.requests.push_back(std::move(request));
    job.rows.push_back(row);
  }
  for (size_t i = 0; i < job.rows.size(); ++i) {
    job.requests[i].reused_tokens = static_cast<int>(job.rows[i].reused_tokens);
  }
  return job;
}

struct Truth {
  EngineStats stats;
  size_t kv_bytes_max = 0;
  double running = 0;
};

// As job/step_loop.cc does it. Tells the rows how long their answers came out.
Truth run(Engine& engine, Job& job, bool by_prompt) {
  Truth truth;
  AnswerLengths lengths;
  size_t next = 0;
  while (next < job.requests.size() || engine.active() > 0) {
    for (; next < job.requests.size() && engine.active() < kAhead; ++next) {
      Request& request = job.requests[next];
      request.expected_beyond = [&lengths, &request, group = job.rows[next].group](int generated) {
        return lengths.expected(group, request.max_tokens, request.id, generated);
      };
      request.expected_tokens = by_prompt ? 0 : request.expected_beyond(0);
      engine.submit(request);
    }
    auto done = engine.step();
    EXPECT_TRUE(done.ok());
    const StepRecord record = engine.last_step();
    truth.kv_bytes_max = std::max(truth.kv_bytes_max, record.kv_bytes_used);
    truth.running += record.sequences_running;
    for (const Completion& completion : *done) {
      EXPECT_TRUE(completion.status.ok()) << completion.status.message();
      SimulatedRow& row = job.rows[completion.id - 1];
      for (const Choice& choice : completion.choices) {
        lengths.record(row.group, choice.generated_tokens);
        row.answer_tokens = row.answer_runs = static_cast<uint32_t>(choice.generated_tokens);
      }
    }
  }
  truth.stats = engine.stats();
  return truth;
}

void compare(uint64_t seed, int pages, bool with_choices, bool by_prompt, int64_t& preemptions) {
  SCOPED_TRACE(testing::Message() << "seed " << seed << ", " << pages << " pages");
  EngineOptions options;
  options.threads = 1;
  options.context_length = kContext;
  options.max_batch = 6;
  options.max_batch_tokens = 64;
  options.kv_memory_bytes = size_t{1} << 26;
  const std::string path = std::string(BATCHWRIGHT_TINY_MODELS) + "/tiny-qwen2-f32.gguf";
  {
    auto sized = Engine::load(path, options);
    ASSERT_TRUE(sized.ok()) << sized.status().message();
    const EngineStats stats = (*sized)->stats();
    options.kv_memory_bytes =
        static_cast<size_t>(pages) * (stats.kv_memory_bytes / static_cast<size_t>(stats.kv_pages_total));
  }
  auto engine = Engine::load(path, options);
  ASSERT_TRUE(engine.ok()) << engine.status().message();
  ASSERT_EQ((*engine)->stats().kv_pages_total, pages);
  Job job = make_job(seed, with_choices);
  const Truth truth = run(**engine, job, by_prompt);

  SimulationOptions simulation;
  simulation.max_batch = options.max_batch;
  simulation.max_batch_tokens = options.max_batch_tokens;
  simulation.requests_ahead = kAhead;
  simulation.page_classes = {{0, pages}};
  simulation.page_bytes = {options.kv_memory_bytes / static_cast<size_t>(pages)};
  simulation.admission = by_prompt ? Admission::kPromptOnly : Admission::kPastFuture;
  CostModel model;
  model.shape.classes = {{}};
  model.fixed_seconds = 1;
  const SimulationResult simulated = simulate(job.rows, simulation, model);
  EXPECT_EQ(simulated.steps, truth.stats.steps);
  EXPECT_EQ(simulated.prompt_tokens, truth.stats.prompt_tokens);
  EXPECT_EQ(simulated.prompt_tokens_computed, truth.stats.prompt_tokens_computed);
  EXPECT_EQ(simulated.generated_tokens, truth.stats.generated_tokens);
  EXPECT_EQ(simulated.preemptions, truth.stats.preemptions);
  EXPECT_EQ(simulated.kv_bytes_held_max, truth.kv_bytes_max);
  EXPECT_DOUBLE_EQ(simulated.mean_batch * static_cast<double>(simulated.steps), truth.running);
  // Choices that really begin alike share a few tokens, which made-up ones do not, where they are computed again.
  const double filled = truth.stats.steps_filled;
  EXPECT_NEAR(simulated.mean_fill * static_cast<double>(simulated.steps), filled, with_choices ? 1e-3 * filled : 1e-6);
  preemptions += truth.stats.preemptions;
}

TEST(Simulator, TakesTheStepsOfTheEngine) {
  int64_t preemptions = 0;
  for (uint64_t seed = 1; seed <= 4; ++seed) {
    for (const int pages : {200, 20, 8}) compare(seed, pages, seed % 2 == 0, seed > 2, preemptions);
  }
  EXPECT_GT(preemptions, 0) << "some are meant to be scarce of memory";
}

}  // namespace
}  // namespace batchwright

// What the engine makes of single requests: limits, refusals, ends.

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "batchwright/engine.h"
#include "text/vocabulary.h"

namespace batchwright {
namespace {

class Requests : public testing::Test {
 protected:
  void SetUp() override {
    EngineOptions options;
    options.threads = 1;
    options.context_length = 128;
    options.kv_memory_bytes = size_t{32} << 20;
    auto loaded = Engine::load(std::string(BATCHWRIGHT_TINY_MODELS) + "/tiny-qwen2-f32.gguf", options);
    ASSERT_TRUE(loaded.ok()) << loaded.status().message();
    engine = std::move(*loaded);
  }

  static Request request(size_t length = 10) {
    Request r;
    r.id = 7;
    for (size_t i = 0; i < length; ++i) r.prompt.push_back(static_cast<TokenId>(30 + i % 50));
    r.sampling.temperature = 0;
    r.max_tokens = 8;
    r.ignore_eos = true;
    return r;
  }

  Completion run(Request r) {
    engine->submit(std::move(r));
    std::vector<Completion> all;
    while (engine->active() > 0) {
      auto done = engine->step();
      EXPECT_TRUE(done.ok());
      for (Completion& c : *done) all.push_back(std::move(c));
    }
    EXPECT_EQ(all.size(), 1U);
    return std::move(all.at(0));
  }

  void expect_refused(Request r, const std::string& part) {
    const Completion c = run(std::move(r));
    EXPECT_EQ(c.status.code(), StatusCode::kInvalidArgument);
    EXPECT_NE(c.status.message().find(part), std::string::npos) << c.status.message();
    EXPECT_TRUE(c.choices.empty());
  }

  std::unique_ptr<Engine> engine;
};

TEST_F(Requests, GeneratesWhatWasAskedFor) {
  const Completion c = run(request());
  ASSERT_TRUE(c.status.ok()) << c.status.message();
  ASSERT_EQ(c.choices.size(), 1U);
  EXPECT_EQ(c.choices[0].tokens.size(), 8U);
  EXPECT_EQ(c.choices[0].finish_reason, FinishReason::kLength);
  EXPECT_EQ(c.prompt_tokens, 10);
  EXPECT_EQ(c.prompt_tokens_computed, 10);
}

TEST_F(Requests, EndsWhereTheContextIsFull) {
  Request r = request(120);
  r.max_tokens = 1000;
  const Completion c = run(std::move(r));
  ASSERT_TRUE(c.status.ok());
  EXPECT_EQ(c.choices[0].tokens.size(), 8U);
  EXPECT_EQ(c.choices[0].finish_reason, FinishReason::kLength);
}

TEST_F(Requests, RefusalsNameFieldValueAndLimit) {
  Request r = request(128);
  expect_refused(r, "the prompt has 128 tokens; the context of 128 leaves room for at most 127");
  r = request();
  r.prompt.clear();
  expect_refused(r, "prompt is empty");
  r = request();
  r.prompt[3] = 1 << 30;
  expect_refused(r, "prompt holds the token 1073741824");
  r = request();
  r.n = 0;
  expect_refused(r, "n is 0");
  r = request();
  r.max_tokens = -1;
  expect_refused(r, "max_tokens is -1");
  r = request();
  r.sampling.top_p = 2;
  expect_refused(r, "top_p");
  r = request();
  r.stop_token_ids = {-5};
  expect_refused(r, "stop_token_ids holds -5");
}

TEST_F(Requests, AnIdIsInUseUntilItsRequestEnds) {
  engine->submit(request());
  engine->submit(request());
  auto refused = engine->step();
  ASSERT_TRUE(refused.ok());
  ASSERT_EQ(refused->size(), 1U);
  EXPECT_NE(refused->at(0).status.message().find("in use"), std::string::npos);
  while (engine->active() > 0) ASSERT_TRUE(engine->step().ok());
  EXPECT_TRUE(run(request()).status.ok());
}

TEST_F(Requests, StopsAtTokensAndStrings) {
  const Completion free = run(request());
  const auto& tokens = free.choices[0].tokens;
  Request r = request();
  r.stop_token_ids = {tokens[4]};
  const Completion by_token = run(r);
  const size_t first = static_cast<size_t>(std::find(tokens.begin(), tokens.end(), tokens[4]) - tokens.begin());
  EXPECT_EQ(by_token.choices[0].tokens.size(), first);
  EXPECT_EQ(by_token.choices[0].finish_reason, FinishReason::kStop);
  EXPECT_EQ(by_token.choices[0].generated_tokens, static_cast<int>(first) + 1);

  const std::string& text = free.choices[0].text;
  ASSERT_GT(text.size(), 4U);
  r = request();
  r.stop_strings = {text.substr(2, 2)};
  const Completion by_string = run(r);
  EXPECT_EQ(by_string.choices[0].text, text.substr(0, text.find(text.substr(2, 2))));
  EXPECT_EQ(by_string.choices[0].finish_reason, FinishReason::kStop);
}

TEST_F(Requests, ZeroTokensGiveAnEmptyChoice) {
  Request r = request();
  r.max_tokens = 0;
  const Completion c = run(r);
  ASSERT_TRUE(c.status.ok());
  EXPECT_EQ(c.choices[0].text, "");
  r.prompt_logprobs = true;
  const Completion scored = run(r);
  ASSERT_EQ(scored.prompt_logprobs.size(), 10U);
  EXPECT_LT(scored.prompt_logprobs[1].chosen.logprob, 0.0F);
  EXPECT_EQ(scored.choices.size(), 1U);
}

TEST_F(Requests, ChoicesDrawApartAndShareThePrompt) {
  Request r = request(100);
  r.n = 4;
  r.sampling.temperature = 1.5F;
  const Completion c = run(r);
  ASSERT_EQ(c.choices.size(), 4U);
  EXPECT_NE(c.choices[0].tokens, c.choices[1].tokens);
  EXPECT_LT(c.prompt_tokens_computed, 400);
}

TEST_F(Requests, CancelledOnesVanishWithTheirPages) {
  engine->submit(request(100));
  ASSERT_TRUE(engine->step().ok());
  engine->cancel(7);
  EXPECT_EQ(engine->active(), 0);
  auto done = engine->step();
  ASSERT_TRUE(done.ok());
  EXPECT_TRUE(done->empty());
  EXPECT_EQ(engine->stats().kv_pages_used, 0);
  EXPECT_TRUE(run(request()).status.ok());
}

}  // namespace
}  // namespace batchwright

// Answers out of a list: always one of them, drawn as documented, with the probabilities of whole strings.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "batchwright/engine.h"
#include "kernels/math/math.h"
#include "text/tokenizer.h"
#include "text/vocabulary.h"

namespace batchwright {
namespace {

using Tokens = std::vector<TokenId>;

class AllowedAnswersTest : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    EngineOptions options;
    options.threads = 2;
    options.context_length = 256;
    options.max_batch = 8;
    options.kv_memory_bytes = size_t{64} << 20;
    auto loaded = Engine::load(std::string(BATCHWRIGHT_TINY_MODELS) + "/" + GetParam() + ".gguf", options);
    ASSERT_TRUE(loaded.ok()) << loaded.status().message();
    engine = std::move(*loaded);
    const Vocabulary& vocabulary = engine->vocabulary();
    for (TokenId id = 0; id < vocabulary.size(); ++id) {
      if (vocabulary.type(id) == TokenType::kNormal && !vocabulary.is_end_of_generation(id)) plain.push_back(id);
    }
  }

  std::shared_ptr<const AllowedAnswers> strings(const std::vector<std::string>& texts) const {
    AllowedAnswers answers;
    for (const std::string& text : texts) answers.push_back({text, engine->tokenizer().encode(text)});
    return std::make_shared<const AllowedAnswers>(std::move(answers));
  }

  static std::shared_ptr<const AllowedAnswers> tokens(const std::vector<Tokens>& all) {
    AllowedAnswers answers;
    for (const Tokens& one : all) answers.push_back({"answer " + std::to_string(answers.size()), one});
    return std::make_shared<const AllowedAnswers>(std::move(answers));
  }

  // Of few tokens, so that many are beginnings of others.
  std::shared_ptr<const AllowedAnswers> random_answers() {
    std::set<Tokens> all;
    const size_t count = 1 + random() % 12;
    while (all.size() < count) {
      Tokens one;
      for (size_t i = 1 + random() % 5; i > 0; --i) one.push_back(plain[random() % 3]);
      all.insert(one);
    }
    return tokens({all.begin(), all.end()});
  }

  Request request(std::shared_ptr<const AllowedAnswers> answers, size_t prompt_tokens = 20) {
    Request r;
    r.id = next_id++;
    for (size_t i = 0; i < prompt_tokens; ++i) r.prompt.push_back(plain[random() % plain.size()]);
    r.sampling.temperature = 0;
    r.sampling.seed = r.id;
    for (const AllowedAnswer& answer : *answers) {
      r.max_tokens = std::max(r.max_tokens, static_cast<int>(answer.tokens.size()));
    }
    r.allowed_answers = std::move(answers);
    return r;
  }

  std::map<uint64_t, Completion> run(const std::vector<Request>& requests) {
    for (const Request& r : requests) engine->submit(r);
    std::map<uint64_t, Completion> all;
    while (engine->active() > 0) {
      auto done = engine->step();
      EXPECT_TRUE(done.ok()) << done.status().message();
      if (!done.ok()) return all;
      for (Completion& c : *done) all.emplace(c.id, std::move(c));
    }
    EXPECT_EQ(all.size(), requests.size());
    EXPECT_EQ(engine->stats().kv_pages_used, 0);
    return all;
  }
  Completion run(const Request& r) { return std::move(run(std::vector<Request>{r}).at(r.id)); }

  // Log-probability of `token` after the prompt and `path`, from a pass of its own.
  float logprob(const Request& r, Tokens path, TokenId token) {
    path.insert(path.begin(), r.prompt.begin(), r.prompt.end());
    path.push_back(token);
    auto logprobs = engine->score(path, static_cast<int>(path.size()) - 1);
    EXPECT_TRUE(logprobs.ok()) << logprobs.status().message();
    return logprobs->back();
  }

  // What may follow `path`: tokens of the answers, and the vocabulary's ends (as one, with their probability together).
  static constexpr TokenId kEnd = -1;
  std::map<TokenId, float> continuations(const Request& r, const Tokens& path) {
    std::map<TokenId, float> all;
    bool is_whole = false;
    for (const AllowedAnswer& answer : *r.allowed_answers) {
      if (answer.tokens.size() < path.size() || !std::equal(path.begin(), path.end(), answer.tokens.begin())) continue;
      if (answer.tokens.size() == path.size()) {
        is_whole = true;
      } else if (const TokenId token = answer.tokens[path.size()]; !all.contains(token)) {
        all[token] = logprob(r, path, token);
      }
    }
    if (all.empty() || !is_whole) return all;
    std::vector<float> ends;
    for (const TokenId end : engine->vocabulary().end_of_generation()) ends.push_back(logprob(r, path, end));
    const float largest = *std::max_element(ends.begin(), ends.end());
    double sum = 0;
    for (const float end : ends) sum += double{exp_f32(end - largest)};
    all[kEnd] = largest + log_f32(static_cast<float>(sum));
    return all;
  }

  std::unique_ptr<Engine> engine;
  Tokens plain;
  std::mt19937 random{20240901};
  uint64_t next_id = 1;
};

TEST_P(AllowedAnswersTest, AnswersStandInTheList) {
  std::vector<Request> requests;
  const auto words =
      strings({"a", "ab", "abc", "the library of games", "the library", "game", " game", "\xC3\xA9t\xC3\xA9"});
  for (int i = 0; i < 80; ++i) {
    Request r = request(i % 2 == 0 ? words : random_answers(), 1 + random() % 90);
    r.sampling.temperature = i % 3 == 0 ? 0.0F : 1.0F;
    if (i % 3 == 2) r.sampling.temperature = 30.0F;
    if (i % 4 == 1) r.n = 3;
    if (i % 5 == 2) r.top_logprobs = 2;
    if (i % 7 == 3) r.answer_logprobs = true;
    if (i % 8 == 5) r.sampling.top_p = 0.7F;
    if (i % 8 == 6) r.sampling.frequency_penalty = 1.5F;
    if (i % 11 == 4) r.prompt_logprobs = true;
    requests.push_back(r);
  }
  auto completions = run(requests);
  std::set<std::string> seen;
  int ended_before_a_longer_one = 0;
  for (const Request& r : requests) {
    const Completion& c = completions.at(r.id);
    ASSERT_TRUE(c.status.ok()) << c.status.message();
    ASSERT_EQ(static_cast<int>(c.choices.size()), r.n);
    ASSERT_EQ(c.answer_logprobs.size(), r.answer_logprobs ? r.allowed_answers->size() : 0);
    for (const Choice& choice : c.choices) {
      const auto said = std::find_if(r.allowed_answers->begin(), r.allowed_answers->end(),
                                     [&](const AllowedAnswer& a) { return a.text == choice.text; });
      ASSERT_NE(said, r.allowed_answers->end()) << '"' << choice.text << '"';
      EXPECT_EQ(choice.tokens, said->tokens);
      EXPECT_EQ(choice.finish_reason, FinishReason::kStop);
      EXPECT_EQ(choice.logprobs.size(), r.top_logprobs >= 0 ? choice.tokens.size() : 0);
      const bool goes_on = std::any_of(r.allowed_answers->begin(), r.allowed_answers->end(), [&](const auto& a) {
        return a.tokens.size() > said->tokens.size() &&
               std::equal(said->tokens.begin(), said->tokens.end(), a.tokens.begin());
      });
      EXPECT_EQ(choice.generated_tokens, static_cast<int>(said->tokens.size()) + (goes_on ? 1 : 0));
      ended_before_a_longer_one += goes_on ? 1 : 0;
      if (r.allowed_answers == words) seen.insert(choice.text);
    }
  }
  EXPECT_GT(seen.size(), 4U) << "hardly any of the strings was ever chosen";
  EXPECT_GT(ended_before_a_longer_one, 5);
}

TEST_P(AllowedAnswersTest, GreedyTakesTheLikeliestContinuation) {
  int branches = 0;
  for (int i = 0; i < 8; ++i) {
    const Request r = request(random_answers());
    const Completion c = run(r);
    ASSERT_TRUE(c.status.ok()) << c.status.message();
    Tokens path;
    const Tokens& said = c.choices[0].tokens;
    for (size_t at = 0; at <= said.size(); ++at) {
      const auto all = continuations(r, path);
      if (all.empty()) break;
      // The ends are one here and several tokens there: which of them is likeliest is not looked at.
      const TokenId taken = at < said.size() ? said[at] : kEnd;
      for (const auto& [token, value] : all) {
        if (token == kEnd || taken == kEnd) continue;
        EXPECT_GE(all.at(taken), value) << "token " << token << " instead of " << taken;
      }
      branches += all.size() > 1 ? 1 : 0;
      if (taken != kEnd) path.push_back(taken);
    }
  }
  EXPECT_GT(branches, 4);
}

TEST_P(AllowedAnswersTest, ComputingForcedTokensChangesNothing) {
  for (int i = 0; i < 12; ++i) {
    Request r =
        request(i % 3 == 0 ? strings({"the library of games", "the library of fonts", "sound"}) : random_answers());
    r.sampling.temperature = i % 2 == 0 ? 0.0F : 2.0F;
    r.sampling.presence_penalty = i % 4 == 1 ? 1.0F : 0.0F;
    r.n = 4;
    Request all = r;
    all.top_logprobs = 0;
    all.id = next_id++;
    const Completion skipped = run(r);
    const Completion computed = run(all);
    for (size_t k = 0; k < 4; ++k) {
      EXPECT_EQ(skipped.choices[k].tokens, computed.choices[k].tokens);
      EXPECT_EQ(skipped.choices[k].text, computed.choices[k].text);
      EXPECT_EQ(skipped.choices[k].generated_tokens, computed.choices[k].generated_tokens);
      // The log-probabilities of forced tokens are the model's own.
      const auto& logprobs = computed.choices[k].logprobs;
      Tokens path;
      for (size_t t = 0; t < logprobs.size() && k == 0; ++t) {
        EXPECT_EQ(logprobs[t].chosen.logprob, logprob(r, path, computed.choices[k].tokens[t]));
        path.push_back(computed.choices[k].tokens[t]);
      }
    }
  }
}

TEST_P(AllowedAnswersTest, WhatHasNoAlternativeIsNotComputed) {
  const Completion only = run(request(tokens({{plain[1], plain[2], plain[3]}})));
  EXPECT_EQ(only.choices[0].tokens, (Tokens{plain[1], plain[2], plain[3]}));
  EXPECT_EQ(only.choices[0].generated_tokens, 3);
  EXPECT_EQ(only.prompt_tokens_computed, 0);
  EXPECT_EQ(engine->stats().steps, 0);

  // Two tokens before the first branch, ten between the branches: one row each decides.
  Tokens left{plain[5], plain[6], plain[1]};
  for (int i = 0; i < 10; ++i) left.push_back(plain[7]);
  Tokens right = left;
  left.push_back(plain[3]);
  right.push_back(plain[4]);
  const auto both = tokens({left, right, {plain[5], plain[6], plain[2], plain[8], plain[9]}});
  Request r = request(both);
  r.sampling.logit_bias = {{plain[1], 100.0F}};
  const Completion c = run(r);
  EXPECT_EQ(c.choices[0].tokens.size(), 14U);
  EXPECT_EQ(engine->stats().steps, 2);
  EXPECT_EQ(c.prompt_tokens_computed, 20);
}

TEST_P(AllowedAnswersTest, LogprobsAreThoseOfWholeStrings) {
  int paths = 0;
  for (int i = 0; i < 8; ++i) {
    const auto answers = i % 2 == 0
                             ? strings({"a", "ab", "the library of games", "the library", "the", "sound", "mail"})
                             : random_answers();
    Request r = request(answers, 70 + random() % 60);
    r.n = i % 3 == 0 ? 2 : 1;
    r.sampling.temperature = i % 4 < 2 ? 0.0F : 1.0F;
    r.sampling.logit_bias = {{answers->front().tokens.front(), -50.0F}};
    r.answer_logprobs = true;
    const Completion c = run(r);
    ASSERT_TRUE(c.status.ok()) << c.status.message();
    ASSERT_EQ(c.answer_logprobs.size(), answers->size());
    std::vector<double> whole;
    for (const AllowedAnswer& answer : *answers) {
      double sum = 0;
      Tokens path;
      for (const TokenId token : answer.tokens) {
        sum += double{logprob(r, path, token)};
        path.push_back(token);
      }
      const auto after = continuations(r, path);
      if (!after.empty()) sum += double{after.at(kEnd)};
      paths += answer.tokens.size() > 1 ? 1 : 0;
      whole.push_back(sum);
    }
    const double largest = *std::max_element(whole.begin(), whole.end());
    double total = 0;
    for (const double logprob : whole) total += std::exp(logprob - largest);
    double sum = 0;
    for (size_t k = 0; k < answers->size(); ++k) {
      EXPECT_EQ(c.answer_logprobs[k].text, (*answers)[k].text);
      EXPECT_EQ(c.answer_logprobs[k].logprob, static_cast<float>(whole[k])) << "not one bit may differ";
      EXPECT_NEAR(c.answer_logprobs[k].probability, std::exp(whole[k] - largest) / total, 1e-6);
      sum += double{c.answer_logprobs[k].probability};
    }
    EXPECT_NEAR(sum, 1, 1e-6);
  }
  EXPECT_GT(paths, 10);
}

TEST_P(AllowedAnswersTest, LogprobsDoNotChangeTheAnswer) {
  for (int i = 0; i < 10; ++i) {
    Request r = request(i % 3 == 0 ? tokens({{plain[4], plain[5]}}) : random_answers());
    r.sampling.temperature = 1;
    r.n = 3;
    Request scored = r;
    scored.id = next_id++;
    scored.answer_logprobs = true;
    const Completion plain_one = run(r);
    const Completion with_scores = run(scored);
    for (size_t k = 0; k < 3; ++k) {
      EXPECT_EQ(plain_one.choices[k].text, with_scores.choices[k].text);
      EXPECT_EQ(plain_one.choices[k].generated_tokens, with_scores.choices[k].generated_tokens);
    }
  }
}

// The scorer's sequences share the prompt's whole pages with the answer's.
TEST_P(AllowedAnswersTest, ScoringSharesThePrompt) {
  std::vector<Tokens> all;
  for (size_t i = 0; i < 20; ++i) all.push_back({plain[i], plain[i + 1], plain[i + 2]});
  Request r = request(tokens(all), 130);
  r.answer_logprobs = true;
  const Completion c = run(r);
  ASSERT_TRUE(c.status.ok()) << c.status.message();
  EXPECT_EQ(c.prompt_tokens_computed, 130 + 20 * 2);
}

// Pearson's chi-square against the product of renormalised probabilities. The seed is fixed: it passes always or never.
TEST_P(AllowedAnswersTest, DrawsFollowTheRenormalisedProbabilities) {
  const auto answers = tokens({{plain[0]},
                               {plain[0], plain[1]},
                               {plain[0], plain[2]},
                               {plain[3], plain[4]},
                               {plain[3]},
                               {plain[5], plain[6], plain[0]},
                               {plain[5], plain[6], plain[7]}});
  Request r = request(answers);
  r.sampling.temperature = 1;
  constexpr int kDraws = 3000;
  r.n = kDraws;
  const Completion c = run(r);
  std::map<std::string, int> counts;
  for (const Choice& choice : c.choices) ++counts[choice.text];
  double chi_square = 0;
  int bins = 0;
  const auto add_bin = [&](double count, double mean) {
    chi_square += (count - mean) * (count - mean) / mean;
    ++bins;
  };
  double rare_count = 0;
  double rare_mean = 0;
  for (const AllowedAnswer& answer : *answers) {
    double probability = 1;
    Tokens path;
    for (size_t at = 0; at <= answer.tokens.size(); ++at) {
      const auto all = continuations(r, path);
      if (all.empty()) break;
      const TokenId taken = at < answer.tokens.size() ? answer.tokens[at] : kEnd;
      double sum = 0;
      for (const auto& [token, value] : all) sum += std::exp(double{value});
      probability *= std::exp(double{all.at(taken)}) / sum;
      if (taken != kEnd) path.push_back(taken);
    }
    const double mean = probability * kDraws;
    if (mean < 5) {
      rare_count += counts[answer.text];
      rare_mean += mean;
    } else {
      add_bin(counts[answer.text], mean);
    }
  }
  if (rare_mean > 1) add_bin(rare_count, rare_mean);
  EXPECT_GE(bins, 5);
  EXPECT_LT(chi_square, 22.5) << "6 degrees of freedom or fewer: exceeded with probability 0.001 at most";
}

TEST_P(AllowedAnswersTest, RefusalsNameTheField) {
  const auto answers = tokens({{plain[0], plain[1], plain[2]}, {plain[3]}});
  const auto expect_refused = [&](const Request& r, const std::string& part) {
    const Completion c = run(r);
    EXPECT_EQ(c.status.code(), StatusCode::kInvalidArgument);
    EXPECT_NE(c.status.message().find(part), std::string::npos) << c.status.message();
  };
  Request r = request(answers);
  r.max_tokens = 2;
  expect_refused(r, "max_tokens is 2; the longest of allowed_answers has 3 tokens");
  r = request(answers, 254);
  expect_refused(r, "the prompt has 254 tokens and the longest of allowed_answers 3");
  EXPECT_TRUE(run(request(answers, 253)).status.ok());
  r = request(answers);
  r.stop_strings = {"x"};
  expect_refused(r, "stop_strings");
  r = request(answers);
  r.stop_token_ids = {plain[0]};
  expect_refused(r, "stop_token_ids");
  r = request(answers);
  r.min_tokens = 1;
  expect_refused(r, "min_tokens");
  r = request(answers);
  r.ignore_eos = true;
  expect_refused(r, "ignore_eos");
  expect_refused(request(tokens({{plain[0]}, {1 << 30}})), "1073741824");
  expect_refused(request(tokens({{plain[0]}, {engine->vocabulary().end_of_generation()[0]}})), "ends every text");
  expect_refused(request(tokens({{plain[0]}, {plain[1]}, {plain[0]}})), "\"answer 0\" and \"answer 2\"");
  expect_refused(request(tokens({})), "empty");
  r = request(answers);
  r.allowed_answers = nullptr;
  r.answer_logprobs = true;
  expect_refused(r, "answer_logprobs");
}

TEST_P(AllowedAnswersTest, CancelledOnesVanishWithTheirPaths) {
  std::vector<Tokens> all;
  for (size_t i = 0; i < 20; ++i) all.push_back({plain[i], plain[i + 1], plain[i + 2]});
  Request r = request(tokens(all), 130);
  r.answer_logprobs = true;
  engine->submit(r);
  ASSERT_TRUE(engine->step().ok());
  ASSERT_TRUE(engine->step().ok());
  engine->cancel(r.id);
  EXPECT_EQ(engine->active(), 0);
  ASSERT_TRUE(engine->step().ok());
  EXPECT_EQ(engine->stats().kv_pages_used, 0);
  EXPECT_TRUE(run(r).status.ok());
}

INSTANTIATE_TEST_SUITE_P(Tiny, AllowedAnswersTest, testing::Values("tiny-qwen2-k", "tiny-gemma3-f32"),
                         [](const auto& param) {
                           std::string name = param.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

}  // namespace
}  // namespace batchwright

#include "decode/sampler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>
#include <set>
#include <string>

#include "decode/counter_rng.h"
#include "decode/logprobs.h"
#include "kernels/math/math.h"

namespace batchwright {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
const RowKernels& kernels() { return row_kernels(Isa::kScalar); }

TokenId sample(const SamplingParams& params, std::vector<float> logits, int position = 0, int choice = 0,
               std::vector<TokenId> suppressed = {}) {
  const Sampler sampler(params, choice, {}, static_cast<int>(logits.size()), -1, kernels());
  SamplerScratch scratch;
  auto result = sampler.sample(logits, position, suppressed, scratch);
  EXPECT_TRUE(result.ok()) << result.status().message();
  return result.ok() ? result->token : -1;
}

SamplingParams make_params(float temperature, int top_k = 0, float top_p = 1.0F, float min_p = 0.0F,
                           uint64_t seed = 0) {
  SamplingParams params;
  params.temperature = temperature;
  params.top_k = top_k;
  params.top_p = top_p;
  params.min_p = min_p;
  params.seed = seed;
  return params;
}

SamplingParams greedy() { return make_params(0.0F); }

// Steps 7 to 9 of the contract, with everything sorted.
TokenId sample_by_definition(const SamplingParams& params, const std::vector<float>& logits, double u) {
  struct Candidate {
    float scaled;
    TokenId token;
    double weight;
  };
  const float maximum = *std::max_element(logits.begin(), logits.end());
  std::vector<float> scaled;
  for (const float x : logits) scaled.push_back((x - maximum) / params.temperature);
  std::vector<double> pieces;
  for (size_t begin = 0; begin < scaled.size(); begin += 4096) {
    const size_t length = std::min<size_t>(4096, scaled.size() - begin);
    pieces.push_back(kernels().sum_exp(scaled.data() + begin, 0.0F, static_cast<int64_t>(length)));
  }
  const double all = std::accumulate(pieces.begin(), pieces.end(), 0.0);

  const auto vocabulary_size = static_cast<int>(logits.size());
  const bool has_top_k = params.top_k > 0 && params.top_k < vocabulary_size;
  if (!has_top_k && params.top_p >= 1.0F && params.min_p == 0.0F) {
    double before = 0;
    size_t piece = 0;
    while (before + pieces[piece] <= u * all) before += pieces[piece++];
    TokenId last = -1;
    for (size_t i = piece * 4096; i < std::min((piece + 1) * 4096, scaled.size()); ++i) {
      if (exp_f32(scaled[i]) == 0.0F) continue;
      last = static_cast<TokenId>(i);
      before += double{exp_f32(scaled[i])};
      if (before > u * all) return last;
    }
    return last;
  }

  std::vector<Candidate> candidates;
  for (size_t i = 0; i < scaled.size(); ++i) {
    candidates.push_back({scaled[i], static_cast<TokenId>(i), double{exp_f32(scaled[i])}});
  }
  std::sort(candidates.begin(), candidates.end(), [](const Candidate& a, const Candidate& b) {
    return a.scaled != b.scaled ? a.scaled > b.scaled : a.token < b.token;
  });
  if (has_top_k) candidates.resize(static_cast<size_t>(params.top_k));
  if (params.top_p < 1.0F) {
    double total = all;
    if (has_top_k) {
      total = 0;
      for (const Candidate& c : candidates) total += c.weight;
    }
    double sum = 0;
    size_t kept = 0;
    while (kept < candidates.size()) {
      sum += candidates[kept++].weight;
      if (sum >= double{params.top_p} * total) break;
    }
    candidates.resize(kept);
  }
  std::erase_if(candidates, [&](const Candidate& c) { return c.weight < double{params.min_p}; });
  double total = 0;
  for (const Candidate& c : candidates) total += c.weight;
  double sum = 0;
  for (const Candidate& c : candidates) {
    sum += c.weight;
    if (sum > u * total) return c.token;
  }
  return -1;
}

std::vector<float> random_logits(std::mt19937_64& random, size_t n) {
  std::normal_distribution<float> normal(0.0F, 1.0F);
  const uint64_t kind = random() % 7;
  const float spread = std::pow(10.0F, static_cast<float>(random() % 4) - 1.0F);
  std::vector<float> logits(n);
  for (float& x : logits) {
    x = normal(random) * spread;
    if (kind == 1) x = std::round(x);                                 // ties
    if (kind == 2) x = 1.5F;                                          // nothing but ties
    if (kind == 3 && random() % 3 != 0) x = -kInfinity;               // impossible tokens
    if (kind == 4) x = x * 1e37F;                                     // differences overflow
    if (kind == 5) x = x * 1e-42F;                                    // subnormal
    if (kind == 6) x = (random() % 50 == 0 ? 30.0F : 0.0F) + x / 64;  // a few stand out
  }
  for (float& x : logits) x = std::clamp(x, kind == 3 ? -kInfinity : -FLT_MAX, FLT_MAX);
  if (kind == 3) logits[random() % n] = 0;
  return logits;
}

SamplingParams random_params(std::mt19937_64& random, size_t n) {
  SamplingParams params;
  const float temperatures[] = {1.0F, 0.7F, 1e-6F, 100.0F, 2.5F};
  params.temperature = temperatures[random() % 5];
  const int ks[] = {0, 0, 1, 2, 40, static_cast<int>(n) - 1, static_cast<int>(n), static_cast<int>(n) + 7, 1 << 30};
  params.top_k = ks[random() % 9];
  const float ps[] = {1.0F, 1.0F, 0.95F, 0.5F, 0.0F, 1e-3F, 0.9999999F};
  params.top_p = ps[random() % 7];
  const float mins[] = {0.0F, 0.0F, 0.05F, 1.0F, 1e-30F};
  params.min_p = mins[random() % 5];
  params.seed = random();
  return params;
}

TEST(Sampler, AgreesWithAFullSort) {
  std::mt19937_64 random(5);
  const size_t sizes[] = {1, 2, 5, 100, 1000, 4096, 4097, 9000};
  for (int round = 0; round < 3000; ++round) {
    const size_t n = sizes[random() % (round % 4 == 0 ? 8 : 5)];
    const std::vector<float> logits = random_logits(random, n);
    const SamplingParams params = random_params(random, n);
    for (int position = 0; position < 3; ++position) {
      const double u = uniform_draw(params.seed, 2, static_cast<uint32_t>(position), 0);
      ASSERT_EQ(sample(params, logits, position, 2), sample_by_definition(params, logits, u))
          << "round " << round << ": n " << n << ", temperature " << params.temperature << ", top_k " << params.top_k
          << ", top_p " << params.top_p << ", min_p " << params.min_p;
    }
  }
}

TEST(Sampler, AgreesWithAFullSortOverALargeVocabulary) {
  std::mt19937_64 random(6);
  for (int round = 0; round < 16; ++round) {
    const std::vector<float> logits = random_logits(random, 262144);
    SamplingParams params = random_params(random, logits.size());
    if (round % 2 == 0) {
      params = make_params(params.temperature, 0, 0.95F, 0.0F, params.seed);
    }
    ASSERT_EQ(sample(params, logits), sample_by_definition(params, logits, uniform_draw(params.seed, 0, 0, 0)))
        << "round " << round;
  }
}

TEST(Sampler, GivesTheSameTokensOnEveryInstructionSet) {
  std::mt19937_64 random(7);
  for (int round = 0; round < 200; ++round) {
    const std::vector<float> logits = random_logits(random, 5000);
    const SamplingParams params = random_params(random, logits.size());
    const TokenId expected = sample(params, logits);
    for (const RowKernels& other : all_row_kernels()) {
      const Sampler sampler(params, 0, {}, 5000, -1, other);
      SamplerScratch scratch;
      std::vector<float> row = logits;
      ASSERT_EQ(sampler.sample(row, 0, {}, scratch).value().token, expected) << round;
    }
  }
}

// Against the whole row with all other tokens suppressed: bias, penalties, filters, log-probabilities, every
// instruction set.
TEST(Sampler, AmongAllowedTokensItIsTheMaskedRow) {
  std::mt19937_64 random(8);
  const size_t sizes[] = {2, 5, 100, 5000, 20000};
  int different = 0;
  for (int round = 0; round < 1500; ++round) {
    const size_t n = sizes[random() % (round % 4 == 0 ? 5 : 3)];
    const std::vector<float> logits = random_logits(random, n);
    SamplingParams params = random_params(random, n);
    if (round % 3 == 0) params.temperature = 0.0F;
    if (round % 5 == 0) params.repetition_penalty = 1.3F;
    if (round % 5 == 1) params.frequency_penalty = 0.5F;
    std::vector<TokenId> allowed;
    std::vector<TokenId> suppressed;
    const uint64_t share = 1 + random() % 20;
    const auto kept = static_cast<TokenId>(random() % n);
    for (size_t i = 0; i < n; ++i) {
      const auto token = static_cast<TokenId>(i);
      (token == kept || random() % share == 0 ? allowed : suppressed).push_back(token);
    }
    if (round % 7 == 0) params.logit_bias = {{allowed.back(), 3.0F}};
    const std::vector<TokenId> prompt{allowed.front(), static_cast<TokenId>(n - 1)};
    for (const RowKernels& isa : all_row_kernels()) {
      Sampler sampler(params, 1, prompt, static_cast<int>(n), round % 2 == 0 ? 2 : -1, isa);
      sampler.accept(allowed.back());
      SamplerScratch scratch;
      for (int position = 0; position < 3; ++position) {
        std::vector<float> whole = logits;
        std::vector<float> row = logits;
        const auto expected = sampler.sample(whole, position, suppressed, scratch);
        const auto got = sampler.sample_among(allowed, row, position, scratch);
        if (allowed.size() == 1) {
          ASSERT_EQ(got->token, kept);
          continue;
        }
        ASSERT_EQ(got.ok(), expected.ok()) << "round " << round;
        if (!got.ok()) continue;
        ASSERT_EQ(got->token, expected->token) << "round " << round << ", " << allowed.size() << " of " << n;
        ASSERT_EQ(got->logprobs.has_value(), expected->logprobs.has_value());
        if (got->logprobs) {
          ASSERT_EQ(got->logprobs->chosen.logprob, expected->logprobs->chosen.logprob);
          ASSERT_EQ(got->logprobs->top[0].token, expected->logprobs->top[0].token);
        }
        different += got->token != allowed.front() ? 1 : 0;
      }
    }
  }
  EXPECT_GT(different, 1000) << "the first of the allowed tokens was nearly always drawn: nothing is compared";
}

// One token of weight 1 and thousands of 2^-25, whose sum in fp32 depends on the lanes that they are added in: what is
// drawn at the far end shows it.
TEST(Sampler, AmongAllowedTokensSumsAreThoseOfTheWholeRow) {
  constexpr int kTokens = 40000;
  const uint32_t seed = 11;
  std::vector<int> positions;
  for (int position = 0; positions.size() < 30; ++position) {
    if (uniform_draw(seed, 0, static_cast<uint32_t>(position), 0) > 0.99992) positions.push_back(position);
  }
  std::set<TokenId> drawn;
  for (const int stride : {1, 3, 16}) {
    std::vector<float> logits(kTokens, -17.33F);
    std::vector<TokenId> allowed;
    std::vector<TokenId> suppressed;
    for (TokenId token = 0; token < kTokens; ++token) {
      (token > 1500 && token % stride == 0 && token % 7 < 5 ? allowed : suppressed).push_back(token);
    }
    logits[static_cast<size_t>(allowed[allowed.size() / 20])] = 0.0F;
    for (const float top_p : {1.0F, 0.99996F}) {
      const Sampler sampler(make_params(1.0F, 0, top_p, 0.0F, seed), 0, {}, kTokens, -1, kernels());
      SamplerScratch scratch;
      for (const int position : positions) {
        std::vector<float> whole = logits;
        std::vector<float> row = logits;
        const TokenId expected = sampler.sample(whole, position, suppressed, scratch)->token;
        ASSERT_EQ(sampler.sample_among(allowed, row, position, scratch)->token, expected)
            << "every " << stride << ". token, top_p " << top_p << ", position " << position;
        drawn.insert(expected);
      }
    }
  }
  EXPECT_GT(drawn.size(), 30U);
}

TEST(Sampler, OneAllowedTokenIsTakenWhateverItsLogit) {
  const Sampler sampler(greedy(), 0, {}, 3, 0, kernels());
  SamplerScratch scratch;
  std::vector<float> row{1.0F, -kInfinity, 2.0F};
  const std::vector<TokenId> only{1};
  EXPECT_EQ(sampler.sample_among(only, row, 0, scratch)->token, 1);
  const std::vector<TokenId> impossible{1, 2};
  row = {1.0F, -kInfinity, -kInfinity};
  EXPECT_FALSE(sampler.sample_among(impossible, row, 0, scratch).ok());
  row[0] = kInfinity;
  EXPECT_FALSE(sampler.sample_among(only, row, 0, scratch).ok()) << "the row is broken";
}

// Pearson's chi-square of 40,000 draws against the probabilities, 9 degrees of freedom: 27.9 is exceeded with
// probability 0.001. The seeds are fixed, so it passes always or never.
TEST(Sampler, DrawsFollowTheDistribution) {
  const std::vector<float> logits{1.0F, 0.0F, -1.0F, 2.0F, 1.5F, 0.5F, -0.5F, 0.25F, 1.25F, -2.0F};
  struct Case {
    SamplingParams params;
    std::vector<int> kept;
  };
  const Case cases[] = {
      {make_params(1.0F, 0, 1.0F, 0.0F, 1), {0, 1, 2, 3, 4, 5, 6, 7, 8, 9}},
      {make_params(2.0F, 0, 1.0F, 0.0F, 2), {0, 1, 2, 3, 4, 5, 6, 7, 8, 9}},
      {make_params(1.0F, 3, 1.0F, 0.0F, 3), {3, 4, 8}},
      {make_params(0.5F, 9, 1.0F, 1e-9F, 4), {0, 1, 2, 3, 4, 5, 6, 7, 8}},
      {make_params(1.0F, 0, 0.6F, 0.0F, 5), {3, 4, 8}},  // 0.32 + 0.19 < 0.6 <= 0.32 + 0.19 + 0.15
      {make_params(1.0F, 0, 1.0F, 0.3F, 6), {0, 3, 4, 8}},
  };
  for (const Case& c : cases) {
    std::vector<double> expected(logits.size(), 0.0);
    double total = 0;
    for (const int token : c.kept) {
      const auto i = static_cast<size_t>(token);
      total += expected[i] = std::exp(double{logits[i]} / double{c.params.temperature});
    }
    std::vector<int> counts(logits.size(), 0);
    constexpr int kDraws = 40000;
    for (int i = 0; i < kDraws; ++i) ++counts[static_cast<size_t>(sample(c.params, logits, i / 4, i % 4))];
    double chi_square = 0;
    for (size_t i = 0; i < logits.size(); ++i) {
      const double mean = expected[i] / total * kDraws;
      if (mean == 0) {
        EXPECT_EQ(counts[i], 0) << "token " << i << ", seed " << c.params.seed;
      } else {
        chi_square += (counts[i] - mean) * (counts[i] - mean) / mean;
      }
    }
    EXPECT_LT(chi_square, 27.9) << "seed " << c.params.seed;
  }
}

TEST(Sampler, GreedyTakesTheLowestOfEquals) {
  EXPECT_EQ(sample(greedy(), {1.0F, 3.0F, 3.0F, 2.0F}), 1);
  EXPECT_EQ(sample(greedy(), {-0.0F, 0.0F}), 0);
  EXPECT_EQ(sample(greedy(), {-kInfinity, -FLT_MAX}), 1);
}

TEST(Sampler, SuppressedTokensGetNoChance) {
  EXPECT_EQ(sample(greedy(), {5.0F, 3.0F, 4.0F}, 0, 0, {0, 2, -1, 99}), 1);
  SamplingParams params = greedy();
  params.logit_bias = {{0, 100.0F}};
  EXPECT_EQ(sample(params, {5.0F, 3.0F, 4.0F}, 0, 0, {0}), 2) << "a bias brings no suppressed token back";
}

TEST(Sampler, BiasComesBeforeTheRepetitionPenalty) {
  SamplingParams params = greedy();
  params.logit_bias = {{0, 3.0F}};
  params.repetition_penalty = 2.0F;
  const std::vector<TokenId> prompt{0};
  const Sampler sampler(params, 0, prompt, 2, -1, kernels());
  SamplerScratch scratch;
  // (-1 + 3) / 2 = 1; the other way round it were -2 + 3.
  std::vector<float> above{-1.0F, 0.9F};
  EXPECT_EQ(sampler.sample(above, 0, {}, scratch)->token, 0);
  std::vector<float> below{-1.0F, 1.0F + 0x1p-10F};
  EXPECT_EQ(sampler.sample(below, 0, {}, scratch)->token, 1);
}

TEST(Sampler, RepetitionCountsPromptAndOutputTheOthersOutputAlone) {
  const std::vector<TokenId> prompt{0, 1};
  SamplerScratch scratch;
  const auto choose = [&](const Sampler& sampler, std::vector<float> logits) {
    return sampler.sample(logits, 0, {}, scratch).value().token;
  };
  SamplingParams repetition = greedy();
  repetition.repetition_penalty = 2.0F;
  Sampler repeated(repetition, 0, prompt, 4, -1, kernels());
  EXPECT_EQ(choose(repeated, {3.0F, 3.0F, 2.0F, 1.6F}), 2);
  repeated.accept(2);
  EXPECT_EQ(choose(repeated, {3.0F, 3.0F, 2.0F, 1.6F}), 3);
  EXPECT_EQ(choose(repeated, {-1.0F, -1.1F, -1.2F, -1.9F}), 3) << "a negative logit is multiplied";

  SamplingParams presence = greedy();
  presence.presence_penalty = 1.0F;
  Sampler present(presence, 0, prompt, 4, -1, kernels());
  EXPECT_EQ(choose(present, {3.0F, 2.5F, 0.0F, 0.0F}), 0);
  present.accept(0);
  present.accept(0);
  EXPECT_EQ(choose(present, {3.0F, 2.5F, 0.0F, 0.0F}), 1);
  EXPECT_EQ(choose(present, {3.0F, 1.5F, 0.0F, 0.0F}), 0) << "subtracted once";

  SamplingParams frequency = greedy();
  frequency.frequency_penalty = 0.5F;
  Sampler frequent(frequency, 0, prompt, 4, -1, kernels());
  for (int i = 0; i < 4; ++i) frequent.accept(0);
  EXPECT_EQ(choose(frequent, {3.0F, 1.5F, 0.0F, 0.0F}), 1) << "subtracted for each of the four";
  EXPECT_EQ(choose(frequent, {3.75F, 1.5F, 0.0F, 0.0F}), 0);
}

TEST(Sampler, PenaltiesOfHugeLogitsStayFinite) {
  SamplingParams params;
  params.repetition_penalty = 0.5F;
  params.presence_penalty = -2.0F;
  const std::vector<TokenId> prompt{1};
  Sampler sampler(params, 0, prompt, 3, -1, kernels());
  sampler.accept(1);
  SamplerScratch scratch;
  std::vector<float> logits{3e38F, 3e38F, -3e38F};
  const auto result = sampler.sample(logits, 0, {}, scratch);
  ASSERT_TRUE(result.ok()) << result.status().message();
  EXPECT_EQ(result->token, 1);
}

TEST(Sampler, SaysWhenTheArgmaxIsEnough) {
  const auto needs = [](const SamplingParams& params, int top_logprobs = -1, std::vector<TokenId> suppressed = {}) {
    return Sampler(params, 0, {}, 10, top_logprobs, kernels()).needs_logits(suppressed);
  };
  SamplingParams params = greedy();
  params.top_k = 5;
  params.top_p = 0.5F;
  EXPECT_FALSE(needs(params));
  EXPECT_TRUE(needs(params, 0));
  EXPECT_TRUE(needs(params, -1, {3}));
  EXPECT_TRUE(needs(SamplingParams{}));
  params.logit_bias = {{1, 1.0F}};
  EXPECT_TRUE(needs(params));
  for (float SamplingParams::*field : {&SamplingParams::presence_penalty, &SamplingParams::frequency_penalty}) {
    params = greedy();
    params.*field = 0.1F;
    EXPECT_TRUE(needs(params));
  }
  params = greedy();
  params.repetition_penalty = 1.1F;
  EXPECT_TRUE(needs(params));

  const Sampler plain(greedy(), 0, {}, 10, -1, kernels());
  EXPECT_EQ(plain.sample_argmax({2.5F, 7}, 0)->token, 7);
  EXPECT_FALSE(plain.sample_argmax({-kInfinity, 0}, 0).ok());
  EXPECT_FALSE(plain.sample_argmax({kInfinity, 3}, 0).ok());
}

TEST(Sampler, LogprobsAreThoseOfTheRawLogits) {
  SamplingParams params = make_params(0.3F, 2, 1.0F, 0.0F, 9);
  params.presence_penalty = 1.0F;
  params.logit_bias = {{0, -100.0F}};
  const std::vector<float> logits{4.0F, 3.0F, 3.5F, -1.0F};
  for (const bool is_greedy : {false, true}) {
    if (is_greedy) params.temperature = 0.0F;
    Sampler sampler(params, 0, {}, 4, 2, kernels());
    sampler.accept(2);
    SamplerScratch scratch;
    std::vector<float> row = logits;
    const SampledToken got = sampler.sample(row, 0, {}, scratch).value();
    ASSERT_TRUE(got.logprobs.has_value());
    const TokenLogprobs expected = token_logprobs(logits, got.token, 2, kernels()).value();
    EXPECT_NE(got.token, 0);
    EXPECT_EQ(got.logprobs->chosen.token, got.token);
    EXPECT_EQ(got.logprobs->chosen.logprob, expected.chosen.logprob);
    ASSERT_EQ(got.logprobs->top.size(), 2U);
    EXPECT_EQ(got.logprobs->top[0].token, 0);
    EXPECT_EQ(got.logprobs->top[0].logprob, expected.top[0].logprob);
  }
}

TEST(Sampler, BrokenRowsFailAndLeaveTheSamplerUsable) {
  for (const float temperature : {0.0F, 1.0F}) {
    const Sampler sampler(make_params(temperature), 0, {}, 40, -1, kernels());
    SamplerScratch scratch;
    for (const float broken : {std::nanf(""), -std::nanf(""), kInfinity}) {
      std::vector<float> row(40, 1.0F);
      row[17] = broken;
      const auto result = sampler.sample(row, 0, {}, scratch);
      ASSERT_FALSE(result.ok());
      EXPECT_EQ(result.status().code(), StatusCode::kInvalidData);
      EXPECT_NE(result.status().message().find("token 17"), std::string::npos);
    }
    std::vector<float> impossible(40, -kInfinity);
    EXPECT_FALSE(sampler.sample(impossible, 0, {}, scratch).ok());
    std::vector<float> sound(40, -kInfinity);
    sound[5] = 0;
    EXPECT_EQ(sampler.sample(sound, 0, {}, scratch).value().token, 5);
    const std::vector<TokenId> suppressed{5};
    sound.assign(40, -kInfinity);
    sound[5] = 0;
    EXPECT_FALSE(sampler.sample(sound, 0, suppressed, scratch).ok());
  }
}

}  // namespace
}  // namespace batchwright

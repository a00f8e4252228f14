#include "decode/answer_logprobs.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>
#include <random>
#include <set>

#include "decode/logprobs.h"

namespace batchwright {
namespace {

using Tokens = std::vector<TokenId>;
constexpr int kVocabulary = 50;
const RowKernels& kernels() { return row_kernels(Isa::kScalar); }

std::vector<float> row_after(const Tokens& path) {
  std::seed_seq seed(path.begin(), path.end());
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0.0F, 4.0F);
  std::vector<float> logits(kVocabulary);
  for (float& x : logits) x = normal(random);
  return logits;
}

AllowedAnswers random_answers(std::mt19937& random) {
  std::set<Tokens> strings;
  const size_t count = 1 + random() % 30;
  while (strings.size() < count) {
    Tokens tokens;
    for (size_t i = 1 + random() % 6; i > 0; --i) tokens.push_back(static_cast<TokenId>(random() % 4));
    strings.insert(tokens);
  }
  AllowedAnswers answers;
  for (const Tokens& tokens : strings) answers.push_back({"x", tokens});
  std::shuffle(answers.begin(), answers.end(), random);
  return answers;
}

TEST(AnswerScorer, PathsOwnEveryInnerNodeOnce) {
  for (uint32_t seed = 0; seed < 100; ++seed) {
    std::mt19937 random(seed);
    const AllowedAnswers answers = random_answers(random);
    const TokenTrie trie = TokenTrie::create(answers).value();
    const AnswerScorer scorer(trie, {}, kernels());
    std::map<Tokens, int> owned;
    for (const AnswerScorer::Path& path : scorer.paths()) {
      const Tokens tokens = trie.path(path.last);
      ASSERT_EQ(static_cast<int>(tokens.size()), path.length);
      for (int length = path.owned_from; length <= path.length; ++length) {
        ++owned[Tokens(tokens.begin(), tokens.begin() + length)];
      }
      for (size_t i = 0; i < trie.continuations(path.last).size(); ++i) {
        ASSERT_TRUE(trie.is_leaf(trie.child(path.last, i))) << "a longer path would do for this one too";
      }
    }
    int inner = 0;
    for (TokenTrie::Node node = 1; node < trie.size(); ++node) {
      if (trie.is_leaf(node)) continue;
      ++inner;
      ASSERT_EQ(owned[trie.path(node)], 1) << "seed " << seed;
    }
    ASSERT_EQ(static_cast<int>(owned.size()), inner);
  }
}

// Against fp64 straight from the definition.
TEST(AnswerScorer, GivesTheProbabilitiesOfWholeStrings) {
  const Tokens ends{40, 45, 49};
  for (uint32_t seed = 0; seed < 100; ++seed) {
    std::mt19937 random(seed);
    const AllowedAnswers answers = random_answers(random);
    const TokenTrie trie = TokenTrie::create(answers).value();
    AnswerScorer scorer(trie, ends, kernels());
    for (TokenTrie::Node node = 0; node < trie.size(); ++node) {
      if (!trie.is_leaf(node)) {
        ASSERT_TRUE(scorer.score(node, row_after(trie.path(node))).ok());
      }
    }
    const auto got = scorer.result(answers).value();
    std::vector<double> expected;
    double total = 0;
    for (const AllowedAnswer& answer : answers) {
      double probability = 1;
      const auto probability_of = [](const std::vector<float>& row, TokenId token) {
        double sum = 0;
        for (const float x : row) sum += std::exp(double{x});
        return std::exp(double{row[static_cast<size_t>(token)]}) / sum;
      };
      Tokens path;
      for (const TokenId token : answer.tokens) {
        probability *= probability_of(row_after(path), token);
        path.push_back(token);
      }
      if (!trie.is_leaf(trie.node_of(expected.size()))) {
        double ending = 0;
        for (const TokenId end : ends) ending += probability_of(row_after(path), end);
        probability *= ending;
      }
      expected.push_back(probability);
      total += probability;
    }
    double sum = 0;
    for (size_t i = 0; i < answers.size(); ++i) {
      EXPECT_NEAR(got[i].logprob, std::log(expected[i]), 2e-5) << "seed " << seed;
      EXPECT_NEAR(got[i].probability, expected[i] / total, 1e-5) << "seed " << seed;
      sum += double{got[i].probability};
    }
    EXPECT_NEAR(sum, 1, 1e-6);
  }
}

TEST(AnswerScorer, ImpossibleAndBrokenRows) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const AllowedAnswers answers{{"a", {0}}, {"b", {1}}};
  const TokenTrie trie = TokenTrie::create(answers).value();
  AnswerScorer scorer(trie, {}, kernels());
  EXPECT_TRUE(scorer.paths().empty());
  ASSERT_TRUE(scorer.score(0, std::vector<float>{-kInfinity, 1.0F, 1.0F}).ok());
  const auto got = scorer.result(answers).value();
  EXPECT_EQ(got[0].logprob, -kInfinity);
  EXPECT_EQ(got[0].probability, 0.0F);
  EXPECT_EQ(got[1].probability, 1.0F);
  ASSERT_TRUE(scorer.score(0, std::vector<float>{-kInfinity, -kInfinity, 1.0F}).ok());
  EXPECT_FALSE(scorer.result(answers).ok());
  EXPECT_FALSE(scorer.score(0, std::vector<float>{1.0F, std::nanf(""), 1.0F}).ok());
}

}  // namespace
}  // namespace batchwright

#include "decode/token_trie.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>
#include <string>

namespace batchwright {
namespace {

using Tokens = std::vector<TokenId>;

AllowedAnswers answers_of(const std::vector<Tokens>& all) {
  AllowedAnswers answers;
  for (const Tokens& tokens : all) answers.push_back({"answer " + std::to_string(answers.size()), tokens});
  return answers;
}

TokenTrie trie_of(const std::vector<Tokens>& all) {
  auto trie = TokenTrie::create(answers_of(all));
  EXPECT_TRUE(trie.ok()) << trie.status().message();
  return std::move(*trie);
}

Tokens list(std::span<const TokenId> tokens) { return {tokens.begin(), tokens.end()}; }

TEST(TokenTrie, GivesContinuationsAndAnswers) {
  const TokenTrie trie = trie_of({{5, 9}, {5}, {7, 1, 2}, {5, 3, 8}, {2}});
  EXPECT_EQ(list(trie.continuations(TokenTrie::kRoot)), (Tokens{2, 5, 7}));
  EXPECT_EQ(trie.answer(TokenTrie::kRoot), -1);
  const TokenTrie::Node five = trie.next(TokenTrie::kRoot, 5);
  EXPECT_EQ(list(trie.continuations(five)), (Tokens{3, 9}));
  EXPECT_EQ(trie.answer(five), 1);
  EXPECT_EQ(trie.answer(trie.next(five, 9)), 0);
  EXPECT_TRUE(trie.is_leaf(trie.next(five, 9)));
  EXPECT_EQ(trie.answer(trie.next(five, 3)), -1);
  EXPECT_EQ(trie.path(trie.next(trie.next(five, 3), 8)), (Tokens{5, 3, 8}));
  EXPECT_EQ(trie.depth(), 3);
  EXPECT_TRUE(trie.has_prefixes());
  EXPECT_FALSE(trie_of({{1, 2}, {1, 3}}).has_prefixes());
  EXPECT_EQ(trie_of({{4}}).depth(), 1);
}

TEST(TokenTrie, RefusesWhatCannotBeToldApart) {
  const auto same = TokenTrie::create(AllowedAnswers{{"a", {1, 2}}, {"b", {3}}, {"c", {1, 2}}});
  ASSERT_FALSE(same.ok());
  EXPECT_EQ(same.status().message(), "\"a\" and \"c\" have the same tokens");
  const auto empty = TokenTrie::create(AllowedAnswers{{"a", {1, 2}}, {"b", {}}});
  ASSERT_FALSE(empty.ok());
  EXPECT_EQ(empty.status().message(), "\"b\" has no tokens");
  EXPECT_FALSE(TokenTrie::create({}).ok());
}

// Against the definition: the tokens that follow a beginning in some string.
TEST(TokenTrie, AgreesWithLookingThroughTheStrings) {
  for (uint32_t seed = 0; seed < 200; ++seed) {
    std::mt19937 random(seed);
    std::set<Tokens> strings;
    const size_t count = 1 + random() % 40;
    while (strings.size() < count) {
      Tokens tokens;
      for (size_t i = 1 + random() % 7; i > 0; --i) tokens.push_back(static_cast<TokenId>(random() % 4));
      strings.insert(tokens);
    }
    std::vector<Tokens> shuffled(strings.begin(), strings.end());
    std::shuffle(shuffled.begin(), shuffled.end(), random);
    const TokenTrie trie = trie_of(shuffled);
    ASSERT_EQ(trie.answers(), count);
    for (TokenTrie::Node node = 0; node < trie.size(); ++node) {
      const Tokens path = trie.path(node);
      std::set<TokenId> following;
      for (const Tokens& string : strings) {
        if (string.size() > path.size() && std::equal(path.begin(), path.end(), string.begin())) {
          following.insert(string[path.size()]);
        }
      }
      ASSERT_EQ(list(trie.continuations(node)), Tokens(following.begin(), following.end())) << "seed " << seed;
      ASSERT_EQ(trie.answer(node) >= 0, strings.contains(path));
      if (node != TokenTrie::kRoot) {
        ASSERT_EQ(trie.next(trie.parent(node), trie.token(node)), node);
      }
    }
    for (size_t i = 0; i < shuffled.size(); ++i) {
      ASSERT_EQ(trie.path(trie.node_of(i)), shuffled[i]);
      ASSERT_EQ(trie.answer(trie.node_of(i)), static_cast<int>(i));
    }
  }
}

}  // namespace
}  // namespace batchwright

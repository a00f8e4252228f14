#include "text/tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "text/spm_spaces.h"
#include "text/tokenizer_testing.h"

namespace batchwright {
namespace {

using testing::add_token;
using testing::bpe_data;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using testing::make_tokenizer;
using testing::spm_data;
using testing::texts_of;

std::vector<std::string> pieces(const Tokenizer& tokenizer, std::string_view text, EncodeOptions options = {}) {
  return texts_of(tokenizer, tokenizer.encode(text, options));
}

TEST(BpeTokenizer, MergesByRankLeftmostFirst) {
  const auto t = make_tokenizer(bpe_data({"b c", "a b", "ab c", "a bc"}));
  EXPECT_THAT(pieces(*t, "abc"), ElementsAre("abc"));  // b+c first, then a+bc
  EXPECT_THAT(pieces(*t, "ab"), ElementsAre("ab"));
  const auto u = make_tokenizer(bpe_data({"a a"}));
  EXPECT_THAT(pieces(*u, "aaaaa"), ElementsAre("aa", "aa", "a"));
}

TEST(BpeTokenizer, WordsDoNotMergeWithEachOther) {
  const auto t = make_tokenizer(bpe_data({"a \u0120", "\u0120 a", "1 2"}));
  EXPECT_THAT(pieces(*t, "a a"), ElementsAre("a", "\u0120a"));
  EXPECT_THAT(pieces(*t, "12"), ElementsAre("1", "2"));
  EXPECT_THAT(t->encode(""), IsEmpty());
}

// The only merge that leads to "abc" ranks after one that cuts it up: the token exists, but its own text does not
// become it.
TEST(BpeTokenizer, ATokenIsNotAlwaysItsOwnText) {
  VocabularyData data = bpe_data({"b c", "a b", "ab c"});
  const auto t = make_tokenizer(data);
  for (int i = 0; i < 3; ++i) EXPECT_THAT(pieces(*t, "abc"), ElementsAre("a", "bc"));
  data.pre_tokenizer = "llama-bpe";  // where a word that is a token is that token
  EXPECT_THAT(pieces(*make_tokenizer(data), "abc"), ElementsAre("abc"));
}

TEST(BpeTokenizer, BytesWithoutAToken) {
  VocabularyData data = bpe_data({"a b"});
  data.tokens['x'] = "gone";
  EXPECT_THAT(pieces(*make_tokenizer(data), "abxab"), ElementsAre("ab", "ab"));
  data.unknown = 0;
  EXPECT_THAT(make_tokenizer(data)->encode("xx"), ElementsAre(0, 0));
}

TEST(BpeTokenizer, MergesNeverSpellAControlToken) {
  VocabularyData data = bpe_data({"< e", "<e >"});
  data.types[257] = static_cast<int32_t>(TokenType::kControl);
  const auto t = make_tokenizer(data);
  EXPECT_THAT(pieces(*t, "<e>"), ElementsAre("<e", ">"));
  EXPECT_THAT(pieces(*t, "<e>", {.parse_special = true}), ElementsAre("<e>"));
}

TEST(SpmTokenizer, MergesByScoreAndFallsBackToBytes) {
  const auto t = make_tokenizer(spm_data(
      {{"\u2581", -9}, {"a", -9}, {"b", -9}, {"c", -9}, {"ab", -3}, {"bc", -2}, {"\u2581a", -1}, {"\u2581ab", -5}}));
  EXPECT_THAT(pieces(*t, "abc"), ElementsAre("a", "bc"));
  EXPECT_THAT(pieces(*t, " ab a"), ElementsAre("\u2581ab", "\u2581a"));
  EXPECT_THAT(pieces(*t, "\u00e9"), ElementsAre("<0xC3>", "<0xA9>"));
  EXPECT_THAT(pieces(*t, "a  b"), ElementsAre("a", "  ", "b"));
  EXPECT_THAT(pieces(*t, "a\n\n\nb"), ElementsAre("a", "\n\n", "<0x0A>", "b"));
  EXPECT_THAT(pieces(*t, std::string_view("\0", 1)), ElementsAre("<0x00>"));
  EXPECT_THAT(t->encode(""), IsEmpty());
}

TEST(SpmTokenizer, PiecesMayJoinCharactersThatAreNone) {
  const auto t = make_tokenizer(spm_data({{"xy", -1}, {"xyz", -2}}));
  EXPECT_THAT(pieces(*t, "xyz"), ElementsAre("xyz"));
  EXPECT_THAT(pieces(*t, "yxy"), ElementsAre("<0x79>", "xy"));
}

TEST(SpmTokenizer, PiecesMaySpanSpaces) {
  const auto t =
      make_tokenizer(spm_data({{">\u2581", -1}, {">\u2581<", -2}, {"a", -3}, {"\u2581", -4}, {"a\u2581a", -1}}));
  EXPECT_THAT(pieces(*t, "a> <"), ElementsAre("a", ">\u2581<"));
  EXPECT_THAT(pieces(*t, "a a"), ElementsAre("a", "\u2581", "a"));  // no two neighbours make a step towards it
}

TEST(SpmTokenizer, SpacePrefix) {
  VocabularyData data = spm_data({{"\u2581a", -1}, {"a", -2}, {"\u2581", -3}});
  data.add_space_prefix = true;
  const auto t = make_tokenizer(data);
  EXPECT_THAT(pieces(*t, "a"), ElementsAre("\u2581a"));
  EXPECT_THAT(pieces(*t, "a<eos>a", {.parse_special = true}), ElementsAre("\u2581a", "<eos>", "\u2581a"));
  EXPECT_THAT(t->encode(""), IsEmpty());
  EXPECT_THAT(pieces(*t, "a", {.add_space_prefix = false}), ElementsAre("a"));
  EXPECT_THAT(pieces(*t, " a", {.add_space_prefix = false}), ElementsAre("\u2581a"));
}

TEST(SpmTokenizer, WithoutBytesARunOfUnknownCharactersIsOneToken) {
  VocabularyData data = spm_data({{"a", -1}, {"\u2581", -2}});
  for (auto& type : data.types) {
    if (type == static_cast<int32_t>(TokenType::kByte)) type = static_cast<int32_t>(TokenType::kUnused);
  }
  // Unused tokens take the way without words; both ways must agree.
  EXPECT_THAT(pieces(*make_tokenizer(data), "axy z\u4f60a"), ElementsAre("a", "<unk>", "\u2581", "<unk>", "a"));
  data.tokens.erase(data.tokens.begin() + 6, data.tokens.begin() + 262);
  data.scores.erase(data.scores.begin() + 6, data.scores.begin() + 262);
  data.types.erase(data.types.begin() + 6, data.types.begin() + 262);
  EXPECT_THAT(pieces(*make_tokenizer(data), "axy z\u4f60a"), ElementsAre("a", "<unk>", "\u2581", "<unk>", "a"));
}

TEST(SpmTokenizer, UnusedPiecesFallApart) {
  VocabularyData data = spm_data({{"a", -1}, {"b", -1}, {"c", -1}, {"abc", -4}});
  add_token(data, "ab", TokenType::kUnused, -2);
  const auto t = make_tokenizer(data);
  EXPECT_THAT(pieces(*t, "abab"), ElementsAre("a", "b", "a", "b"));
  EXPECT_THAT(pieces(*t, "abc"), ElementsAre("abc"));
}

// Control, byte and unknown tokens are no pieces: merging their parts stops short of them.
TEST(SpmTokenizer, MergesNeverSpellAControlToken) {
  const auto t = make_tokenizer(spm_data({{"<eo", -1}, {"s>", -2}, {"<e", -3}, {"<0x0", -1}, {"<0", -1}, {"<0x", -1}}));
  for (const TokenId id : t->encode("<eos><unk><0x00><bos>")) {
    EXPECT_FALSE(t->vocabulary().is_special(id));
    EXPECT_NE(t->vocabulary().token_text(id), "<0x00>");
  }
}

TEST(Tokenizer, BytesThatAreNotUtf8AreReplacedOneByOne) {
  const auto bpe = make_tokenizer(bpe_data({}));
  const auto spm = make_tokenizer(spm_data({{"\uFFFD", -1}}));
  const struct {
    std::string_view bytes, text;
  } cases[] = {{"\xFF", "\uFFFD"},           {"a\xE2\x82z", "a\uFFFD\uFFFDz"}, {"\xED\xA0\x80", "\uFFFD\uFFFD\uFFFD"},
               {"\xC0\x80", "\uFFFD\uFFFD"}, {"\u00e9\xC3", "\u00e9\uFFFD"},   {"\xF0\x9F\x99", "\uFFFD\uFFFD\uFFFD"}};
  for (const auto& c : cases) {
    EXPECT_EQ(bpe->encode(c.bytes), bpe->encode(c.text));
    EXPECT_EQ(spm->encode(c.bytes), spm->encode(c.text));
  }
}

TEST(Tokenizer, ControlTokensOnlyWhereAsked) {
  const auto t = make_tokenizer(bpe_data({}));
  const TokenId end = *t->vocabulary().find("<|end|>");
  EXPECT_EQ(t->encode("<|end|>").size(), 7U);
  EXPECT_THAT(t->encode("<|end|>", {.parse_special = true}), ElementsAre(end));
  EXPECT_THAT(pieces(*t, "a<tool>b"), ElementsAre("a", "<tool>", "b"));
}

TEST(Tokenizer, TheLongestSpecialTokenCounts) {
  VocabularyData data = bpe_data({});
  add_token(data, "<x>", TokenType::kUserDefined);
  add_token(data, "<x><y>", TokenType::kControl);
  add_token(data, "<x><y>!", TokenType::kUserDefined);
  const auto t = make_tokenizer(data);
  EXPECT_THAT(pieces(*t, "<x><y>", {.parse_special = true}), ElementsAre("<x><y>"));
  EXPECT_THAT(pieces(*t, "<x><y>"), ElementsAre("<x>", "<", "y", ">"));
  EXPECT_THAT(pieces(*t, "<x><y>!"), ElementsAre("<x><y>!"));
  EXPECT_THAT(pieces(*t, "<<x>"), ElementsAre("<", "<x>"));
}

TEST(TokenizerSpans, UsersTextIsNeverAControlToken) {
  const auto t = make_tokenizer(bpe_data({}));
  const TokenId end = *t->vocabulary().find("<|end|>");
  const auto count = [&](std::vector<TextSpan> spans) {
    const std::vector<TokenId> ids = t->encode_spans(spans);
    return std::count(ids.begin(), ids.end(), end);
  };
  EXPECT_EQ(count({{"<|end|>", true}}), 1);
  EXPECT_EQ(count({{"<|end|>", false}}), 0);
  EXPECT_EQ(count({{"<|end|>", true}, {"<|end|>", false}, {"<|end|>", true}}), 2);
  // Neither from the user's text and the template's together, on whichever side.
  EXPECT_EQ(count({{"<|en", true}, {"d|>", false}}), 0);
  EXPECT_EQ(count({{"<|en", false}, {"d|>", true}}), 0);
  EXPECT_EQ(count({{"<|", true}, {"en", false}, {"d|>", true}}), 0);
  // All of it the template's, in pieces.
  EXPECT_EQ(count({{"<|en", true}, {"", false}, {"d|>", true}}), 1);
  EXPECT_EQ(count({{"\xFF", false}, {"\xFF<|en", true}, {"d|>\xFF", true}}), 1);
  EXPECT_EQ(count({{"\xC3", true}, {"\xA9<|end|>", false}, {"<|end|>", true}}), 1);
}

TEST(TokenizerSpans, AreOneText) {
  const auto bpe = make_tokenizer(bpe_data({"a b", "\u0120 ab"}));
  const std::vector<TextSpan> spans = {{"a", true}, {"b a", false}, {"b", true}, {"\xC3", false}, {"\xA9", true}};
  EXPECT_EQ(bpe->encode_spans(spans), bpe->encode("ab ab\u00e9"));
  const auto spm = make_tokenizer(spm_data({{"ab", -1}, {"\u2581a", -2}, {"\u2581ab", -3}}));
  EXPECT_EQ(spm->encode_spans(spans), spm->encode("ab ab\u00e9"));
  // A user-defined token may come from both.
  EXPECT_THAT(texts_of(*spm, spm->encode_spans(std::vector<TextSpan>{{"\n", true}, {"\n", false}})),
              ElementsAre("\n\n"));
}

// The bounds of trust move with the spaces and the invalid bytes before them.
TEST(TokenizerSpans, TrustStaysInPlaceWhenTextIsRewritten) {
  const auto t = make_tokenizer(spm_data({}));
  const std::vector<TextSpan> spans = {
      {"a b\xFF c <|turn|>", false}, {"<|turn|> \xFE", true}, {" <eos> \xFF", false}, {"<eos>", true}};
  std::vector<TokenId> special;
  for (const TokenId id : t->encode_spans(spans)) {
    if (t->vocabulary().is_special(id)) special.push_back(id);
  }
  EXPECT_THAT(special, ElementsAre(3, 2));
}

TEST(Tokenizer, BosAndEos) {
  VocabularyData data = spm_data({{"a", -1}});
  EXPECT_THAT(make_tokenizer(data)->encode("a", {.add_bos = true, .add_eos = true}), ElementsAre(262));
  data.add_bos = data.add_eos = true;
  const auto t = make_tokenizer(data);
  EXPECT_THAT(t->encode("a"), ElementsAre(262));
  EXPECT_THAT(t->encode("a", {.add_bos = true, .add_eos = true}), ElementsAre(1, 262, 2));
  EXPECT_THAT(t->encode("", {.add_bos = true}), ElementsAre(1));
  // A template that wrote it already.
  EXPECT_THAT(t->encode("<bos>a", {.parse_special = true, .add_bos = true}), ElementsAre(1, 262));
  EXPECT_EQ(t->encode("<bos>a", {.add_bos = true}).size(), 7U);
}

// Byte-pair merging as its definition says, on texts, looking at all of them each time.
std::vector<std::string> merge_naively(std::vector<std::string> parts,
                                       const std::map<std::pair<std::string, std::string>, double>& order) {
  while (true) {
    size_t best = parts.size();
    double best_order = 0;
    for (size_t i = 0; i + 1 < parts.size(); ++i) {
      const auto found = order.find({parts[i], parts[i + 1]});
      if (found == order.end() || (best < parts.size() && found->second >= best_order)) continue;
      best = i;
      best_order = found->second;
    }
    if (best == parts.size()) return parts;
    parts[best] += parts[best + 1];
    parts.erase(parts.begin() + static_cast<std::ptrdiff_t>(best) + 1);
  }
}

std::string random_text(std::mt19937& random, const std::vector<std::string>& characters, size_t count_max) {
  std::string text;
  const size_t count = 1 + random() % count_max;
  for (size_t i = 0; i < count; ++i) text += characters[random() % characters.size()];
  return text;
}

TEST(Tokenizer, EqualsTheDefinitionOnRandomBpeVocabularies) {
  for (uint32_t seed = 0; seed < 60; ++seed) {
    std::mt19937 random(seed);
    std::vector<std::string> tokens = {"a", "b", "c"};
    std::vector<std::string> merges;
    std::map<std::pair<std::string, std::string>, double> order;
    for (int i = 0; i < 25; ++i) {
      const std::string left = tokens[random() % tokens.size()];
      const std::string right = tokens[random() % tokens.size()];
      if (left.size() + right.size() > 12 || !order.emplace(std::pair(left, right), i).second) continue;
      merges.push_back(left + " " + right);
      tokens.push_back(left + right);
    }
    const auto t = make_tokenizer(bpe_data(merges));
    for (const size_t length : {8, 8, 8, 33, 34, 300}) {
      const std::string text = random_text(random, {"a", "b", "c"}, length);
      std::vector<std::string> parts;
      for (const char c : text) parts.emplace_back(1, c);
      ASSERT_EQ(pieces(*t, text), merge_naively(parts, order)) << "seed " << seed << " text " << text;
    }
  }
}

TEST(Tokenizer, EqualsTheDefinitionOnRandomSpmVocabularies) {
  const std::vector<std::string> characters = {"a", "b", "\u2581", "\u00e9", "\u4f60"};
  for (uint32_t seed = 0; seed < 60; ++seed) {
    std::mt19937 random(seed);
    std::map<std::string, float> scores;
    for (const std::string& c : characters) scores[c] = -100;
    const bool across_spaces = seed % 2 == 0;  // otherwise words are merged each for itself
    for (int i = 0; i < 40; ++i) {
      const std::string piece = random_text(random, characters, 4);
      if (!across_spaces && piece.find(kSpmSpace, 1) != std::string::npos) continue;
      scores.emplace(piece, -static_cast<float>(random() % 10));
    }
    VocabularyData data = spm_data({});
    data.types[5] = static_cast<int32_t>(TokenType::kControl);  // two spaces are no token of their own here
    std::map<std::pair<std::string, std::string>, double> order;
    for (const auto& [piece, score] : scores) {
      add_token(data, piece, TokenType::kNormal, score);
      for (size_t cut = 1; cut < piece.size(); ++cut) order[{piece.substr(0, cut), piece.substr(cut)}] = -double{score};
    }
    const auto t = make_tokenizer(data);
    for (const size_t length : {8, 8, 8, 33, 34, 300}) {
      std::vector<std::string> parts;
      std::string text;
      const size_t count = 1 + random() % length;
      for (size_t i = 0; i < count; ++i) {
        parts.push_back(characters[random() % characters.size()]);
        text += parts.back() == kSpmSpace ? " " : parts.back();
      }
      ASSERT_EQ(pieces(*t, text), merge_naively(parts, order)) << "seed " << seed << " text " << text;
    }
  }
}

TEST(Tokenizer, ThreadsShareIt) {
  const auto bpe = make_tokenizer(bpe_data({"a b", "ab c", "b c", "\u0120 abc"}));
  const auto spm = make_tokenizer(spm_data({{"ab", -1}, {"abc", -2}, {"\u2581abc", -3}, {"bc", -1}}));
  std::string text;
  for (int i = 0; i < 300; ++i) text += i % 3 == 0 ? "abc abc ab" : " bcabc <|end|>\xFF";
  const auto fresh_bpe = make_tokenizer(bpe_data({"a b", "ab c", "b c", "\u0120 abc"}));
  const auto expected_bpe = fresh_bpe->encode(text);
  const auto expected_spm = spm->encode(text);
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int round = 0; round < 20; ++round) {
        EXPECT_EQ(bpe->encode(text), expected_bpe);
        EXPECT_EQ(spm->encode(text), expected_spm);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace batchwright

#include "text/vocabulary.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <string>

#include "text/tokenizer_testing.h"

namespace batchwright {
namespace {

using testing::add_token;
using testing::bpe_data;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::spm_data;

TEST(Vocabulary, KnowsItsTokens) {
  VocabularyData data = spm_data({{"\u2581the", -1}, {"caf\u00e9", -2}});
  add_token(data, "spare", TokenType::kUnused);
  const auto v = Vocabulary::create(data).value();
  EXPECT_EQ(v->size(), 6 + 256 + 3);
  EXPECT_EQ(v->token_text(262), "\u2581the");
  EXPECT_EQ(v->token_bytes(262), " the");
  EXPECT_EQ(v->score(263), -2.0F);
  EXPECT_EQ(v->token_bytes(6 + 0xFF), "\xFF");
  EXPECT_EQ(v->byte_token(0xFF), 6 + 0xFF);
  EXPECT_EQ(v->token_bytes(264), "");
  EXPECT_TRUE(v->is_special(0) && v->is_special(1) && !v->is_special(4) && !v->is_special(262));
  EXPECT_EQ(v->find("<eos>"), 2);
  EXPECT_EQ(v->find("nothing"), std::nullopt);
  EXPECT_EQ(v->find(""), std::nullopt);
  EXPECT_FALSE(v->contains(-1) || v->contains(v->size()));
}

TEST(Vocabulary, BpeTextsSpellBytes) {
  VocabularyData data = bpe_data({"\u0120 t"});
  add_token(data, "\u4f60");  // not spelled in bytes: stays what it is
  const auto v = Vocabulary::create(data).value();
  EXPECT_EQ(v->token_bytes(256), " t");
  EXPECT_EQ(v->token_bytes(v->size() - 1), "\u4f60");
  for (int byte = 0; byte < 256; ++byte) {
    EXPECT_EQ(v->token_bytes(byte), std::string(1, static_cast<char>(byte)));
    EXPECT_EQ(v->byte_token(static_cast<uint8_t>(byte)), byte);
  }
}

TEST(Vocabulary, EndsOfGenerationAreKnownByIdAndByText) {
  VocabularyData data = bpe_data({});
  const auto first = static_cast<TokenId>(data.tokens.size());
  add_token(data, "<|im_end|>", TokenType::kControl);
  add_token(data, "<end_of_turn>", TokenType::kUserDefined);  // becomes a control token
  add_token(data, "</s>", TokenType::kUserDefined);           // HTML, not an end
  add_token(data, "bye");
  data.eot = first + 3;
  const auto v = Vocabulary::create(data).value();
  EXPECT_THAT(v->end_of_generation(), ElementsAre(*v->eos(), first, first + 1, first + 3));
  EXPECT_EQ(v->type(first + 1), TokenType::kControl);
  EXPECT_TRUE(v->is_end_of_generation(first));
  EXPECT_FALSE(v->is_end_of_generation(first + 2));
  EXPECT_FALSE(v->is_end_of_generation(-1));
}

TEST(Vocabulary, TheLastOfEqualTextsCounts) {
  VocabularyData data = spm_data({{"a", -1}, {"a", -2}});
  const auto v = Vocabulary::create(data).value();
  EXPECT_EQ(v->find("a"), 263);
  EXPECT_EQ(v->token_bytes(262), "a");
}

struct Damage {
  const char* name;
  std::function<void(VocabularyData&)> apply;
  StatusCode code;
  const char* message;
};

void PrintTo(const Damage& damage, std::ostream* out) { *out << damage.name; }

class DamagedVocabulary : public ::testing::TestWithParam<Damage> {};

TEST_P(DamagedVocabulary, IsRefusedNamingKeyAndIndex) {
  const Damage& damage = GetParam();
  VocabularyData data =
      std::string_view(damage.name).substr(0, 3) == "Bpe" ? bpe_data({"a b", "ab c"}) : spm_data({{"a", -1}});
  ASSERT_TRUE(Vocabulary::create(data).ok());
  damage.apply(data);
  const auto v = Vocabulary::create(data);
  ASSERT_FALSE(v.ok());
  EXPECT_EQ(v.status().code(), damage.code) << v.status().message();
  EXPECT_THAT(v.status().message(), HasSubstr(damage.message));
}

constexpr auto kInvalid = StatusCode::kInvalidData;
using Data = VocabularyData;

INSTANTIATE_TEST_SUITE_P(
    Hostile, DamagedVocabulary,
    ::testing::Values(
        Damage{"SpmNoTokens", [](Data& d) { d.tokens.clear(); }, kInvalid, "tokenizer.ggml.tokens is missing"},
        Damage{"SpmByteText", [](Data& d) { d.tokens[7] = "<0x-1>"; }, kInvalid,
               "tokenizer.ggml.tokens[7] is a byte token, but its text is \"<0x-1>\""},
        Damage{"SpmByteTextEmpty", [](Data& d) { d.tokens[7] = ""; }, kInvalid, "tokens[7]"},
        Damage{"SpmByteTextLong", [](Data& d) { d.tokens[7] = "<0x1FF>"; }, kInvalid, "tokens[7]"},
        Damage{"SpmScoresShort", [](Data& d) { d.scores.pop_back(); }, kInvalid,
               "tokenizer.ggml.scores has 262 values, but tokenizer.ggml.tokens has 263"},
        Damage{"SpmScoresMissing", [](Data& d) { d.scores.clear(); }, kInvalid, "scores has 0"},
        Damage{"SpmScoreNaN", [](Data& d) { d.scores[9] = std::nanf(""); }, kInvalid,
               "tokenizer.ggml.scores[9] is not a number"},
        Damage{"SpmTypesShort", [](Data& d) { d.types.pop_back(); }, kInvalid, "tokenizer.ggml.token_type has 262"},
        Damage{"SpmType0", [](Data& d) { d.types[3] = 0; }, kInvalid, "tokenizer.ggml.token_type[3] is 0"},
        Damage{"SpmType7", [](Data& d) { d.types[3] = 7; }, kInvalid, "token_type[3] is 7; allowed are 1 to 6"},
        Damage{"SpmBosRange", [](Data& d) { d.bos = 263; }, kInvalid,
               "tokenizer.ggml.bos_token_id is 263; allowed are 0 to 262"},
        Damage{"SpmEosNegative", [](Data& d) { d.eos = -1; }, kInvalid, "eos_token_id is -1"},
        Damage{"SpmEotHuge", [](Data& d) { d.eot = int64_t{1} << 40; }, kInvalid, "eot_token_id is 1099511627776"},
        Damage{"SpmUnknownRange", [](Data& d) { d.unknown = 1000; }, kInvalid, "unknown_token_id"},
        Damage{"SpmPaddingRange", [](Data& d) { d.padding = 1000; }, kInvalid, "padding_token_id"},
        Damage{"SpmBosMissing", [](Data& d) { d.add_bos = true, d.bos.reset(); }, kInvalid, "add_bos_token is true"},
        Damage{"SpmEosMissing", [](Data& d) { d.add_eos = true, d.eos.reset(); }, kInvalid, "add_eos_token is true"},
        Damage{"SpmSpecialLong", [](Data& d) { d.tokens[3] = std::string(1025, 'x'); }, kInvalid, "at most 1024"},
        Damage{"SpmTokenLong", [](Data& d) { d.tokens[262] = std::string(65536, 'x'); }, kInvalid, "tokens[262] has"},
        Damage{"BpeByteType", [](Data& d) { d.types[3] = 6; }, kInvalid, "token_type[3] is 6 (byte)"},
        Damage{"BpeMergeUnknownLeft", [](Data& d) { d.merges[1] = "xx c"; }, kInvalid,
               "tokenizer.ggml.merges[1] names \"xx\", which is no token"},
        Damage{"BpeMergeUnknownRight", [](Data& d) { d.merges[1] = "a xx"; }, kInvalid, "merges[1] names \"xx\""},
        Damage{"BpeMergeUnknownJoin", [](Data& d) { d.merges[1] = "c a"; }, kInvalid, "merges[1] names \"ca\""},
        Damage{"BpeMergeNoSpace", [](Data& d) { d.merges[0] = "ab"; }, kInvalid, "merges[0] is \"ab\""},
        Damage{"BpeMergeEmpty", [](Data& d) { d.merges[0] = ""; }, kInvalid, "merges[0] is \"\""},
        Damage{"BpeMergeNoRight", [](Data& d) { d.merges[0] = "a "; }, kInvalid, "merges[0]"},
        Damage{"BpeMergeNoLeft", [](Data& d) { d.merges[0] = " a"; }, kInvalid, "merges[0]"},
        Damage{"BpeMergeBytes", [](Data& d) { d.merges[0] = "\xFF\n \x01"; }, kInvalid, "merges[0] names"},
        Damage{"BpePre", [](Data& d) { d.pre_tokenizer = "nonsense"; }, StatusCode::kUnsupported,
               "\"nonsense\"; supported for tokenizer.ggml.model \"gpt2\": gpt-2, phi-2, qwen2"},
        Damage{"BpePreMissing", [](Data& d) { d.pre_tokenizer.clear(); }, StatusCode::kUnsupported, "supported"}),
    [](const auto& parameter) { return std::string(parameter.param.name); });

TEST(Vocabulary, EmptyTextsAreNeverEncoded) {
  VocabularyData data = spm_data({{"a", -1}, {"", -2}});
  add_token(data, "", TokenType::kControl);
  add_token(data, "", TokenType::kUserDefined);
  const auto tokenizer = testing::make_tokenizer(data);
  EXPECT_THAT(tokenizer->encode("aa", {.parse_special = true}), ElementsAre(262, 262));
  EXPECT_EQ(tokenizer->vocabulary().token_bytes(263), "");
}

}  // namespace
}  // namespace batchwright

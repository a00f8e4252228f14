#include "text/pretokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "text/unicode_class.h"

namespace batchwright {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<std::string> words(const char* pattern, std::string_view text) {
  const auto pre_tokenizer = PreTokenizer::create(pattern);
  PreTokenizer::Cursor cursor(*pre_tokenizer.value());
  cursor.start(text);
  std::vector<std::string> out;
  for (std::string_view word; cursor.next(word);) out.emplace_back(word);
  return out;
}

// Expected: Hugging Face's tokenizers 0.23.3, Split(Regex(pattern), "isolated").
TEST(PreTokenizer, Qwen2) {
  const auto w = [](std::string_view text) { return words("qwen2", text); };
  EXPECT_THAT(w(""), ElementsAre());
  EXPECT_THAT(w("Don't stop, I'LL go"), ElementsAre("Don", "'t", " stop", ",", " I", "'LL", " go"));
  EXPECT_THAT(w("x = 12345;\n\n  y"), ElementsAre("x", " =", " ", "1", "2", "3", "4", "5", ";\n\n", " ", " y"));
  EXPECT_THAT(w("a  \n \n  b"), ElementsAre("a", "  \n \n", " ", " b"));
  EXPECT_THAT(w("tail   "), ElementsAre("tail", "   "));
  EXPECT_THAT(w("caf\u00e9 \u4f60\u597d\uff01 \u0663\u00bd"),
              ElementsAre("caf\u00e9", " \u4f60\u597d", "\uff01", " ", "\u0663", "\u00bd"));
  EXPECT_THAT(w("a\u00a0\u3000b"), ElementsAre("a", "\u00a0", "\u3000b"));
  EXPECT_THAT(w("a'\u017f"), ElementsAre("a", "'\u017f"));
  EXPECT_THAT(w("e\u0301x"), ElementsAre("e", "\u0301x"));
}

TEST(PreTokenizer, Gpt2) {
  const auto w = [](std::string_view text) { return words("gpt-2", text); };
  EXPECT_THAT(w("Don't I'LL 12345 x2"), ElementsAre("Don", "'t", " I", "'", "LL", " 12345", " x", "2"));
  EXPECT_THAT(w("a  \n \n  b!?\n"), ElementsAre("a", "  \n \n ", " b", "!?", "\n"));
}

TEST(PreTokenizer, Llama3TakesThreeDigits) {
  EXPECT_THAT(words("llama-bpe", "12345 6"), ElementsAre("123", "45", " ", "6"));
  EXPECT_TRUE(PreTokenizer::create("llama3").value()->ignores_merges());
  EXPECT_FALSE(PreTokenizer::create("qwen2").value()->ignores_merges());
}

TEST(PreTokenizer, NamesWhatIsSupported) {
  const auto unknown = PreTokenizer::create("gpt-3\n");
  ASSERT_FALSE(unknown.ok());
  EXPECT_EQ(unknown.status().code(), StatusCode::kUnsupported);
  EXPECT_THAT(unknown.status().message(), HasSubstr("\"gpt-3\\n\"; supported"));
  EXPECT_THAT(unknown.status().message(), HasSubstr("gpt-2"));
}

TEST(UnicodeClass, KnowsUnicode16) {
  EXPECT_EQ(unicode_class('a'), UnicodeClass::kLetter);
  EXPECT_EQ(unicode_class('_'), UnicodeClass::kOther);
  EXPECT_EQ(unicode_class('5'), UnicodeClass::kNumber);
  EXPECT_EQ(unicode_class(0x85), UnicodeClass::kSpace);
  EXPECT_EQ(unicode_class(0x180E), UnicodeClass::kOther);
  EXPECT_EQ(unicode_class(0x323AF), UnicodeClass::kLetter);
  EXPECT_EQ(unicode_class(0x323B0), UnicodeClass::kOther);
  EXPECT_EQ(unicode_class(0x105C0), UnicodeClass::kLetter);  // new in 16.0
  EXPECT_EQ(unicode_class(0x10FFFF), UnicodeClass::kOther);
  EXPECT_EQ(unicode_class(0x110000), UnicodeClass::kOther);
  size_t letters = 0;
  for (char32_t c = 0; c < 0x110000; ++c) letters += unicode_class(c) == UnicodeClass::kLetter ? 1 : 0;
  EXPECT_EQ(letters, 141028U);  // DerivedGeneralCategory of Unicode 16.0
}

}  // namespace
}  // namespace batchwright

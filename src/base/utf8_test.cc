#include "base/utf8.h"

#include <gtest/gtest.h>

#include <string>

namespace batchwright {
namespace {

std::string replaced(std::string_view text) {
  std::string out;
  append_valid_utf8(out, text);
  return out;
}

TEST(Utf8, EveryCodePointGoesThereAndBack) {
  for (char32_t c = 0; c <= 0x110000; ++c) {
    std::string text;
    append_utf8(text, c);
    const Utf8Char decoded = decode_utf8(text, 0);
    const bool surrogate = c >= 0xD800 && c <= 0xDFFF;
    ASSERT_EQ(decoded.code_point, surrogate || c > 0x10FFFF ? kReplacementCharacter : c);
    ASSERT_TRUE(decoded.valid);
    ASSERT_EQ(decoded.length, text.size());
    ASSERT_TRUE(is_valid_utf8(text));
    for (size_t cut = 1; cut < text.size(); ++cut) ASSERT_EQ(valid_utf8_prefix(text.substr(0, cut)), 0U);
  }
}

// A character is valid exactly when encoding what was decoded gives its bytes back: no overlong form, no surrogate.
TEST(Utf8, EveryTwoAndThreeByteSequence) {
  for (uint32_t bytes = 0; bytes < (1U << 24); bytes += bytes < 0xC00000 ? 257 : 1) {
    const std::string text = {static_cast<char>(bytes >> 16), static_cast<char>(bytes >> 8), static_cast<char>(bytes)};
    const Utf8Char c = decode_utf8(text, 0);
    ASSERT_GE(c.length, 1U);
    if (!c.valid) continue;
    std::string again;
    append_utf8(again, c.code_point);
    ASSERT_EQ(again, text.substr(0, c.length));
  }
}

TEST(Utf8, FindsTheFirstError) {
  EXPECT_EQ(valid_utf8_prefix("plain ascii, longer than a word"), 31U);
  EXPECT_EQ(valid_utf8_prefix("0123456789\xff tail"), 10U);
  EXPECT_EQ(valid_utf8_prefix("é\xc3"), 2U);
  EXPECT_EQ(valid_utf8_prefix("\xed\xa0\x80"), 0U);
  EXPECT_EQ(valid_utf8_prefix("\xf4\x90\x80\x80"), 0U);
  EXPECT_EQ(utf8_length("aé€😀"), 4U);
}

// Expected: bytes.decode("utf-8", "replace") of Python.
TEST(Utf8, ReplacesMaximalSubparts) {
  EXPECT_EQ(replaced("a\xff\xc3("), "a\uFFFD\uFFFD(");
  EXPECT_EQ(replaced("\xe2\x82"), "\uFFFD");
  EXPECT_EQ(replaced("\xed\xa0\x80"), "\uFFFD\uFFFD\uFFFD");
  EXPECT_EQ(replaced("\xf0\x9f\x98x\xf0\x9f\x98\x80"), "\uFFFDx😀");
  EXPECT_EQ(replaced("\xc0\x80"), "\uFFFD\uFFFD");
}

}  // namespace
}  // namespace batchwright

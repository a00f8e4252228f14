#include "text/detokenizer.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/utf8.h"
#include "text/tokenizer_testing.h"

namespace batchwright {
namespace {

std::shared_ptr<const Vocabulary> bytes_vocabulary() { return Vocabulary::create(testing::bpe_data({})).value(); }

std::vector<TokenId> ids_of(std::string_view bytes) {
  std::vector<TokenId> ids;
  for (const char c : bytes) ids.push_back(static_cast<uint8_t>(c));
  return ids;
}

TEST(Detokenizer, HoldsBackUntilACharacterIsComplete) {
  const auto v = bytes_vocabulary();
  Detokenizer d(*v);
  EXPECT_EQ(d.push('a'), "a");
  EXPECT_EQ(d.push(0xF0), "");
  EXPECT_EQ(d.push(0x9F), "");
  EXPECT_EQ(d.push(0x99), "");
  EXPECT_EQ(d.push(0x82), "\U0001F642");
  EXPECT_EQ(d.push(0xC3), "");
  EXPECT_EQ(d.push('b'), "\uFFFDb");
  EXPECT_EQ(d.push(0), std::string_view("\0", 1));
  EXPECT_EQ(d.push(0xE2), "");
  EXPECT_EQ(d.push(0x82), "");
  EXPECT_EQ(d.flush(), "\uFFFD");
  EXPECT_EQ(d.flush(), "");
}

// Expected texts: Python 3.11, bytes.decode("utf-8", errors="replace").
TEST(Detokenizer, ReplacesWhatCannotBecomeACharacter) {
  const struct {
    std::string_view bytes, text;
  } cases[] = {
      {"\xFF\xFE", "\uFFFD\uFFFD"},
      {"\x80", "\uFFFD"},
      {"\xC0\x80", "\uFFFD\uFFFD"},
      {"\xE0\x80\x80", "\uFFFD\uFFFD\uFFFD"},
      {"\xED\xA0\x80", "\uFFFD\uFFFD\uFFFD"},
      {"\xF0\x9F\x99", "\uFFFD"},
      {"\xF0\x9F\x99\xF0\x9F", "\uFFFD\uFFFD"},
      {"\xF0\x80\x80\x80", "\uFFFD\uFFFD\uFFFD\uFFFD"},
      {"\xF4\x90\x80\x80", "\uFFFD\uFFFD\uFFFD\uFFFD"},
      {"\xF8\x88\x80\x80\x80", "\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD"},
      {"\xE2\x82\x28", "\uFFFD("},
      {"x\xE1\x80\xE2\xF0\x91\x92\xF1\xBFy", "x\uFFFD\uFFFD\uFFFD\uFFFDy"},
  };
  const auto v = bytes_vocabulary();
  for (const auto& c : cases) EXPECT_EQ(detokenize(*v, ids_of(c.bytes)), c.text);
}

// Every text of three of these bytes, taken one by one: what comes out is valid at each step.
TEST(Detokenizer, GivesValidTextAtEveryStep) {
  const auto v = bytes_vocabulary();
  const std::string bytes("a\0\x80\xBF\xC2\xC0\xE0\xE2\xED\xA0\xF0\x90\xF4\xFF", 14);
  for (size_t n = 0; n < bytes.size() * bytes.size() * bytes.size() * bytes.size(); ++n) {
    std::string input;
    for (size_t rest = n, i = 0; i < 4; ++i, rest /= bytes.size()) input.push_back(bytes[rest % bytes.size()]);
    Detokenizer d(*v);
    std::string output;
    for (const TokenId id : ids_of(input)) {
      const std::string_view piece = d.push(id);
      ASSERT_TRUE(is_valid_utf8(piece));
      output.append(piece);
    }
    output.append(d.flush());
    std::string expected;
    append_valid_utf8(expected, input);
    ASSERT_EQ(output, expected);
  }
}

TEST(Detokenizer, HidesOrShowsControlTokens) {
  const auto v = bytes_vocabulary();
  const std::vector<TokenId> ids = {'a', *v->find("<|im_start|>"), 'b', *v->find("<tool>")};
  EXPECT_EQ(detokenize(*v, ids), "ab<tool>");
  EXPECT_EQ(detokenize(*v, ids, {.show_special = true}), "a<|im_start|>b<tool>");
  // A hidden token between the bytes of a character does not part them.
  const std::vector<TokenId> split = {0xC3, *v->eos(), 0xA9};
  EXPECT_EQ(detokenize(*v, split), "\u00e9");
}

TEST(Detokenizer, StripsOneSpaceAtTheBeginning) {
  const auto v = Vocabulary::create(testing::spm_data({{"\u2581a", -1}, {"\u2581", -2}})).value();
  const std::vector<TokenId> ids = {1, 263, 262, 262};
  EXPECT_EQ(detokenize(*v, ids), "  a a");
  EXPECT_EQ(detokenize(*v, ids, {.strip_space_prefix = true}), " a a");
}

}  // namespace
}  // namespace batchwright

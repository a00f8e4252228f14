// A megabyte of one character of each class, on a stack of 256 KiB, in time that grows with the text and not faster.
#include <gtest/gtest.h>
#include <pthread.h>

#include <algorithm>
#include <ctime>
#include <functional>
#include <string>
#include <vector>

#include "text/detokenizer.h"
#include "text/tokenizer.h"
#include "text/tokenizer_testing.h"

namespace batchwright {
namespace {

constexpr size_t kStackBytes = 256 * 1024;
constexpr size_t kTextBytes = size_t{1} << 20;

void run_on_small_stack(const std::function<void()>& body) {
  pthread_attr_t attributes;
  ASSERT_EQ(pthread_attr_init(&attributes), 0);
  ASSERT_EQ(pthread_attr_setstacksize(&attributes, kStackBytes), 0);
  pthread_t thread;
  const auto start = [](void* argument) -> void* {
    (*static_cast<const std::function<void()>*>(argument))();
    return nullptr;
  };
  ASSERT_EQ(pthread_create(&thread, &attributes, start, const_cast<std::function<void()>*>(&body)), 0);
  ASSERT_EQ(pthread_join(thread, nullptr), 0);
  pthread_attr_destroy(&attributes);
}

std::string repeat(std::string_view unit, size_t bytes) {
  std::string text;
  while (text.size() < bytes) text += unit;
  return text;
}

struct CharacterClass {
  const char* name;
  std::string_view unit;
};

const CharacterClass kClasses[] = {{"letters", "a"},
                                   {"digits", "7"},
                                   {"spaces", " "},
                                   {"newlines", "\n"},
                                   {"tabs", "\t"},
                                   {"punctuation", "!"},
                                   {"apostrophes", "'"},
                                   {"special_starts", "<"},
                                   {"nearly_special", "<|en"},
                                   {"cjk", "\u4f60"},
                                   {"emoji", "\U0001F642"},
                                   {"combining_marks", "\u0301"},
                                   {"nul", std::string_view("\0", 1)},
                                   {"ff", "\xFF"},
                                   {"lead_bytes", "\xE2"},
                                   {"spaces_then_newline", "         \n"},
                                   {"words", " a"}};

// Merges that double, so that there is work for letters, spaces and marks.
std::shared_ptr<const Tokenizer> doubling_bpe(const char* pre) {
  std::vector<std::string> merges;
  for (const std::string unit : {"a", "\u0120", "\u010a", "!", "<", "\u00e2", "\u00ff"}) {
    std::string token = unit;
    for (int i = 0; i < 5; ++i, token += token) merges.push_back(token + " " + token);
  }
  return testing::make_tokenizer(testing::bpe_data(merges, pre));
}

std::shared_ptr<const Tokenizer> doubling_spm() {
  std::vector<testing::Piece> pieces;
  for (const std::string unit : {"a", "\u2581", "!", "<", "\u4f60", "\uFFFD", "\u0301"}) {
    std::string token = unit;
    for (int i = 0; i < 6; ++i, token += token) pieces.push_back({token, -static_cast<float>(i)});
  }
  return testing::make_tokenizer(testing::spm_data(pieces));
}

// Of this thread's own time, so that what else the machine does counts little.
double seconds_of(const std::function<void()>& body) {
  const auto now = [] {
    timespec t{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
  };
  const double start = now();
  body();
  return now() - start;
}

void expect_whole_text(const Tokenizer& tokenizer, std::string_view text, const std::vector<TokenId>& ids) {
  if (text.find('\xFF') != std::string_view::npos || text.find("\xE2\xE2") != std::string_view::npos) return;
  EXPECT_EQ(detokenize(tokenizer.vocabulary(), ids), text);
}

void check_classes(const Tokenizer& tokenizer, size_t bytes) {
  for (const CharacterClass& c : kClasses) {
    SCOPED_TRACE(c.name);
    const std::string text = repeat(c.unit, bytes);
    std::vector<TokenId> ids;
    run_on_small_stack([&] { ids = tokenizer.encode(text, {.parse_special = true}); });
    EXPECT_FALSE(ids.empty());
    expect_whole_text(tokenizer, text, ids);
  }
}

TEST(TokenizerLinear, AMegabyteOfEachClassOnASmallStack) {
  check_classes(*doubling_bpe("qwen2"), kTextBytes);
  check_classes(*doubling_bpe("gpt-2"), kTextBytes / 4);
  check_classes(*doubling_spm(), kTextBytes);
}

// Four times the text takes four times as long and a little more; a quadratic way would take 16 times as long.
TEST(TokenizerLinear, TimeGrowsWithTheText) {
  const auto bpe = doubling_bpe("qwen2");
  const auto spm = doubling_spm();
  for (const CharacterClass& c : kClasses) {
    const std::string small = repeat(c.unit, kTextBytes / 32);
    const std::string large = repeat(c.unit, kTextBytes / 8);
    for (const Tokenizer* tokenizer : {bpe.get(), spm.get()}) {
      double small_best = 1e9;
      double large_best = 1e9;
      for (int i = 0; i < 2; ++i) {
        small_best = std::min(small_best, seconds_of([&] { (void)tokenizer->encode(small); }));
        large_best = std::min(large_best, seconds_of([&] { (void)tokenizer->encode(large); }));
      }
      EXPECT_LT(large_best, 10 * small_best + 0.02) << c.name;
    }
  }
}

}  // namespace
}  // namespace batchwright

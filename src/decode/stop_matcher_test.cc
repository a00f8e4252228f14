#include "decode/stop_matcher.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace batchwright {
namespace {

StopStrings compile(const std::vector<std::string>& strings) { return StopStrings::make(strings).value(); }

struct Outcome {
  bool stopped = false;
  size_t length = 0;
  bool operator==(const Outcome&) const = default;
};

// The definition, by trying everything.
Outcome search_naively(const std::vector<std::string>& strings, std::string_view text) {
  for (size_t end = 0; end <= text.size(); ++end) {
    size_t longest = 0;
    for (const std::string& s : strings) {
      if (!s.empty() && text.substr(0, end).ends_with(s)) longest = std::max(longest, s.size());
    }
    if (longest > 0) return {true, end - longest};
  }
  return {false, text.size()};
}

size_t held_back_naively(const std::vector<std::string>& strings, std::string_view text) {
  size_t longest = 0;
  for (const std::string& s : strings) {
    for (size_t length = 1; length < s.size() && length <= text.size(); ++length) {
      if (text.ends_with(std::string_view(s).substr(0, length))) longest = std::max(longest, length);
    }
  }
  return longest;
}

TEST(StopMatcher, TextEndsBeforeTheStopString) {
  const StopStrings stops = compile({"\nUser:", "END"});
  StopMatcher matcher(stops);
  EXPECT_FALSE(matcher.feed("Hello\nUse"));
  EXPECT_EQ(matcher.safe_length(), 5U);
  EXPECT_FALSE(matcher.feed("less E"));
  EXPECT_EQ(matcher.safe_length(), 14U);
  EXPECT_TRUE(matcher.feed("ND and more"));
  EXPECT_EQ(matcher.safe_length(), 14U);
  EXPECT_TRUE(matcher.feed("\nUser:"));
  EXPECT_EQ(matcher.safe_length(), 14U);
}

TEST(StopMatcher, TheLongestOfThoseThatEndTogetherCounts) {
  const StopStrings stops = compile({"cd", "abcd", "bcd"});
  StopMatcher matcher(stops);
  EXPECT_TRUE(matcher.feed("xxabcd"));
  EXPECT_EQ(matcher.safe_length(), 2U);
}

TEST(StopMatcher, WithoutStringsNothingStopsAndNothingIsHeldBack) {
  for (const StopStrings& stops : {StopStrings(), compile({}), compile({"", ""})}) {
    EXPECT_TRUE(stops.empty());
    StopMatcher matcher(stops);
    EXPECT_FALSE(matcher.feed(""));
    EXPECT_FALSE(matcher.feed(std::string_view("any\0thing", 9)));
    EXPECT_EQ(matcher.safe_length(), 9U);
  }
}

TEST(StopMatcher, AgreesWithTheDefinitionHoweverTheTextIsCut) {
  std::mt19937_64 random(20240501);
  const auto random_string = [&](size_t length, unsigned letters) {
    std::string s(length, '\0');
    // Bytes on both sides of 128: the order of states must not depend on char's sign.
    for (char& c : s) c = static_cast<char>(random() % letters * 127 + 1);
    return s;
  };
  int stopped = 0;
  for (int round = 0; round < 3000; ++round) {
    const unsigned letters = 1 + static_cast<unsigned>(random() % 3);
    std::vector<std::string> strings(random() % 6);
    for (std::string& s : strings) s = random_string(random() % 8, letters);
    const std::string text = random_string(random() % 40, letters);
    const Outcome expected = search_naively(strings, text);
    stopped += expected.stopped ? 1 : 0;

    const StopStrings stops = compile(strings);
    StopMatcher matcher(stops);
    size_t taken = 0;
    size_t safe = 0;
    while (taken < text.size() && !matcher.stopped()) {
      const size_t length = std::min<size_t>(random() % 5, text.size() - taken);
      matcher.feed(std::string_view(text).substr(taken, length));
      taken += length;
      ASSERT_GE(matcher.safe_length(), safe);
      safe = matcher.safe_length();
      ASSERT_LE(safe, expected.length);
      if (!matcher.stopped()) {
        ASSERT_EQ(safe, taken - held_back_naively(strings, text.substr(0, taken)));
      }
    }
    ASSERT_EQ((Outcome{matcher.stopped(), matcher.stopped() ? safe : taken}), expected) << round;
  }
  EXPECT_GT(stopped, 1000);
  EXPECT_LT(stopped, 2900);
}

TEST(StopMatcher, TenThousandStrings) {
  std::vector<std::string> strings;
  for (int i = 0; i < 10000; ++i) strings.push_back("stop" + std::to_string(i * 7) + ";");
  const StopStrings stops = compile(strings);
  StopMatcher matcher(stops);
  EXPECT_FALSE(matcher.feed("stop1;stop2;stop69"));
  EXPECT_EQ(matcher.safe_length(), 12U);
  EXPECT_TRUE(matcher.feed("993; "));
  EXPECT_EQ(matcher.safe_length(), 12U);
  EXPECT_FALSE(StopMatcher(stops).feed("stop69993 stop69992;"));
}

TEST(StopMatcher, AMegabyteLongStringTakesLinearTime) {
  // Periodic strings are the worst case of matchers that start over.
  const std::string almost(1 << 20, 'a');
  const StopStrings stops = compile({almost + "b"});
  StopMatcher matcher(stops);
  for (int i = 0; i < 4; ++i) EXPECT_FALSE(matcher.feed(almost));
  EXPECT_EQ(matcher.safe_length(), almost.size() * 3);
  EXPECT_TRUE(matcher.feed("b"));
  EXPECT_EQ(matcher.safe_length(), almost.size() * 3);
}

TEST(StopMatcher, TooManyBytesAreRefused) {
  const std::vector<std::string> just(4, std::string(StopStrings::kBytesMax / 4, 'x'));
  EXPECT_TRUE(StopStrings::make(just).ok());
  std::vector<std::string> beyond = just;
  beyond.emplace_back("y");
  const auto result = StopStrings::make(beyond);
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.status().code(), StatusCode::kResourceExhausted);
}

}  // namespace
}  // namespace batchwright

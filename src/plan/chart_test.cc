#include "plan/chart.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

namespace batchwright {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr size_t kMebibyte = size_t{1} << 20;

StepColumns steps_of(const std::vector<StepSample>& samples) {
  StepColumns steps;
  for (const StepSample& sample : samples) steps.add(sample);
  return steps;
}

// Tags are opened and closed in pairs, as far as XML without comments and CDATA goes.
void expect_well_formed(const std::string& svg) {
  std::vector<std::string> open;
  size_t end = 0;
  for (size_t at = svg.find('<'); at != std::string::npos; at = svg.find('<', end)) {
    EXPECT_EQ(svg.substr(end, at - end).find('>'), std::string::npos);
    end = svg.find_first_of("<>", at + 1);
    ASSERT_NE(end, std::string::npos);
    ASSERT_EQ(svg[end], '>');
    const bool closes = svg[at + 1] == '/';
    const size_t name_at = at + (closes ? 2 : 1);
    const std::string name =
        svg.substr(name_at, svg.find_first_not_of("abcdefghijklmnopqrstuvwxyz", name_at) - name_at);
    ASSERT_FALSE(name.empty());
    if (closes) {
      ASSERT_FALSE(open.empty());
      EXPECT_EQ(open.back(), name);
      open.pop_back();
    } else if (svg[end - 1] != '/') {
      open.push_back(name);
    }
    ++end;
  }
  EXPECT_EQ(svg.find('>', end), std::string::npos);
  EXPECT_TRUE(open.empty());
}

// The heights of the path of a kind, as they stand in the file: the second number of each point.
std::vector<double> heights(const std::string& svg, const std::string& kind) {
  const size_t at = svg.find("<path class=\"" + kind + "\"");
  if (at == std::string::npos) return {};
  const size_t path = svg.find(" d=\"", at) + 4;
  const size_t end = svg.find('"', path);
  std::vector<double> found;
  for (size_t point = path; (point = svg.find_first_of("ML", point)) < end; ++point) {
    const size_t height = svg.find(' ', point);
    if (height < end) found.push_back(std::stod(svg.substr(height + 1, end - height)));
  }
  return found;
}

TEST(Chart, WhatASVGFileNeeds) {
  const StepColumns steps =
      steps_of({{0, 0.1, 512, 10, 300, 600, 64 * kMebibyte}, {0.1, 0.2, 512, 64, 0, 0, 96 * kMebibyte}});
  const std::string svg = chart_svg(steps, {"a model", "2 threads", 128 * kMebibyte});
  expect_well_formed(svg);
  for (const char* const part :
       {"Tokens of a step", "answers (decode)", "prompts (prefill)", "budget", "KV memory held, MiB",
        "at most 96.0 MiB", "there are 128.0 MiB", "Prompt tokens that needed no computing, %", "50.0% at the end",
        "time since the first step, milliseconds", "2 threads; 2 steps in 300.0 milliseconds, of 187 tokens",
        "37% full", "prefers-color-scheme:dark"}) {
    EXPECT_THAT(svg, HasSubstr(part));
  }
  EXPECT_EQ(svg, chart_svg(steps, {"a model", "2 threads", 128 * kMebibyte}));
}

TEST(Chart, HeightsAreInProportion) {
  // The second half holds twice the tokens and half the memory.
  const StepColumns steps =
      steps_of({{0, 0.1, 100, 40, 0, 0, 80 * kMebibyte}, {0.1, 0.1, 100, 80, 0, 0, 40 * kMebibyte}});
  const std::string svg = chart_svg(steps, {"t", "", 0});
  for (const auto& [kind, first, second] : {std::tuple("decode", 1.0, 2.0), std::tuple("memory", 2.0, 1.0)}) {
    const std::vector<double> at = heights(svg, kind);
    ASSERT_GE(at.size(), 4U) << kind;
    const double floor = at.back();
    // The way goes along the tops and comes back on the floor.
    const double left = floor - at.front();
    const double right = floor - at[at.size() / 2 - 1];
    EXPECT_GT(left, 10);
    EXPECT_NEAR(left / right, first / second, 0.02) << kind;
  }
}

TEST(Chart, MemoryFarFromItsLimitIsNotPressedToTheFloor) {
  const StepColumns steps = steps_of({{0, 0.1, 100, 40, 0, 0, 80 * kMebibyte}});
  const std::string svg = chart_svg(steps, {"t", "", size_t{8} << 30});
  EXPECT_THAT(svg, HasSubstr("at most 80.0 MiB of 8.0 GiB"));
  EXPECT_THAT(svg, Not(HasSubstr("there are")));
  const std::vector<double> at = heights(svg, "memory");
  ASSERT_FALSE(at.empty());
  EXPECT_GT(at.back() - at.front(), 50);
}

TEST(Chart, TimeWithoutStepsIsAGap) {
  const StepColumns steps = steps_of({{0, 0.05, 100, 40, 0, 0, 1}, {0.15, 0.05, 100, 40, 0, 0, 1}});
  const std::string svg = chart_svg(steps, {"t", "", 0});
  const size_t at = svg.find("<path class=\"decode\"");
  const std::string path = svg.substr(at, svg.find("/>", at) - at);
  EXPECT_EQ(std::count(path.begin(), path.end(), 'Z'), 2);
}

TEST(Chart, NoSteps) {
  const std::string svg = chart_svg(StepColumns(), {"nothing", "", 5});
  expect_well_formed(svg);
  EXPECT_THAT(svg, HasSubstr("no step was run"));
}

TEST(Chart, TitlesOfAnyBytes) {
  const std::string svg = chart_svg(StepColumns(), {"<&>\"\n\xff"
                                                    "a",
                                                    "\x01", 0});
  expect_well_formed(svg);
  EXPECT_THAT(svg, HasSubstr("&lt;&amp;&gt;\"\xEF\xBF\xBD\xEF\xBF\xBD"
                             "a"));
  EXPECT_THAT(svg, Not(HasSubstr("\x01")));
}

TEST(Chart, AnHourAndAMillionSteps) {
  StepColumns steps;
  for (int i = 0; i < 1'000'000; ++i) steps.add({0.02 * i, 0.02, 512, 64 + i % 8, i % 100, 2 * (i % 100), kMebibyte});
  const std::string svg = chart_svg(steps, {"long", "", 2 * kMebibyte});
  EXPECT_THAT(svg, HasSubstr("time since the first step, hours"));
  EXPECT_THAT(svg, HasSubstr("1,000,000 steps"));
  EXPECT_LT(svg.size(), 40'000U);
}

TEST(Chart, TicksAreRound) {
  EXPECT_DOUBLE_EQ(tick_step(512, 8), 100);
  EXPECT_DOUBLE_EQ(tick_step(100, 5), 20);
  EXPECT_DOUBLE_EQ(tick_step(0.07, 8), 0.01);
  for (double top = 1e-6; top < 1e12; top *= 1.37) {
    for (const double most : {3.0, 5.5, 10.0}) {
      const double step = tick_step(top, most);
      EXPECT_LE(top / step, most * (1 + 1e-9)) << top;
      EXPECT_GE(top / step, most / 2.5 * (1 - 1e-9)) << top;
      const double digits = step / std::pow(10, std::floor(std::log10(step * (1 + 1e-9))));
      EXPECT_TRUE(std::abs(digits - 1) < 1e-6 || std::abs(digits - 2) < 1e-6 || std::abs(digits - 5) < 1e-6) << step;
    }
  }
}

}  // namespace
}  // namespace batchwright

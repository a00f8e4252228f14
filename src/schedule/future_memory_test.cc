#include "schedule/future_memory.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

#include "step/step.h"

namespace batchwright {
namespace {

// Step by step, as it happens.
int64_t simulated_peak(const std::vector<FutureSequence>& sequences) {
  int64_t peak = 0;
  int longest = 0;
  for (const FutureSequence& s : sequences) longest = std::max(longest, s.growth);
  for (int t = 0; t <= longest; ++t) {
    int64_t pages = 0;
    for (const FutureSequence& s : sequences) {
      if (t <= s.growth) pages += blocks_for(s.known + t) - s.kept;
    }
    peak = std::max(peak, pages);
  }
  return peak;
}

void by_falling_growth(std::vector<FutureSequence>& sequences) {
  std::sort(sequences.begin(), sequences.end(),
            [](const FutureSequence& a, const FutureSequence& b) { return a.growth > b.growth; });
}

std::vector<FutureSequence> random_sequences(std::mt19937& random) {
  std::vector<FutureSequence> sequences(random() % 9);
  for (FutureSequence& s : sequences) {
    s.known = 1 + static_cast<int>(random() % 300);
    s.growth = static_cast<int>(random() % (random() % 3 == 0 ? 5 : 250));
    s.kept = static_cast<int>(random() % static_cast<uint32_t>(blocks_for(s.known) + 1));
  }
  by_falling_growth(sequences);
  return sequences;
}

TEST(FutureMemory, IsWhatASimulationSees) {
  for (uint32_t seed = 0; seed < 3000; ++seed) {
    std::mt19937 random(seed);
    const auto sequences = random_sequences(random);
    ASSERT_EQ(future_peak_pages(sequences), simulated_peak(sequences)) << "seed " << seed;
  }
}

TEST(FutureMemory, TheOneWithTheLeastGrowthCanAlwaysGoOn) {
  for (uint32_t seed = 0; seed < 3000; ++seed) {
    std::mt19937 random(seed);
    auto sequences = random_sequences(random);
    while (!sequences.empty()) {
      const int64_t peak = future_peak_pages(sequences);
      if (--sequences.back().growth < 0) {
        sequences.pop_back();
      } else {
        ++sequences.back().known;
      }
      by_falling_growth(sequences);
      ASSERT_LE(future_peak_pages(sequences), peak) << "seed " << seed;
    }
  }
}

// What the scheduler relies on to look once a step.
TEST(FutureMemory, ALeadCoversAStepOfAnyOfThem) {
  int64_t above = 0;
  for (uint32_t seed = 0; seed < 3000; ++seed) {
    std::mt19937 random(seed);
    const auto sequences = random_sequences(random);
    const int64_t bound = future_peak_pages(sequences, 1);
    above += bound - future_peak_pages(sequences);
    std::vector<FutureSequence> stepped;
    for (FutureSequence s : sequences) {
      if (random() % 2 == 0) {
        if (s.growth == 0) continue;
        --s.growth;
        ++s.known;
      }
      stepped.push_back(s);
    }
    by_falling_growth(stepped);
    ASSERT_LE(future_peak_pages(stepped), bound) << "seed " << seed;
    // All together is the course of events that the peak stands for.
    std::vector<FutureSequence> together;
    for (FutureSequence s : sequences) {
      if (s.growth > 0) together.push_back({s.known + 1, s.growth - 1, s.kept});
    }
    ASSERT_LE(future_peak_pages(together, 1), bound) << "seed " << seed;
  }
  EXPECT_LT(above, 3000) << "the bound is meant to be close";
}

}  // namespace
}  // namespace batchwright

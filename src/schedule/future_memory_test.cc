#include "schedule/future_memory.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

#include "step/step.h"

namespace batchwright {
namespace {

// Step by step, as it happens.
int64_t simulated_peak(const std::vector<FutureSequence>& sequences, int most) {
  int64_t peak = 0;
  int longest = 0;
  for (const FutureSequence& s : sequences) longest = std::max(longest, s.growth);
  for (int t = 0; t <= longest; ++t) {
    int64_t pages = 0;
    for (const FutureSequence& s : sequences) {
      if (t <= s.growth) pages += std::min(blocks_for(s.known + t), most) - s.kept;
    }
    peak = std::max(peak, pages);
  }
  return peak;
}

void by_falling_growth(std::vector<FutureSequence>& sequences) {
  std::sort(sequences.begin(), sequences.end(),
            [](const FutureSequence& a, const FutureSequence& b) { return a.growth > b.growth; });
}

// With a window of a few blocks every second time.
int random_most(std::mt19937& random) { return random() % 2 == 0 ? kAllBlocks : 1 + static_cast<int>(random() % 6); }

std::vector<FutureSequence> random_sequences(std::mt19937& random, int most) {
  std::vector<FutureSequence> sequences(random() % 9);
  for (FutureSequence& s : sequences) {
    s.known = 1 + static_cast<int>(random() % 300);
    s.growth = static_cast<int>(random() % (random() % 3 == 0 ? 5 : 250));
    if (most == kAllBlocks) s.kept = static_cast<int>(random() % static_cast<uint32_t>(blocks_for(s.known) + 1));
  }
  by_falling_growth(sequences);
  return sequences;
}

TEST(FutureMemory, IsWhatASimulationSees) {
  for (uint32_t seed = 0; seed < 3000; ++seed) {
    std::mt19937 random(seed);
    const int most = random_most(random);
    const auto sequences = random_sequences(random, most);
    ASSERT_EQ(future_peak_pages(sequences, 0, most), simulated_peak(sequences, most)) << "seed " << seed;
  }
}

TEST(FutureMemory, TheOneWithTheLeastGrowthCanAlwaysGoOn) {
  for (uint32_t seed = 0; seed < 3000; ++seed) {
    std::mt19937 random(seed);
    const int most = random_most(random);
    auto sequences = random_sequences(random, most);
    while (!sequences.empty()) {
      const int64_t peak = future_peak_pages(sequences, 0, most);
      if (--sequences.back().growth < 0) {
        sequences.pop_back();
      } else {
        ++sequences.back().known;
      }
      by_falling_growth(sequences);
      ASSERT_LE(future_peak_pages(sequences, 0, most), peak) << "seed " << seed;
    }
  }
}

// What the scheduler relies on to look once a step.
TEST(FutureMemory, ALeadCoversAStepOfAnyOfThem) {
  int64_t above = 0;
  for (uint32_t seed = 0; seed < 3000; ++seed) {
    std::mt19937 random(seed);
    const int most = random_most(random);
    const auto sequences = random_sequences(random, most);
    const int64_t bound = future_peak_pages(sequences, 1, most);
    above += bound - future_peak_pages(sequences, 0, most);
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
    ASSERT_LE(future_peak_pages(stepped, 0, most), bound) << "seed " << seed;
    // All together is the course of events that the peak stands for.
    std::vector<FutureSequence> together;
    for (FutureSequence s : sequences) {
      if (s.growth > 0) together.push_back({s.known + 1, s.growth - 1, s.kept});
    }
    ASSERT_LE(future_peak_pages(together, 1, most), bound) << "seed " << seed;
  }
  EXPECT_LT(above, 3000) << "the bound is meant to be close";
}

}  // namespace
}  // namespace batchwright

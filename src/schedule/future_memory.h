// The most pages that sequences will hold at once, known from their lengths alone.
#pragma once

#include <cstdint>
#include <limits>
#include <span>

#include "step/step.h"

namespace batchwright {

struct FutureSequence {
  int known = 0;   // positions that have a page, or need one in the next step
  int growth = 0;  // positions that are still to follow, one a step; then the sequence ends
  int kept = 0;    // of its leading blocks, so many outlive it: they are counted elsewhere
};

// Of a sequence's blocks, where it holds all.
inline constexpr int kAllBlocks = std::numeric_limits<int>::max() / kPagePositions;

// The peak of future memory (Past-Future scheduler of LightLLM, Gong et al., ASPLOS 2025), here with whole pages: if
// all sequences go on together, one position a step each, memory is highest just before one of them ends. Exact for
// that course of events; `sequences` stand by falling growth. `most`: the blocks that a sequence holds at most, where
// attention sees a window only; none may be kept then. Linear time, or n log n with windows.
//
// Where the peak fits into memory, all can end without anybody giving up a page, in whatever order they are let go on:
// the one with the least growth can always go on, and where it does the peak does not rise.
//
// lead: 1 gives a bound for what the peak will be after any of the sequences have gone on by a position, and others
// not.
int64_t future_peak_pages(std::span<const FutureSequence> sequences, int lead = 0, int most = kAllBlocks);

}  // namespace batchwright

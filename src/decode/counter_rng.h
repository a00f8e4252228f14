// Draws that depend on what is drawn for, never on what was drawn before: a counter-based generator.
#pragma once

#include <array>
#include <cstdint>

namespace batchwright {

// Philox4x32-10 (Salmon, Moraes, Dror, Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3").
std::array<uint32_t, 4> philox4x32_10(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key);

// The draw number `draw` for the token at `position` of choice `choice`: a multiple of 2^-53 in [0, 1).
// Philox's key is (low, high half of seed), its counter (choice, position, draw, 0); of its four words the first two
// make a 64-bit number, the second in the high half, of which the upper 53 bits are taken.
double uniform_draw(uint64_t seed, uint32_t choice, uint32_t position, uint32_t draw);

}  // namespace batchwright

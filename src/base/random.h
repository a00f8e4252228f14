// Random numbers that are the same for the same seed on every machine. Not for secrets.
#pragma once

#include <cstdint>

#include "base/check.h"

namespace batchwright {

// SplitMix64 (Steele, Lea and Flood, "Fast Splittable Pseudorandom Number Generators", OOPSLA 2014).
class SplitMix64 {
 public:
  explicit SplitMix64(uint64_t seed) : state_(seed) {}

  uint64_t next() {
    uint64_t z = (state_ += 0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  // One of 0 .. bound - 1; bound is at least 1. Not quite even where bound is near 2^64.
  uint64_t below(uint64_t bound) {
    BATCHWRIGHT_CHECK(bound > 0);
    return next() % bound;
  }

 private:
  uint64_t state_;
};

}  // namespace batchwright

#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>

#include "batchwright/request.h"
#include "decode/sampler.h"

namespace batchwright::decode {

// Tokens by (scaled logit descending, id ascending), sorted only as far as somebody looks: a histogram of the logits'
// magnitudes tells which tokens can be among the next ones, and only those are gathered and sorted.
class SortedCandidates {
 public:
  // scaled: at most 0, the largest 0; no NaN. `expected`: a guess of how many will be required; 0: none.
  // Borrows `scaled` and `scratch`.
  SortedCandidates(std::span<const float> scaled, int expected, SamplerScratch& scratch);

  // Foretells that candidates will be required until their weights exp(scaled) sum to `weight`: saves work, changes
  // nothing. Before the first require().
  void expect_weight(double weight);

  // Makes the first `count` ready; false where there are fewer tokens.
  bool require(size_t count) {
    while (keys_.size() < count) {
      if (!extend()) return false;
    }
    return true;
  }

  // Of the i-th candidate. Precondition: require(i + 1).
  float scaled_logit(size_t i) const { return -std::bit_cast<float>(static_cast<uint32_t>(keys_[i] >> 32)); }
  TokenId token(size_t i) const { return static_cast<TokenId>(keys_[i] & 0xFFFFFFFF); }

 private:
  bool extend();

  std::span<const float> scaled_;
  size_t wanted_;                 // candidates to gather with the next step, at least
  uint32_t bucket_ = 0;           // those below are gathered
  std::vector<uint64_t>& keys_;   // magnitude's bits above the id: ascending integers are the sorted order
  std::vector<uint64_t>& spare_;  // for sorting
  std::vector<uint32_t>& histogram_;
};

}  // namespace batchwright::decode

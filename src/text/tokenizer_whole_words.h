// Which tokens the merges make of their own text. Most words of a text are one token; to know that beforehand saves
// merging them. Found out at a token's first use and remembered: the answer never changes, so threads may race for it.
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "batchwright/request.h"

namespace batchwright {

class WholeWords {
 public:
  enum class State : uint8_t { kUnknown, kWhole, kInParts };

  explicit WholeWords(int vocabulary_size) : states_(static_cast<size_t>(vocabulary_size)) {}

  State get(TokenId id) const { return states_[static_cast<size_t>(id)].load(std::memory_order_relaxed); }
  void set(TokenId id, State state) const { states_[static_cast<size_t>(id)].store(state, std::memory_order_relaxed); }

 private:
  mutable std::vector<std::atomic<State>> states_;
};

}  // namespace batchwright

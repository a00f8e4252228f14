// Finds the tokens that are not made by merging: control, unknown and user-defined ones.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "batchwright/request.h"
#include "text/vocabulary.h"

namespace batchwright {

// Immutable.
class SpecialTokens {
 public:
  struct Match {
    TokenId id = -1;  // -1: none
    size_t size = 0;  // bytes
  };

  // For SPM the texts are looked for with their spaces written as U+2581.
  explicit SpecialTokens(const Vocabulary& vocabulary);

  // The longest token that begins at text[at]. Control and unknown tokens count only if they end at trusted_end or
  // before; user-defined ones in any case.
  Match match(std::string_view text, size_t at, size_t trusted_end) const;

  // The first position from at on, and before end, where a token may begin; end where there is none.
  size_t next_start(std::string_view text, size_t at, size_t end, bool trusted) const {
    const std::array<bool, 256>& starts = trusted ? trusted_starts_ : any_starts_;
    while (at < end && !starts[static_cast<uint8_t>(text[at])]) ++at;
    return at;
  }

 private:
  // A trie. The children of a node are a list of siblings.
  struct Node {
    char byte = 0;
    int32_t child = -1;
    int32_t sibling = -1;
    TokenId trusted_token = -1;
    TokenId any_token = -1;
  };

  int32_t find_child(int32_t node, char byte) const;
  void insert(std::string_view text, TokenId id, bool needs_trust);

  std::vector<Node> nodes_;
  std::array<int32_t, 256> roots_;
  std::array<bool, 256> trusted_starts_{};
  std::array<bool, 256> any_starts_{};
};

}  // namespace batchwright

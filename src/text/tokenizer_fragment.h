// What the two kinds of tokeniser have in common, for Tokenizer: a fragment of text without special tokens to tokens.
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "batchwright/request.h"

namespace batchwright {

// Immutable; sessions in any number of threads at once.
class FragmentEncoder {
 public:
  // The memory for one call of Tokenizer::encode. One a thread; must not outlive the encoder.
  class Session {
   public:
    virtual ~Session() = default;
    // Appends the fragment's tokens. Precondition: valid UTF-8, less than 2 GiB; for SPM with spaces as U+2581.
    virtual void encode(std::string_view fragment, std::vector<TokenId>& out) = 0;
  };

  virtual ~FragmentEncoder() = default;
  virtual std::unique_ptr<Session> session() const = 0;
};

}  // namespace batchwright

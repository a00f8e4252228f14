// Tokens to text, as they come.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "batchwright/request.h"
#include "text/vocabulary.h"

namespace batchwright {

struct DetokenizeOptions {
  // Show control and unknown tokens by their text.
  bool show_special = false;
  // Drop one space at the very beginning: the one that a vocabulary with add_space_prefix puts there. For whole texts;
  // not for what continues a prompt.
  bool strip_space_prefix = false;
};

// What it gives out is always valid UTF-8 and ends at the end of a character: bytes of a character that is not complete
// wait for the next token. Bytes that cannot become a character are given out as U+FFFD, one for each longest prefix of
// a character, so that the pieces joined equal Python's b"".join(bytes).decode(errors="replace"). NUL passes.
//
// One a choice; not thread-safe. The vocabulary must outlive it.
class Detokenizer {
 public:
  explicit Detokenizer(const Vocabulary& vocabulary, DetokenizeOptions options = {})
      : vocabulary_(&vocabulary), options_(options) {}

  // The text that this token completes; may be empty. Valid until the next call. Precondition: the vocabulary contains
  // the id.
  std::string_view push(TokenId id);
  // What was left waiting, as U+FFFD. The detokeniser is as new afterwards.
  std::string_view flush();

 private:
  const Vocabulary* vocabulary_;
  DetokenizeOptions options_;
  bool at_start_ = true;
  std::string pending_;  // at most 3 bytes: the beginning of a character
  std::string out_;
};

// All at once. Precondition: the vocabulary contains each id.
std::string detokenize(const Vocabulary& vocabulary, std::span<const TokenId> ids, DetokenizeOptions options = {});

}  // namespace batchwright

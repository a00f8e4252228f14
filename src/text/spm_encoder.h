// Sentencepiece's BPE (Kudo and Richardson 2018, arXiv:1808.06226): characters merge by the score of what they become.
#pragma once

#include <array>
#include <memory>
#include <string_view>
#include <vector>

#include "text/tokenizer_fragment.h"
#include "text/tokenizer_merge.h"
#include "text/tokenizer_text_index.h"
#include "text/tokenizer_whole_words.h"
#include "text/vocabulary.h"

namespace batchwright {

// A character without a token becomes its bytes' tokens; where the vocabulary lacks one of them, a run of such
// characters becomes one unknown token, as in sentencepiece; where there is none either, it is left out. Merges make
// normal, user-defined and unused tokens, never control, unknown or byte tokens: text must not be able to spell one.
// Unused tokens fall apart again into what they were made of.
class SpmEncoder final : public FragmentEncoder {
 public:
  explicit SpmEncoder(std::shared_ptr<const Vocabulary> vocabulary);

  std::unique_ptr<Session> session() const override;

 private:
  class SpmSession;

  // Where the word that begins at begin ends. No piece spans such an end, so that words merge each for itself.
  size_t word_end(std::string_view text, size_t begin) const;

  std::shared_ptr<const Vocabulary> vocabulary_;
  TextIndex pieces_;  // their ranks: 0 for the highest score
  bool has_unused_ = false;
  // By a character's last byte: whether a piece has such a character before a U+2581.
  std::array<bool, 256> joins_space_{};
  WholeWords whole_words_;
};

}  // namespace batchwright

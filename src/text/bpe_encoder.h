// Byte-level BPE (GPT-2, Qwen, Llama 3): words by a pattern, in each word the bytes merge by rank (Sennrich et al.
// 2016, arXiv:1508.07909).
#pragma once

#include <array>
#include <memory>
#include <vector>

#include "batchwright/status.h"
#include "text/pretokenizer.h"
#include "text/tokenizer_fragment.h"
#include "text/tokenizer_merge.h"
#include "text/tokenizer_text_index.h"
#include "text/tokenizer_whole_words.h"
#include "text/vocabulary.h"

namespace batchwright {

// A byte for which the vocabulary has no token becomes the unknown token; where there is none either, it is left out,
// as llama.cpp and Hugging Face's tokenizers do. Of several merges of one pair the first counts. A merge into a control
// token never happens: text must not be able to spell one.
class BpeEncoder final : public FragmentEncoder {
 public:
  static Result<std::unique_ptr<const FragmentEncoder>> create(std::shared_ptr<const Vocabulary> vocabulary);

  std::unique_ptr<Session> session() const override;

 private:
  class BpeSession;

  // Open-addressed, keyed by the two ids.
  struct Pair {
    TokenId left = -1;  // -1: free
    TokenId right = -1;
    MergeCandidate merge;
  };

  BpeEncoder(std::shared_ptr<const Vocabulary> vocabulary, std::unique_ptr<const PreTokenizer> pre_tokenizer);
  void add_merge(TokenId left, TokenId right, MergeCandidate merge);
  MergeCandidate find_merge(TokenId left, TokenId right) const;
  static uint64_t pair_hash(TokenId left, TokenId right);

  std::shared_ptr<const Vocabulary> vocabulary_;
  std::unique_ptr<const PreTokenizer> pre_tokenizer_;
  std::array<TokenId, 256> byte_tokens_{};
  std::vector<Pair> pairs_;  // a power of two of them
  TextIndex words_;          // normal tokens by their bytes
  WholeWords whole_words_;
};

}  // namespace batchwright

// Text to tokens.
#pragma once

#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "batchwright/request.h"
#include "batchwright/status.h"
#include "text/vocabulary.h"

namespace batchwright {

class FragmentEncoder;
class SpecialTokens;

// A piece of a prompt and who wrote it. Borrows the text.
struct TextSpan {
  std::string_view text;
  // Written by the chat template (or another part of this program), not by a user: here control tokens are tokens.
  bool trusted = false;
};

struct EncodeOptions {
  // encode() only: treat the text as trusted, so that "<|im_end|>" in it becomes the control token. encode_spans()
  // goes by the spans.
  bool parse_special = false;
  // Put BOS first where the vocabulary asks for it, unless the text's first token is BOS already.
  bool add_bos = false;
  // Put EOS last where the vocabulary asks for it.
  bool add_eos = false;
  // False: no space goes before the text even where the vocabulary puts one there.
  bool add_space_prefix = true;
};

// Immutable; all functions may be called from any number of threads at once.
//
// Never fails: any bytes are text. A byte that is not part of valid UTF-8 is read as one U+FFFD (as sentencepiece does;
// llama.cpp agrees for BPE). No Unicode normalisation, as in llama.cpp: for qwen2 this differs from its Python
// tokeniser on text that is not in NFC. Time is O(n log n) at worst in the text's length, linear in practice, whatever
// the text; the stack used is small and constant.
//
// Special tokens are found from left to right, the longest first, as sentencepiece and Hugging Face's tokenizers do
// (llama.cpp looks for the longest in the whole text first, which differs where one token's end is another's
// beginning): user-defined tokens in any text; control and unknown tokens only where the whole of their text is
// trusted. What lies between them is tokenised as one text, whoever wrote it.
class Tokenizer {
 public:
  // Errors: kUnsupported where the vocabulary's pre-tokeniser is not built in.
  static Result<std::shared_ptr<const Tokenizer>> create(std::shared_ptr<const Vocabulary> vocabulary);

  ~Tokenizer();
  Tokenizer(const Tokenizer&) = delete;
  Tokenizer& operator=(const Tokenizer&) = delete;

  std::vector<TokenId> encode(std::string_view text, const EncodeOptions& options = {}) const;

  // The spans' texts as one text.
  std::vector<TokenId> encode_spans(std::span<const TextSpan> spans, const EncodeOptions& options = {}) const;

  const Vocabulary& vocabulary() const { return *vocabulary_; }

 private:
  Tokenizer(std::shared_ptr<const Vocabulary> vocabulary, std::unique_ptr<const FragmentEncoder> encoder);

  std::shared_ptr<const Vocabulary> vocabulary_;
  std::unique_ptr<const FragmentEncoder> encoder_;
  std::unique_ptr<const SpecialTokens> special_;
};

}  // namespace batchwright

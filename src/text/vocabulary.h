// A model's vocabulary: what each token's text, kind and bytes are, and the rules by which text becomes tokens.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "batchwright/request.h"
#include "batchwright/status.h"
#include "text/tokenizer_text_index.h"

namespace batchwright {

enum class VocabularyKind {
  kSpm,  // sentencepiece BPE: characters merged by score, spaces as U+2581, unknown characters as byte tokens
  kBpe,  // byte-level BPE: words found by a regular expression, bytes merged by rank
};

// The numbers are those of tokenizer.ggml.token_type.
enum class TokenType : uint8_t {
  kNormal = 1,
  kUnknown = 2,      // what stands for text that the vocabulary cannot spell
  kControl = 3,      // written by templates, never by users' text
  kUserDefined = 4,  // found in any text before it is cut into words
  kUnused = 5,
  kByte = 6,  // SPM: one byte, its text is <0x00> to <0xFF>
};

// What a model file says, unchecked.
struct VocabularyData {
  VocabularyKind kind = VocabularyKind::kBpe;
  // BPE: the pattern that cuts text into words, by its GGUF name ("qwen2", "gpt-2", "llama-bpe", ...).
  std::string pre_tokenizer;

  std::vector<std::string> tokens;
  // SPM: one a token, higher merges first. BPE: empty or one a token, and ignored.
  std::vector<float> scores;
  // One a token (TokenType as a number), or empty: all normal.
  std::vector<int32_t> types;
  // BPE: "left right", best first.
  std::vector<std::string> merges;

  std::optional<int64_t> bos;
  std::optional<int64_t> eos;
  std::optional<int64_t> eot;
  std::optional<int64_t> unknown;
  std::optional<int64_t> padding;

  bool add_bos = false;
  bool add_eos = false;
  // SPM: a space goes before the text, and before the text after each control token.
  bool add_space_prefix = false;
};

// Immutable, so safe to share between threads.
class Vocabulary {
 public:
  // A merge of tokens: left and right, side by side, become merged. The merges stand in their order of rank.
  struct Merge {
    TokenId left = 0;
    TokenId right = 0;
    TokenId merged = 0;
  };

  // Control and user-defined tokens may not be longer; they are looked for at every position of a text.
  static constexpr size_t kSpecialTokenBytesMax = 1024;

  // Errors: kInvalidData for what contradicts itself, naming the GGUF key and the index; kUnsupported for a
  // pre-tokeniser that is not built in, listing those that are.
  //
  // Several tokens of one text and the same role: encoding uses the one with the highest id, as llama.cpp does; each
  // decodes. A token of empty text is never produced by encoding, and decodes to nothing.
  static Result<std::shared_ptr<const Vocabulary>> create(const VocabularyData& data);

  int size() const { return static_cast<int>(types_.size()); }
  bool contains(TokenId id) const { return id >= 0 && id < size(); }
  VocabularyKind kind() const { return kind_; }
  const std::string& pre_tokenizer() const { return pre_tokenizer_; }

  // The functions of an id want contains(id).

  // As the model file spells it: "Ġthe", "▁the", "<0x0A>", "<|im_end|>".
  std::string_view token_text(TokenId id) const;
  // What it adds to a text. A control or unknown token has the bytes of its text here ("<|im_end|>"; whether they are
  // shown is the detokeniser's choice); an unused one, and the padding of a vocabulary, has none.
  std::string_view token_bytes(TokenId id) const;
  TokenType type(TokenId id) const;
  // SPM; 0 otherwise.
  float score(TokenId id) const;
  // Control and unknown tokens: not part of the text unless asked for.
  bool is_special(TokenId id) const;

  std::optional<TokenId> bos() const { return bos_; }
  std::optional<TokenId> eos() const { return eos_; }
  std::optional<TokenId> eot() const { return eot_; }
  std::optional<TokenId> unknown() const { return unknown_; }
  std::optional<TokenId> padding() const { return padding_; }
  bool add_bos() const { return add_bos_; }
  bool add_eos() const { return add_eos_; }
  bool add_space_prefix() const { return add_space_prefix_; }

  // Whether the model ends its answer with this token: eos, eot, and control tokens that are known by their text to
  // end a turn or a document ("<|im_end|>", "<end_of_turn>", "<|eot_id|>", ...).
  bool is_end_of_generation(TokenId id) const;
  // All of them, ascending.
  std::span<const TokenId> end_of_generation() const { return end_of_generation_; }

  // The token with this text as the model file spells it, of whatever type; none for the empty text.
  std::optional<TokenId> find(std::string_view text) const;
  // The token that stands for one byte: SPM's <0xHH>, BPE's single-byte token.
  std::optional<TokenId> byte_token(uint8_t byte) const;

  // BPE; empty for SPM.
  std::span<const Merge> merges() const { return merges_; }

 private:
  // Texts one after the other: that of id begins at offsets[id].
  struct Texts {
    std::string bytes;
    std::vector<uint32_t> offsets{0};
    void append(std::string_view text);
    std::string_view operator[](TokenId id) const;
  };

  Vocabulary() = default;
  Status set_tokens(const VocabularyData& data);
  Status set_special_ids(const VocabularyData& data);
  Status set_merges(const VocabularyData& data);
  void set_end_of_generation();

  VocabularyKind kind_ = VocabularyKind::kBpe;
  std::string pre_tokenizer_;
  Texts texts_;
  Texts token_bytes_;
  std::vector<TokenType> types_;
  std::vector<float> scores_;
  std::vector<Merge> merges_;
  TextIndex by_text_;
  std::vector<TokenId> byte_tokens_;  // 256, -1 for none
  std::optional<TokenId> bos_, eos_, eot_, unknown_, padding_;
  bool add_bos_ = false;
  bool add_eos_ = false;
  bool add_space_prefix_ = false;
  std::vector<TokenId> end_of_generation_;
};

}  // namespace batchwright

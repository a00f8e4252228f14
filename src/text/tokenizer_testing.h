// Vocabularies made by hand, for tests.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <vector>

#include "text/bpe_bytes.h"
#include "text/tokenizer.h"
#include "text/vocabulary.h"

namespace batchwright::testing {

inline void add_token(VocabularyData& data, const std::string& text, TokenType type = TokenType::kNormal,
                      float score = 0) {
  data.tokens.push_back(text);
  data.types.push_back(static_cast<int32_t>(type));
  data.scores.push_back(score);
}

// Ids 0 to 255 are the bytes; then one token for each merge ("left right", as files spell them), unless there is one;
// then <|end|> (control, eos), <|im_start|> (control) and <tool> (user-defined).
inline VocabularyData bpe_data(const std::vector<std::string>& merges, const std::string& pre = "qwen2") {
  VocabularyData data;
  data.kind = VocabularyKind::kBpe;
  data.pre_tokenizer = pre;
  for (int byte = 0; byte < 256; ++byte) {
    std::string text;
    append_byte_level(text, static_cast<uint8_t>(byte));
    add_token(data, text);
  }
  for (const std::string& merge : merges) {
    std::string joined = merge;
    joined.erase(joined.find(' ', 1), 1);
    if (std::find(data.tokens.begin(), data.tokens.end(), joined) == data.tokens.end()) add_token(data, joined);
    data.merges.push_back(merge);
  }
  add_token(data, "<|end|>", TokenType::kControl);
  data.eos = static_cast<int64_t>(data.tokens.size()) - 1;
  add_token(data, "<|im_start|>", TokenType::kControl);
  add_token(data, "<tool>", TokenType::kUserDefined);
  return data;
}

struct Piece {
  std::string text;
  float score;
};

// <unk> 0, <bos> 1, <eos> 2, <|turn|> 3 (control), "\n\n" 4 and two spaces 5 (user-defined), the bytes from 6 on, then
// the pieces.
inline VocabularyData spm_data(const std::vector<Piece>& pieces) {
  VocabularyData data;
  data.kind = VocabularyKind::kSpm;
  add_token(data, "<unk>", TokenType::kUnknown);
  add_token(data, "<bos>", TokenType::kControl);
  add_token(data, "<eos>", TokenType::kControl);
  add_token(data, "<|turn|>", TokenType::kControl);
  add_token(data, "\n\n", TokenType::kUserDefined);
  add_token(data, "  ", TokenType::kUserDefined);
  for (int byte = 0; byte < 256; ++byte) add_token(data, fmt::format("<0x{:02X}>", byte), TokenType::kByte);
  for (const Piece& piece : pieces) add_token(data, piece.text, TokenType::kNormal, piece.score);
  data.bos = 1;
  data.eos = 2;
  data.unknown = 0;
  return data;
}

inline std::shared_ptr<const Tokenizer> make_tokenizer(const VocabularyData& data) {
  auto vocabulary = Vocabulary::create(data);
  auto tokenizer = Tokenizer::create(vocabulary.value());
  return tokenizer.value();
}

// The tokens' texts, as the vocabulary spells them.
inline std::vector<std::string> texts_of(const Tokenizer& tokenizer, const std::vector<TokenId>& ids) {
  std::vector<std::string> texts;
  for (const TokenId id : ids) texts.emplace_back(tokenizer.vocabulary().token_text(id));
  return texts;
}

}  // namespace batchwright::testing

#include "text/vocabulary.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>

#include "base/check.h"
#include "base/status_macros.h"
#include "formats/printable.h"
#include "text/bpe_bytes.h"
#include "text/pretokenizer.h"
#include "text/spm_spaces.h"

namespace batchwright {
namespace {

constexpr size_t kTokensMax = size_t{1} << 24;
constexpr size_t kTokenBytesMax = 65535;
constexpr size_t kTextBytesMax = size_t{1} << 30;

// Tokens that end a turn, whatever a file says their type is: text must not be able to end one. Those of llama.cpp.
constexpr std::array<std::string_view, 7> kTurnEnds = {"<|eot_id|>",    "<|im_end|>", "<|end|>", "<end_of_turn>",
                                                       "<|endoftext|>", "<|eom_id|>", "<EOT>"};
// Those that end an answer where they are control tokens; elsewhere they are other things ("</s>" is HTML to Gemma).
// The marks of files are here because code models go on with another file after them.
constexpr std::array<std::string_view, 13> kAnswerEnds = {
    "_<EOT>",      "</s>",      "<eos>", "<|end_of_text|>", "<end_of_utterance>", "<｜end▁of▁sentence｜>",
    "<|fim_pad|>", "<fim-pad>", "<PAD>", "<|repo_name|>",   "<fim-repo>",         "<REPO>",
    "<|file_sep|>"};

template <size_t N>
bool contains_text(const std::array<std::string_view, N>& texts, std::string_view text) {
  return std::find(texts.begin(), texts.end(), text) != texts.end();
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

// The byte that "<0x0A>" names.
std::optional<uint8_t> parse_byte_text(std::string_view text) {
  if (text.size() != 6 || text.substr(0, 3) != "<0x" || text[5] != '>') return std::nullopt;
  const int high = hex_digit(text[3]);
  const int low = hex_digit(text[4]);
  if (high < 0 || low < 0) return std::nullopt;
  return static_cast<uint8_t>(high * 16 + low);
}

std::string quoted(std::string_view text) { return '"' + printable(text, 40) + '"'; }

Status check_sizes(const VocabularyData& data) {
  if (data.tokens.empty()) return invalid_data("tokenizer.ggml.tokens is missing or empty");
  if (data.tokens.size() > kTokensMax) {
    return invalid_data(fmt::format("tokenizer.ggml.tokens has {} tokens; at most {}", data.tokens.size(), kTokensMax));
  }
  const auto check_count = [&](const char* key, size_t count) {
    return count == data.tokens.size() ? Status()
                                       : invalid_data(fmt::format("{} has {} values, but tokenizer.ggml.tokens has {}",
                                                                  key, count, data.tokens.size()));
  };
  if (!data.types.empty()) {
    BATCHWRIGHT_RETURN_IF_ERROR(check_count("tokenizer.ggml.token_type", data.types.size()));
  }
  if (!data.scores.empty() || data.kind == VocabularyKind::kSpm) {
    BATCHWRIGHT_RETURN_IF_ERROR(check_count("tokenizer.ggml.scores", data.scores.size()));
  }
  for (size_t i = 0; i < data.scores.size(); ++i) {
    if (std::isnan(data.scores[i])) return invalid_data(fmt::format("tokenizer.ggml.scores[{}] is not a number", i));
  }
  size_t total = 0;
  for (size_t i = 0; i < data.tokens.size(); ++i) {
    total += data.tokens[i].size();
    if (data.tokens[i].size() > kTokenBytesMax) {
      return invalid_data(
          fmt::format("tokenizer.ggml.tokens[{}] has {} bytes; at most {}", i, data.tokens[i].size(), kTokenBytesMax));
    }
  }
  if (total > kTextBytesMax) {
    return invalid_data(fmt::format("tokenizer.ggml.tokens has {} bytes; at most {}", total, kTextBytesMax));
  }
  return {};
}

// The type that the file gives, after what files are known to get wrong.
Result<TokenType> token_type(const VocabularyData& data, size_t i) {
  const std::string& text = data.tokens[i];
  if (data.types.empty()) {
    // Old SPM files have no types; their bytes are known by their spelling.
    const bool byte = data.kind == VocabularyKind::kSpm && parse_byte_text(text).has_value();
    return byte ? TokenType::kByte : TokenType::kNormal;
  }
  const int32_t number = data.types[i];
  if (number < 1 || number > 6) {
    return invalid_data(fmt::format("tokenizer.ggml.token_type[{}] is {}; allowed are 1 to 6", i, number));
  }
  const auto type = static_cast<TokenType>(number);
  if (type == TokenType::kByte) {
    if (data.kind != VocabularyKind::kSpm) {
      return invalid_data(
          fmt::format("tokenizer.ggml.token_type[{}] is 6 (byte), which only 'llama' tokenizers have", i));
    }
    if (!parse_byte_text(text)) {
      return invalid_data(
          fmt::format("tokenizer.ggml.tokens[{}] is a byte token, but its text is {}; allowed are "
                      "<0x00> to <0xFF>",
                      i, quoted(text)));
    }
  }
  const bool special = type == TokenType::kControl || type == TokenType::kUnknown || type == TokenType::kUserDefined;
  if (special && text.size() > Vocabulary::kSpecialTokenBytesMax) {
    return invalid_data(fmt::format("tokenizer.ggml.tokens[{}] is a special token of {} bytes; at most {}", i,
                                    text.size(), Vocabulary::kSpecialTokenBytesMax));
  }
  // Some converters wrote them as user-defined.
  if (type == TokenType::kUserDefined && contains_text(kTurnEnds, text)) return TokenType::kControl;
  return type;
}

std::string bytes_of(VocabularyKind kind, TokenType type, const std::string& text) {
  switch (type) {
    case TokenType::kUnused:
      return {};
    case TokenType::kByte:
      return std::string(1, static_cast<char>(*parse_byte_text(text)));
    case TokenType::kUnknown:
    case TokenType::kControl:
      return text;
    case TokenType::kNormal:
    case TokenType::kUserDefined:
      break;
  }
  if (kind == VocabularyKind::kBpe) {
    if (type == TokenType::kUserDefined) return text;
    return decode_byte_level(text).value_or(text);
  }
  std::string bytes;
  append_unescaped_spaces(bytes, text);
  return bytes;
}

}  // namespace

void Vocabulary::Texts::append(std::string_view text) {
  bytes.append(text);
  offsets.push_back(static_cast<uint32_t>(bytes.size()));
}

std::string_view Vocabulary::Texts::operator[](TokenId id) const {
  const auto i = static_cast<size_t>(id);
  BATCHWRIGHT_CHECK(id >= 0 && i + 1 < offsets.size());
  return std::string_view(bytes).substr(offsets[i], offsets[i + 1] - offsets[i]);
}

Result<std::shared_ptr<const Vocabulary>> Vocabulary::create(const VocabularyData& data) {
  const std::shared_ptr<Vocabulary> v(new Vocabulary());
  v->kind_ = data.kind;
  if (data.kind == VocabularyKind::kBpe) {
    BATCHWRIGHT_RETURN_IF_ERROR(PreTokenizer::check_name(data.pre_tokenizer));
  }
  v->pre_tokenizer_ = data.pre_tokenizer;
  BATCHWRIGHT_RETURN_IF_ERROR(check_sizes(data));
  BATCHWRIGHT_RETURN_IF_ERROR(v->set_tokens(data));
  BATCHWRIGHT_RETURN_IF_ERROR(v->set_special_ids(data));
  if (data.kind == VocabularyKind::kBpe) BATCHWRIGHT_RETURN_IF_ERROR(v->set_merges(data));
  v->set_end_of_generation();
  return std::shared_ptr<const Vocabulary>(v);
}

Status Vocabulary::set_tokens(const VocabularyData& data) {
  byte_tokens_.assign(256, -1);
  by_text_ = TextIndex(data.tokens.size());
  for (size_t i = 0; i < data.tokens.size(); ++i) {
    const std::string& text = data.tokens[i];
    BATCHWRIGHT_ASSIGN_OR_RETURN(const TokenType type, token_type(data, i));
    const auto id = static_cast<TokenId>(i);
    types_.push_back(type);
    texts_.append(text);
    token_bytes_.append(bytes_of(kind_, type, text));
    if (!text.empty()) by_text_.insert(text, {id, 0});
    const std::string_view bytes = token_bytes_[id];
    const TokenType byte_type = kind_ == VocabularyKind::kSpm ? TokenType::kByte : TokenType::kNormal;
    if (type == byte_type && bytes.size() == 1) byte_tokens_[static_cast<uint8_t>(bytes[0])] = id;
  }
  scores_ = data.scores;
  return {};
}

Status Vocabulary::set_special_ids(const VocabularyData& data) {
  const auto set = [this](const char* key, const std::optional<int64_t>& value, std::optional<TokenId>& id) {
    if (!value) return Status();
    if (*value < 0 || *value >= size()) {
      return invalid_data(fmt::format("{} is {}; allowed are 0 to {}", key, *value, size() - 1));
    }
    id = static_cast<TokenId>(*value);
    return Status();
  };
  BATCHWRIGHT_RETURN_IF_ERROR(set("tokenizer.ggml.bos_token_id", data.bos, bos_));
  BATCHWRIGHT_RETURN_IF_ERROR(set("tokenizer.ggml.eos_token_id", data.eos, eos_));
  BATCHWRIGHT_RETURN_IF_ERROR(set("tokenizer.ggml.eot_token_id", data.eot, eot_));
  BATCHWRIGHT_RETURN_IF_ERROR(set("tokenizer.ggml.unknown_token_id", data.unknown, unknown_));
  BATCHWRIGHT_RETURN_IF_ERROR(set("tokenizer.ggml.padding_token_id", data.padding, padding_));
  if (!unknown_) {
    const auto found = std::find(types_.begin(), types_.end(), TokenType::kUnknown);
    if (found != types_.end()) unknown_ = static_cast<TokenId>(found - types_.begin());
  }
  if (data.add_bos && !bos_) {
    return invalid_data("tokenizer.ggml.add_bos_token is true, but tokenizer.ggml.bos_token_id is missing");
  }
  if (data.add_eos && !eos_) {
    return invalid_data("tokenizer.ggml.add_eos_token is true, but tokenizer.ggml.eos_token_id is missing");
  }
  add_bos_ = data.add_bos;
  add_eos_ = data.add_eos;
  add_space_prefix_ = data.add_space_prefix && kind_ == VocabularyKind::kSpm;
  return {};
}

Status Vocabulary::set_merges(const VocabularyData& data) {
  if (data.merges.size() > kTokensMax) {
    return invalid_data(fmt::format("tokenizer.ggml.merges has {} merges; at most {}", data.merges.size(), kTokensMax));
  }
  merges_.reserve(data.merges.size());
  std::string joined;
  for (size_t i = 0; i < data.merges.size(); ++i) {
    const std::string_view text = data.merges[i];
    const size_t space = text.find(' ', 1);
    if (space == std::string_view::npos || space + 1 == text.size()) {
      return invalid_data(
          fmt::format("tokenizer.ggml.merges[{}] is {}; expected two tokens and a space between", i, quoted(text)));
    }
    const std::string_view left = text.substr(0, space);
    const std::string_view right = text.substr(space + 1);
    joined.assign(left).append(right);
    Merge merge;
    for (const auto& [part, id] :
         {std::pair<std::string_view, TokenId*>{left, &merge.left}, {right, &merge.right}, {joined, &merge.merged}}) {
      *id = by_text_.find(part).id;
      if (*id < 0) {
        return invalid_data(fmt::format("tokenizer.ggml.merges[{}] names {}, which is no token", i, quoted(part)));
      }
    }
    merges_.push_back(merge);
  }
  return {};
}

void Vocabulary::set_end_of_generation() {
  for (TokenId id = 0; id < size(); ++id) {
    const std::string_view text = token_text(id);
    const bool known =
        type(id) == TokenType::kControl && (contains_text(kTurnEnds, text) || contains_text(kAnswerEnds, text));
    if (known || id == eos_ || id == eot_) end_of_generation_.push_back(id);
  }
}

std::string_view Vocabulary::token_text(TokenId id) const { return texts_[id]; }

std::string_view Vocabulary::token_bytes(TokenId id) const { return token_bytes_[id]; }

TokenType Vocabulary::type(TokenId id) const {
  BATCHWRIGHT_CHECK(contains(id));
  return types_[static_cast<size_t>(id)];
}

float Vocabulary::score(TokenId id) const {
  BATCHWRIGHT_CHECK(contains(id));
  return scores_.empty() ? 0.0F : scores_[static_cast<size_t>(id)];
}

bool Vocabulary::is_special(TokenId id) const {
  return type(id) == TokenType::kControl || type(id) == TokenType::kUnknown;
}

bool Vocabulary::is_end_of_generation(TokenId id) const {
  return std::binary_search(end_of_generation_.begin(), end_of_generation_.end(), id);
}

std::optional<TokenId> Vocabulary::find(std::string_view text) const {
  const TokenId id = by_text_.find(text).id;
  return id < 0 ? std::nullopt : std::optional<TokenId>(id);
}

std::optional<TokenId> Vocabulary::byte_token(uint8_t byte) const {
  const TokenId id = byte_tokens_[byte];
  return id < 0 ? std::nullopt : std::optional<TokenId>(id);
}

}  // namespace batchwright

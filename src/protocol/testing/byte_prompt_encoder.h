// A PromptEncoder without a model, for tests: a token is a byte; 256 is BOS, 257 ends a message.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "protocol/prompt_encoder.h"

namespace batchwright {

class BytePromptEncoder : public PromptEncoder {
 public:
  static constexpr TokenId kBos = 256;
  static constexpr TokenId kEndOfMessage = 257;
  static constexpr int kVocabulary = 258;

  // What encode_chat() says instead of working.
  Status chat_failure;
  // Seen by the last encode_chat().
  mutable ChatPrompt last_chat;

  int vocabulary_size() const override { return kVocabulary; }

  std::vector<TokenId> encode_text(std::string_view text, bool add_bos) const override {
    std::vector<TokenId> tokens;
    if (add_bos) tokens.push_back(kBos);
    append(tokens, text);
    return tokens;
  }

  std::vector<TokenId> encode_answer(std::string_view text) const override {
    std::vector<TokenId> tokens;
    // Texts that begin with ? stand for those that a vocabulary cannot spell: nothing tells them apart.
    append(tokens, text.starts_with('?') ? "?" : text);
    return tokens;
  }

  // Each message: its role, a colon, its content, kEndOfMessage.
  Result<std::vector<TokenId>> encode_chat(const ChatPrompt& prompt) const override {
    if (!chat_failure.ok()) return chat_failure;
    if (remember_chats) last_chat = prompt;
    std::vector<TokenId> tokens{kBos};
    for (const JsonValue& message : prompt.messages.as_array()) {
      append(tokens, message.find("role")->as_string());
      append(tokens, ":");
      if (message.find("content")->is_string()) append(tokens, message.find("content")->as_string());
      tokens.push_back(kEndOfMessage);
    }
    return tokens;
  }
  // Off where several threads use it.
  bool remember_chats = true;

  std::string_view token_bytes(TokenId id) const override {
    static const std::string kBytes = [] {
      std::string all(256, '\0');
      for (size_t i = 0; i < all.size(); ++i) all[i] = static_cast<char>(i);
      return all;
    }();
    if (id == kBos) return "<bos>";
    if (id == kEndOfMessage) return "<end>";
    return std::string_view(kBytes).substr(static_cast<size_t>(id), 1);
  }
  bool is_text(TokenId id) const override { return id < kBos; }

  std::string decode(std::span<const TokenId> ids) const override {
    std::string text;
    for (const TokenId id : ids) {
      if (is_text(id)) text += token_bytes(id);
    }
    return text;
  }

 private:
  static void append(std::vector<TokenId>& tokens, std::string_view text) {
    for (const char byte : text) tokens.push_back(static_cast<unsigned char>(byte));
  }
};

}  // namespace batchwright

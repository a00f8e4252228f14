#include "text/tokenizer_special.h"

#include <string>

#include "text/spm_spaces.h"

namespace batchwright {

SpecialTokens::SpecialTokens(const Vocabulary& vocabulary) {
  roots_.fill(-1);
  std::string text;
  for (TokenId id = 0; id < vocabulary.size(); ++id) {
    const bool user_defined = vocabulary.type(id) == TokenType::kUserDefined;
    if (!user_defined && !vocabulary.is_special(id)) continue;
    text.clear();
    if (vocabulary.kind() == VocabularyKind::kSpm) {
      append_escaped_spaces(text, vocabulary.token_text(id));
    } else {
      text = vocabulary.token_text(id);
    }
    if (!text.empty()) insert(text, id, !user_defined);
  }
}

int32_t SpecialTokens::find_child(int32_t node, char byte) const {
  int32_t child = nodes_[static_cast<size_t>(node)].child;
  while (child >= 0 && nodes_[static_cast<size_t>(child)].byte != byte) {
    child = nodes_[static_cast<size_t>(child)].sibling;
  }
  return child;
}

void SpecialTokens::insert(std::string_view text, TokenId id, bool needs_trust) {
  const auto first = static_cast<uint8_t>(text[0]);
  trusted_starts_[first] = true;
  if (!needs_trust) any_starts_[first] = true;
  if (roots_[first] < 0) {
    roots_[first] = static_cast<int32_t>(nodes_.size());
    nodes_.push_back({});
  }
  int32_t node = roots_[first];
  for (const char byte : text.substr(1)) {
    int32_t child = find_child(node, byte);
    if (child < 0) {
      child = static_cast<int32_t>(nodes_.size());
      Node fresh;
      fresh.byte = byte;
      fresh.sibling = nodes_[static_cast<size_t>(node)].child;
      nodes_.push_back(fresh);
      nodes_[static_cast<size_t>(node)].child = child;
    }
    node = child;
  }
  Node& end = nodes_[static_cast<size_t>(node)];
  (needs_trust ? end.trusted_token : end.any_token) = id;
}

SpecialTokens::Match SpecialTokens::match(std::string_view text, size_t at, size_t trusted_end) const {
  Match best;
  int32_t node = roots_[static_cast<uint8_t>(text[at])];
  for (size_t end = at + 1; node >= 0; ++end) {
    const Node& n = nodes_[static_cast<size_t>(node)];
    if (n.trusted_token >= 0 && end <= trusted_end) {
      best = {n.trusted_token, end - at};
    } else if (n.any_token >= 0) {
      best = {n.any_token, end - at};
    }
    if (end == text.size()) break;
    node = find_child(node, text[end]);
  }
  return best;
}

}  // namespace batchwright

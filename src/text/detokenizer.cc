#include "text/detokenizer.h"

#include "base/utf8.h"

namespace batchwright {
namespace {

// How many bytes at the end of text are the beginning of a character that more bytes could complete.
size_t unfinished_bytes(std::string_view text) {
  for (size_t size = 1; size <= 3 && size <= text.size(); ++size) {
    const size_t at = text.size() - size;
    const auto byte = static_cast<uint8_t>(text[at]);
    if ((byte & 0xC0) == 0x80) continue;
    const size_t wanted = byte >= 0xF0 ? 4 : byte >= 0xE0 ? 3 : byte >= 0xC0 ? 2 : 1;
    const Utf8Char c = decode_utf8(text, at);
    return !c.valid && c.length == size && size < wanted && byte >= 0xC2 && byte <= 0xF4 ? size : 0;
  }
  return 0;
}

}  // namespace

std::string_view Detokenizer::push(TokenId id) {
  out_.clear();
  if (vocabulary_->is_special(id) && !options_.show_special) return out_;
  std::string_view bytes = vocabulary_->token_bytes(id);
  if (options_.strip_space_prefix && at_start_ && !bytes.empty() && bytes[0] == ' ') bytes.remove_prefix(1);
  at_start_ = false;
  pending_.append(bytes);
  const size_t unfinished = unfinished_bytes(pending_);
  append_valid_utf8(out_, std::string_view(pending_).substr(0, pending_.size() - unfinished));
  pending_.erase(0, pending_.size() - unfinished);
  return out_;
}

std::string_view Detokenizer::flush() {
  out_.clear();
  append_valid_utf8(out_, pending_);
  pending_.clear();
  at_start_ = true;
  return out_;
}

std::string detokenize(const Vocabulary& vocabulary, std::span<const TokenId> ids, DetokenizeOptions options) {
  Detokenizer detokenizer(vocabulary, options);
  std::string text;
  for (const TokenId id : ids) text.append(detokenizer.push(id));
  text.append(detokenizer.flush());
  return text;
}

}  // namespace batchwright

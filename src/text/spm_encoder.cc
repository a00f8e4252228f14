#include "text/spm_encoder.h"

#include <algorithm>
#include <string>
#include <unordered_map>
#include <utility>

#include "base/utf8.h"
#include "text/spm_spaces.h"

namespace batchwright {
namespace {

bool is_piece(TokenType type) {
  return type == TokenType::kNormal || type == TokenType::kUserDefined || type == TokenType::kUnused;
}

}  // namespace

class SpmEncoder::SpmSession final : public FragmentEncoder::Session {
 public:
  explicit SpmSession(const SpmEncoder& encoder) : encoder_(encoder) {}

  void encode(std::string_view fragment, std::vector<TokenId>& out) override {
    after_unknown_ = false;
    if (encoder_.has_unused_) return encode_with_unused(fragment, out);
    for (size_t begin = 0; begin < fragment.size();) {
      const size_t end = encoder_.word_end(fragment, begin);
      encode_word(fragment.substr(begin, end - begin), out);
      begin = end;
    }
  }

 private:
  static constexpr TokenId kCharacter = -2;  // not merged with anything yet, so not looked up yet

  void encode_word(std::string_view word, std::vector<TokenId>& out) {
    const TokenId whole = encoder_.pieces_.find(word).id;
    WholeWords::State state = whole < 0 ? WholeWords::State::kInParts : encoder_.whole_words_.get(whole);
    if (state == WholeWords::State::kWhole) {
      after_unknown_ = false;
      return out.push_back(whole);
    }
    const size_t begin = out.size();
    set_characters(word);
    merger_.run([&](const MergeSymbol& left, const MergeSymbol& right) { return find_merge(word, left, right); });
    for (const MergeSymbol& symbol : merger_.symbols) put(word, symbol, out);
    if (state != WholeWords::State::kUnknown) return;
    state = out.size() == begin + 1 && out.back() == whole ? WholeWords::State::kWhole : WholeWords::State::kInParts;
    encoder_.whole_words_.set(whole, state);
  }

  // Sentencepiece remembers of what an unused piece was last about to be made, anywhere in the text: so no words here.
  void encode_with_unused(std::string_view text, std::vector<TokenId>& out) {
    const auto is_unused = [&](TokenId id) { return id >= 0 && encoder_.vocabulary_->type(id) == TokenType::kUnused; };
    std::unordered_map<std::string_view, uint32_t> left_sizes;
    set_characters(text);
    merger_.queue([&](const MergeSymbol& left, const MergeSymbol& right) {
      const MergeCandidate merge = find_merge(text, left, right);
      if (is_unused(merge.id)) left_sizes[text.substr(left.begin, left.size + right.size)] = left.size;
      return merge;
    });
    std::vector<MergeSymbol> open;
    for (const MergeSymbol& symbol : merger_.symbols) {
      open.assign(1, symbol);
      while (!open.empty()) {
        MergeSymbol s = open.back();
        open.pop_back();
        const std::string_view piece = text.substr(s.begin, s.size);
        s.id = encoder_.pieces_.find(piece).id;
        const auto split = is_unused(s.id) ? left_sizes.find(piece) : left_sizes.end();
        if (split == left_sizes.end()) {
          put(text, s, out);
          continue;
        }
        open.push_back({s.begin + split->second, s.size - split->second, kCharacter});
        open.push_back({s.begin, split->second, kCharacter});
      }
    }
  }

  void set_characters(std::string_view text) {
    merger_.symbols.clear();
    for (size_t i = 0; i < text.size();) {
      const uint32_t size = static_cast<uint8_t>(text[i]) < 0x80 ? 1 : decode_utf8(text, i).length;
      merger_.symbols.push_back({static_cast<uint32_t>(i), size, kCharacter});
      i += size;
    }
  }

  MergeCandidate find_merge(std::string_view text, const MergeSymbol& left, const MergeSymbol& right) const {
    const TextIndex::Entry entry = encoder_.pieces_.find(text.substr(left.begin, left.size + right.size));
    return entry.id < 0 ? MergeCandidate() : MergeCandidate{entry.rank, entry.id};
  }

  void put(std::string_view text, const MergeSymbol& symbol, std::vector<TokenId>& out) {
    const std::string_view piece = text.substr(symbol.begin, symbol.size);
    const TokenId id = symbol.id == kCharacter ? encoder_.pieces_.find(piece).id : symbol.id;
    const bool after_unknown = std::exchange(after_unknown_, false);
    if (id >= 0) return out.push_back(id);
    const Vocabulary& vocabulary = *encoder_.vocabulary_;
    const bool spelled = std::all_of(
        piece.begin(), piece.end(), [&](char c) { return vocabulary.byte_token(static_cast<uint8_t>(c)).has_value(); });
    if (spelled) {
      for (const char c : piece) out.push_back(*vocabulary.byte_token(static_cast<uint8_t>(c)));
      return;
    }
    after_unknown_ = true;
    if (vocabulary.unknown() && !after_unknown) out.push_back(*vocabulary.unknown());
  }

  const SpmEncoder& encoder_;
  Merger merger_;
  bool after_unknown_ = false;
};

SpmEncoder::SpmEncoder(std::shared_ptr<const Vocabulary> vocabulary)
    : vocabulary_(std::move(vocabulary)),
      pieces_(static_cast<size_t>(vocabulary_->size())),
      whole_words_(vocabulary_->size()) {
  const Vocabulary& v = *vocabulary_;
  std::vector<float> scores;
  for (TokenId id = 0; id < v.size(); ++id) {
    if (is_piece(v.type(id))) scores.push_back(v.score(id));
  }
  std::sort(scores.begin(), scores.end(), std::greater<>());
  scores.erase(std::unique(scores.begin(), scores.end()), scores.end());

  std::string piece;
  for (TokenId id = 0; id < v.size(); ++id) {
    if (!is_piece(v.type(id)) || v.token_text(id).empty()) continue;
    if (v.type(id) == TokenType::kUnused) has_unused_ = true;
    piece.clear();
    append_escaped_spaces(piece, v.token_text(id));
    // A token whose spaces are spelled out may be longer than any that is indexed.
    if (piece.size() > TextIndex::kTextBytesMax) continue;
    const auto rank = std::lower_bound(scores.begin(), scores.end(), v.score(id), std::greater<>()) - scores.begin();
    pieces_.insert(piece, {id, static_cast<uint32_t>(rank)});
    // Pieces of spaces alone that are user-defined are taken out of the text before it gets here.
    if (v.type(id) == TokenType::kUserDefined) continue;
    for (size_t at = piece.find(kSpmSpace, 1); at != std::string::npos; at = piece.find(kSpmSpace, at + 1)) {
      joins_space_[static_cast<uint8_t>(piece[at - 1])] = true;
    }
  }
}

std::unique_ptr<FragmentEncoder::Session> SpmEncoder::session() const { return std::make_unique<SpmSession>(*this); }

size_t SpmEncoder::word_end(std::string_view text, size_t begin) const {
  for (size_t i = begin + 1; i + kSpmSpace.size() <= text.size(); ++i) {
    if (text[i] != kSpmSpace[0] || joins_space_[static_cast<uint8_t>(text[i - 1])]) continue;
    if (text.substr(i, kSpmSpace.size()) == kSpmSpace) return i;
  }
  return text.size();
}

}  // namespace batchwright

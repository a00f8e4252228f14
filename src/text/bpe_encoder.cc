#include "text/bpe_encoder.h"

#include <bit>
#include <utility>

#include "base/status_macros.h"

namespace batchwright {

class BpeEncoder::BpeSession final : public FragmentEncoder::Session {
 public:
  explicit BpeSession(const BpeEncoder& encoder) : encoder_(encoder), cursor_(*encoder.pre_tokenizer_) {}

  void encode(std::string_view fragment, std::vector<TokenId>& out) override {
    cursor_.start(fragment);
    for (std::string_view word; cursor_.next(word);) encode_word(word, out);
  }

 private:
  void encode_word(std::string_view word, std::vector<TokenId>& out) {
    const TokenId whole = encoder_.words_.find(word).id;
    if (whole < 0) return merge_word(word, out);
    if (encoder_.pre_tokenizer_->ignores_merges()) return out.push_back(whole);
    WholeWords::State state = encoder_.whole_words_.get(whole);
    if (state == WholeWords::State::kWhole) return out.push_back(whole);
    const size_t begin = out.size();
    merge_word(word, out);
    if (state != WholeWords::State::kUnknown) return;
    state = out.size() == begin + 1 && out.back() == whole ? WholeWords::State::kWhole : WholeWords::State::kInParts;
    encoder_.whole_words_.set(whole, state);
  }

  void merge_word(std::string_view word, std::vector<TokenId>& out) {
    std::vector<MergeSymbol>& symbols = merger_.symbols;
    symbols.resize(word.size());
    for (uint32_t i = 0; i < symbols.size(); ++i) {
      symbols[i] = {i, 1, encoder_.byte_tokens_[static_cast<uint8_t>(word[i])]};
    }
    merger_.run(
        [this](const MergeSymbol& left, const MergeSymbol& right) { return encoder_.find_merge(left.id, right.id); });
    for (const MergeSymbol& symbol : symbols) {
      if (symbol.id >= 0) {
        out.push_back(symbol.id);
      } else if (const auto unknown = encoder_.vocabulary_->unknown()) {
        out.push_back(*unknown);
      }
    }
  }

  const BpeEncoder& encoder_;
  PreTokenizer::Cursor cursor_;
  Merger merger_;
};

Result<std::unique_ptr<const FragmentEncoder>> BpeEncoder::create(std::shared_ptr<const Vocabulary> vocabulary) {
  BATCHWRIGHT_ASSIGN_OR_RETURN(auto pre_tokenizer, PreTokenizer::create(vocabulary->pre_tokenizer()));
  return std::unique_ptr<const FragmentEncoder>(new BpeEncoder(std::move(vocabulary), std::move(pre_tokenizer)));
}

BpeEncoder::BpeEncoder(std::shared_ptr<const Vocabulary> vocabulary, std::unique_ptr<const PreTokenizer> pre_tokenizer)
    : vocabulary_(std::move(vocabulary)),
      pre_tokenizer_(std::move(pre_tokenizer)),
      pairs_(std::bit_ceil(vocabulary_->merges().size() * 3 / 2 + 2)),
      words_(static_cast<size_t>(vocabulary_->size())),
      whole_words_(vocabulary_->size()) {
  for (uint32_t byte = 0; byte < 256; ++byte) {
    byte_tokens_[byte] = vocabulary_->byte_token(static_cast<uint8_t>(byte)).value_or(-1);
  }
  uint32_t rank = 0;
  for (const Vocabulary::Merge& merge : vocabulary_->merges()) {
    if (!vocabulary_->is_special(merge.merged)) add_merge(merge.left, merge.right, {rank, merge.merged});
    ++rank;
  }
  for (TokenId id = 0; id < vocabulary_->size(); ++id) {
    const std::string_view bytes = vocabulary_->token_bytes(id);
    if (vocabulary_->type(id) == TokenType::kNormal && !bytes.empty()) words_.insert(bytes, {id, 0});
  }
}

std::unique_ptr<FragmentEncoder::Session> BpeEncoder::session() const { return std::make_unique<BpeSession>(*this); }

uint64_t BpeEncoder::pair_hash(TokenId left, TokenId right) {
  const uint64_t key = static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
  const uint64_t h = key * 0x9E3779B97F4A7C15U;
  return h ^ h >> 32;
}

void BpeEncoder::add_merge(TokenId left, TokenId right, MergeCandidate merge) {
  const size_t mask = pairs_.size() - 1;
  size_t i = pair_hash(left, right) & mask;
  for (; pairs_[i].left >= 0; i = (i + 1) & mask) {
    if (pairs_[i].left == left && pairs_[i].right == right) return;
  }
  pairs_[i] = {left, right, merge};
}

MergeCandidate BpeEncoder::find_merge(TokenId left, TokenId right) const {
  const size_t mask = pairs_.size() - 1;
  for (size_t i = pair_hash(left, right) & mask;; i = (i + 1) & mask) {
    const Pair& pair = pairs_[i];
    if (pair.left < 0) return {};
    if (pair.left == left && pair.right == right) return pair.merge;
  }
}

}  // namespace batchwright

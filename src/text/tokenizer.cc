#include "text/tokenizer.h"

#include <algorithm>
#include <string>
#include <utility>

#include "base/status_macros.h"
#include "base/utf8.h"
#include "text/bpe_encoder.h"
#include "text/spm_encoder.h"
#include "text/spm_spaces.h"
#include "text/tokenizer_special.h"

namespace batchwright {
namespace {

constexpr size_t kFragmentBytesMax = size_t{1} << 30;
constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

// [begin, end) of the text.
struct Range {
  size_t begin = 0;
  size_t end = 0;
};

// The spans as one text, and where it is trusted: ascending, neither empty nor touching each other.
struct Prompt {
  std::string text;
  std::vector<Range> trusted;
};

Prompt join(std::span<const TextSpan> spans) {
  Prompt prompt;
  for (const TextSpan& span : spans) {
    const size_t begin = prompt.text.size();
    prompt.text.append(span.text);
    if (!span.trusted || span.text.empty()) continue;
    if (!prompt.trusted.empty() && prompt.trusted.back().end == begin) {
      prompt.trusted.back().end = prompt.text.size();
    } else {
      prompt.trusted.push_back({begin, prompt.text.size()});
    }
  }
  return prompt;
}

// Rewrites the text piece by piece, each cut at the bounds of trust, and moves the bounds along. rewrite(out, piece)
// appends what becomes of the piece.
template <class Rewrite>
void rewrite_pieces(Prompt& prompt, Rewrite&& rewrite) {
  std::string out;
  out.reserve(prompt.text.size() + prompt.text.size() / 2);
  const std::string_view text = prompt.text;
  size_t done = 0;
  for (Range& range : prompt.trusted) {
    rewrite(out, text.substr(done, range.begin - done));
    done = range.end;
    const size_t begin = out.size();
    rewrite(out, text.substr(range.begin, range.end - range.begin));
    range = {begin, out.size()};
  }
  rewrite(out, text.substr(done));
  prompt.text = std::move(out);
}

// Each byte that is not part of a character becomes U+FFFD. A character may lie across the bounds of trust, so that
// what is valid is decided on the whole text.
void replace_invalid_bytes(Prompt& prompt, size_t valid_prefix) {
  const std::string_view text = prompt.text;
  std::vector<size_t> invalid;
  for (size_t at = valid_prefix; at < text.size();) {
    invalid.push_back(at++);
    at += valid_utf8_prefix(text.substr(at));
  }
  auto next_invalid = invalid.begin();
  rewrite_pieces(prompt, [&](std::string& out, std::string_view piece) {
    auto position = static_cast<size_t>(piece.data() - text.data());
    const size_t end = position + piece.size();
    for (; next_invalid != invalid.end() && *next_invalid < end; ++next_invalid) {
      out.append(text.substr(position, *next_invalid - position)).append(kReplacement);
      position = *next_invalid + 1;
    }
    out.append(text.substr(position, end - position));
  });
}

Prompt prepare(std::span<const TextSpan> spans, VocabularyKind kind) {
  Prompt prompt = join(spans);
  const size_t valid = valid_utf8_prefix(prompt.text);
  if (valid < prompt.text.size()) replace_invalid_bytes(prompt, valid);
  if (kind == VocabularyKind::kSpm) rewrite_pieces(prompt, append_escaped_spaces);
  return prompt;
}

// The text between two special tokens.
void encode_fragment(FragmentEncoder::Session& session, std::string_view fragment, bool space_prefix,
                     std::vector<TokenId>& out) {
  if (fragment.empty()) return;
  std::string prefixed;
  if (space_prefix) {
    prefixed.append(kSpmSpace).append(fragment);
    fragment = prefixed;
  }
  while (fragment.size() > kFragmentBytesMax) {
    size_t end = kFragmentBytesMax;
    while ((static_cast<uint8_t>(fragment[end]) & 0xC0) == 0x80) --end;
    session.encode(fragment.substr(0, end), out);
    fragment.remove_prefix(end);
  }
  session.encode(fragment, out);
}

}  // namespace

Tokenizer::Tokenizer(std::shared_ptr<const Vocabulary> vocabulary, std::unique_ptr<const FragmentEncoder> encoder)
    : vocabulary_(std::move(vocabulary)),
      encoder_(std::move(encoder)),
      special_(std::make_unique<SpecialTokens>(*vocabulary_)) {}

Tokenizer::~Tokenizer() = default;

Result<std::shared_ptr<const Tokenizer>> Tokenizer::create(std::shared_ptr<const Vocabulary> vocabulary) {
  std::unique_ptr<const FragmentEncoder> encoder;
  if (vocabulary->kind() == VocabularyKind::kSpm) {
    encoder = std::make_unique<const SpmEncoder>(vocabulary);
  } else {
    BATCHWRIGHT_ASSIGN_OR_RETURN(encoder, BpeEncoder::create(vocabulary));
  }
  return std::shared_ptr<const Tokenizer>(new Tokenizer(std::move(vocabulary), std::move(encoder)));
}

std::vector<TokenId> Tokenizer::encode(std::string_view text, const EncodeOptions& options) const {
  const TextSpan span = {text, options.parse_special};
  return encode_spans({&span, 1}, options);
}

std::vector<TokenId> Tokenizer::encode_spans(std::span<const TextSpan> spans, const EncodeOptions& options) const {
  const Prompt prompt = prepare(spans, vocabulary_->kind());
  const std::string_view text = prompt.text;
  const std::unique_ptr<FragmentEncoder::Session> session = encoder_->session();
  std::vector<TokenId> out;
  out.reserve(text.size() / 4 + 8);
  if (options.add_bos && vocabulary_->add_bos()) out.push_back(*vocabulary_->bos());
  const size_t first = out.size();
  const bool space_prefix = options.add_space_prefix && vocabulary_->add_space_prefix();

  size_t fragment = 0;
  auto trusted = prompt.trusted.begin();
  for (size_t at = 0; at < text.size();) {
    while (trusted != prompt.trusted.end() && trusted->end <= at) ++trusted;
    const bool is_trusted = trusted != prompt.trusted.end() && trusted->begin <= at;
    const size_t stretch_end =
        trusted == prompt.trusted.end() ? text.size() : (is_trusted ? trusted->end : trusted->begin);
    at = special_->next_start(text, at, stretch_end, is_trusted);
    if (at == stretch_end) continue;
    const SpecialTokens::Match match = special_->match(text, at, is_trusted ? stretch_end : 0);
    if (match.id < 0) {
      ++at;
      continue;
    }
    encode_fragment(*session, text.substr(fragment, at - fragment), space_prefix, out);
    out.push_back(match.id);
    at += match.size;
    fragment = at;
  }
  encode_fragment(*session, text.substr(fragment), space_prefix, out);

  if (first > 0 && out.size() > first && out[first] == out[0]) out.erase(out.begin());
  if (options.add_eos && vocabulary_->add_eos()) out.push_back(*vocabulary_->eos());
  return out;
}

}  // namespace batchwright

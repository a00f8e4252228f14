#include "text/pretokenizer.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <fmt/format.h>
#include <pcre2.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "base/utf8.h"
#include "formats/printable.h"
#include "text/unicode_class.h"

namespace batchwright {
namespace {

// The patterns run over one byte a character: ASCII as it is, and these for all else. So the machine's PCRE2 decides
// nothing about Unicode, and its compiled code looks bytes up in bitmaps.
constexpr char kOtherLetter = '\xC0';
constexpr char kOtherNumber = '\xC1';
constexpr char kOtherSpace = '\xC2';
constexpr char kLongS = '\xC3';  // U+017F, which is an "s" to a pattern that ignores case
constexpr char kOther = '\xC4';

#define BATCHWRIGHT_L "A-Za-z\\xC0\\xC3"
#define BATCHWRIGHT_N "0-9\\xC1"
#define BATCHWRIGHT_S "\\t-\\r \\xC2"

// The patterns of the models' own tokenisers. Each matches at every position of every text, at least one character: so
// a word begins where the last one ended, and no search is needed.
constexpr char kGpt2[] = "'s|'t|'re|'ve|'m|'ll|'d| ?[" BATCHWRIGHT_L "]+| ?[" BATCHWRIGHT_N
                         "]+| ?[^" BATCHWRIGHT_S BATCHWRIGHT_L BATCHWRIGHT_N "]+|[" BATCHWRIGHT_S
                         "]+(?![^" BATCHWRIGHT_S "])|[" BATCHWRIGHT_S "]+";

#define BATCHWRIGHT_LLAMA3(DIGITS)                                                                                    \
  "'(?:[sS\\xC3]|[tT]|[rR][eE]|[vV][eE]|[mM]|[lL][lL]|[dD])|[^\\r\\n" BATCHWRIGHT_L BATCHWRIGHT_N "]?[" BATCHWRIGHT_L \
  "]+|[" BATCHWRIGHT_N "]" DIGITS "| ?[^" BATCHWRIGHT_S BATCHWRIGHT_L BATCHWRIGHT_N "]+[\\r\\n]*|[" BATCHWRIGHT_S     \
  "]*[\\r\\n]+|[" BATCHWRIGHT_S "]+(?![^" BATCHWRIGHT_S "])|[" BATCHWRIGHT_S "]+"

constexpr char kQwen2[] = BATCHWRIGHT_LLAMA3("");
constexpr char kLlama3[] = BATCHWRIGHT_LLAMA3("{1,3}");

struct Pattern {
  std::string_view name;
  const char* regex;
  bool ignores_merges;
};

constexpr std::array<Pattern, 8> kPatterns = {{
    {"gpt-2", kGpt2, false},
    {"phi-2", kGpt2, false},
    {"qwen2", kQwen2, false},
    {"deepseek-r1-qwen", kQwen2, false},
    {"stablelm2", kQwen2, false},
    {"llama-bpe", kLlama3, true},
    {"llama3", kLlama3, true},
    {"llama-v3", kLlama3, true},
}};

const Pattern* find_pattern(std::string_view name) {
  const auto* found =
      std::find_if(kPatterns.begin(), kPatterns.end(), [&](const Pattern& p) { return p.name == name; });
  return found == kPatterns.end() ? nullptr : found;
}

char class_byte(char32_t code_point) {
  if (code_point < 0x80) return static_cast<char>(code_point);
  if (code_point == 0x17F) return kLongS;
  switch (unicode_class(code_point)) {
    case UnicodeClass::kLetter:
      return kOtherLetter;
    case UnicodeClass::kNumber:
      return kOtherNumber;
    case UnicodeClass::kSpace:
      return kOtherSpace;
    case UnicodeClass::kOther:
      break;
  }
  return kOther;
}

// Steps that a match may take: far more than the patterns need (they go over a word's bytes a few times).
constexpr uint32_t kMatchStepsMin = 1'000'000;
constexpr uint32_t kMatchStepsPerByte = 32;
constexpr uint32_t kHeapKibibytesMax = 16 * 1024;
constexpr uint32_t kDepthMax = 1000;

}  // namespace

struct PreTokenizer::Compiled {
  pcre2_code* code = nullptr;
  bool jit = false;
  bool ignores_merges = false;
  ~Compiled() { pcre2_code_free(code); }
};

Status PreTokenizer::check_name(std::string_view name) {
  if (find_pattern(name) != nullptr) return {};
  std::string list;
  for (const Pattern& p : kPatterns) list.append(list.empty() ? "" : ", ").append(p.name);
  return unsupported(fmt::format("tokenizer.ggml.pre is \"{}\"; supported for tokenizer.ggml.model \"gpt2\": {}",
                                 printable(name), list));
}

bool PreTokenizer::is_llama3(std::string_view name) {
  const Pattern* pattern = find_pattern(name);
  return pattern != nullptr && pattern->regex == kLlama3;
}

Result<std::unique_ptr<const PreTokenizer>> PreTokenizer::create(std::string_view name) {
  const Pattern* pattern = find_pattern(name);
  if (pattern == nullptr) return check_name(name);
  auto compiled = std::make_unique<Compiled>();
  compiled->ignores_merges = pattern->ignores_merges;
  int error = 0;
  PCRE2_SIZE offset = 0;
  compiled->code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern->regex), PCRE2_ZERO_TERMINATED,
                                 PCRE2_ANCHORED | PCRE2_NO_START_OPTIMIZE, &error, &offset, nullptr);
  if (compiled->code == nullptr) {
    return internal_error(fmt::format("PCRE2 rejects the pattern \"{}\": error {} at {}", name, error, offset));
  }
  compiled->jit = pcre2_jit_compile(compiled->code, PCRE2_JIT_COMPLETE) == 0;
  return std::unique_ptr<const PreTokenizer>(new PreTokenizer(std::move(compiled)));
}

PreTokenizer::PreTokenizer(std::unique_ptr<Compiled> compiled) : compiled_(std::move(compiled)) {}
PreTokenizer::~PreTokenizer() = default;

bool PreTokenizer::ignores_merges() const { return compiled_->ignores_merges; }

struct PreTokenizer::Cursor::State {
  pcre2_match_context* context = pcre2_match_context_create(nullptr);
  pcre2_match_data* data = pcre2_match_data_create(1, nullptr);

  State() {
    if (context == nullptr || data == nullptr) throw std::bad_alloc();
    pcre2_set_heap_limit(context, kHeapKibibytesMax);
    pcre2_set_depth_limit(context, kDepthMax);
  }
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() {
    pcre2_match_data_free(data);
    pcre2_match_context_free(context);
  }
};

PreTokenizer::Cursor::Cursor(const PreTokenizer& pre_tokenizer)
    : pre_tokenizer_(pre_tokenizer), state_(std::make_unique<State>()) {}
PreTokenizer::Cursor::~Cursor() = default;

void PreTokenizer::Cursor::start(std::string_view text) {
  text_ = text;
  classes_.clear();
  for (size_t i = 0; i < text.size();) {
    const auto byte = static_cast<uint8_t>(text[i]);
    if (byte < 0x80) {
      classes_.push_back(text[i++]);
      continue;
    }
    const Utf8Char c = decode_utf8(text, i);
    classes_.push_back(class_byte(c.code_point));
    i += c.length;
  }
  class_at_ = 0;
  const size_t steps = std::max<size_t>(kMatchStepsMin, classes_.size() * kMatchStepsPerByte);
  pcre2_set_match_limit(state_->context, static_cast<uint32_t>(std::min<size_t>(steps, UINT32_MAX)));
}

bool PreTokenizer::Cursor::next(std::string_view& word) {
  if (class_at_ == classes_.size()) return false;
  const Compiled& compiled = *pre_tokenizer_.compiled_;
  const auto* subject = reinterpret_cast<PCRE2_SPTR>(classes_.data());
  int matched = PCRE2_ERROR_NOMATCH;
  if (compiled.jit) {
    matched = pcre2_jit_match(compiled.code, subject, classes_.size(), class_at_, 0, state_->data, state_->context);
  }
  if (matched <= 0) {
    matched =
        pcre2_match(compiled.code, subject, classes_.size(), class_at_, PCRE2_NO_JIT, state_->data, state_->context);
  }
  size_t class_end = class_at_ + 1;
  if (matched > 0) class_end = std::max(class_end, pcre2_get_ovector_pointer(state_->data)[1]);
  size_t size = 0;
  for (; class_at_ < class_end; ++class_at_) {
    const auto lead = static_cast<uint8_t>(text_[size]);
    size += lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  }
  word = text_.substr(0, size);
  text_.remove_prefix(size);
  return true;
}

}  // namespace batchwright

#include "text/jinja/lexer.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "text/jinja/characters.h"
#include "text/jinja/runtime.h"

namespace batchwright::jinja {
namespace {

bool is_ascii_digit(char c) { return c >= '0' && c <= '9'; }

// Characters beyond ASCII are taken as letters; Python is stricter about some of them.
bool is_name_character(char c) {
  return is_ascii_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
         static_cast<unsigned char>(c) >= 0x80;
}

class Lexer {
 public:
  explicit Lexer(std::string_view source) : source_(source) {}

  std::vector<Token> run() {
    while (at_ < source_.size()) read_data();
    push(TokenType::kEnd, at_, at_);
    return std::move(tokens_);
  }

 private:
  [[noreturn]] void fail(const std::string& message) { fail_at(line_at(at_), message); }

  int line_at(size_t offset) {
    for (; line_counted_to_ < offset; ++line_counted_to_) line_ += source_[line_counted_to_] == '\n';
    return line_;
  }

  void push(TokenType type, size_t begin, size_t end) {
    tokens_.push_back({type, line_at(begin), source_.substr(begin, end - begin)});
  }

  bool starts(size_t at, std::string_view what) const { return source_.substr(at).starts_with(what); }

  // The data before a tag, cut as its sign and lstrip_blocks say.
  void push_data(size_t begin, size_t end, char sign, bool is_variable) {
    std::string_view text = source_.substr(begin, end - begin);
    if (sign == '-') {
      text = text.substr(0, trim_space_end(text, text.size()));
    } else if (sign != '+' && !is_variable) {
      const size_t line_begin = text.rfind('\n') + 1;
      const bool line_starting = begin == 0 || source_[begin - 1] == '\n';
      if ((line_begin > 0 || line_starting) && skip_space(text, line_begin) == text.size()) {
        text = text.substr(0, line_begin);
      }
    }
    if (!text.empty()) push(TokenType::kData, begin, begin + text.size());
  }

  char sign_at(size_t at) const {
    return at < source_.size() && (source_[at] == '-' || source_[at] == '+') ? source_[at] : '\0';
  }

  void read_data() {
    const size_t begin = at_;
    size_t tag = begin;
    while (true) {
      tag = source_.find('{', tag);
      if (tag == std::string_view::npos) {
        push(TokenType::kData, begin, source_.size());
        at_ = source_.size();
        return;
      }
      const char second = tag + 1 < source_.size() ? source_[tag + 1] : '\0';
      if (second == '%' || second == '{' || second == '#') break;
      ++tag;
    }
    const char sign = sign_at(tag + 2);
    const char second = source_[tag + 1];
    push_data(begin, tag, sign, second == '{');
    at_ = tag + 2 + (sign != '\0' ? 1 : 0);
    if (second == '#') return skip_comment();
    if (second == '{') {
      push(TokenType::kVariableBegin, tag, at_);
      return read_expression(TokenType::kVariableEnd);
    }
    if (read_raw_block()) return;
    push(TokenType::kBlockBegin, tag, at_);
    read_expression(TokenType::kBlockEnd);
  }

  // Behind the end of a tag: "-" takes all white space, trim_blocks one line break, "+" nothing.
  void after_tag_end(char sign, bool is_variable) {
    if (sign == '-') {
      at_ = skip_space(source_, at_);
    } else if (sign != '+' && !is_variable && at_ < source_.size() && source_[at_] == '\n') {
      ++at_;
    }
  }

  void skip_comment() {
    const size_t end = source_.find("#}", at_);
    if (end == std::string_view::npos) fail("a comment without its end");
    const char sign = end > at_ ? sign_at(end - 1) : '\0';
    at_ = end + 2;
    after_tag_end(sign, false);
  }

  // {% raw %} ... {% endraw %} with at_ behind the first "{%" and its sign.
  bool read_raw_block() {
    size_t at = skip_space(source_, at_);
    if (!starts(at, "raw")) return false;
    at = skip_space(source_, at + 3);
    if (starts(at, "-%}")) {
      at = skip_space(source_, at + 3);
    } else if (starts(at, "%}")) {
      at += 2;
    } else {
      return false;
    }
    const size_t begin = at;
    while (true) {
      const size_t tag = source_.find("{%", at);
      if (tag == std::string_view::npos) fail("a raw block without its end");
      const char sign = sign_at(tag + 2);
      size_t end = skip_space(source_, tag + 2 + (sign != '\0' ? 1 : 0));
      at = tag + 2;
      if (!starts(end, "endraw")) continue;
      end = skip_space(source_, end + 6);
      const char end_sign = sign_at(end);
      if (end_sign != '\0') ++end;
      if (!starts(end, "%}")) continue;
      push_data(begin, tag, sign, false);
      at_ = end + 2;
      after_tag_end(end_sign, false);
      return true;
    }
  }

  bool read_tag_end(TokenType end) {
    const bool is_variable = end == TokenType::kVariableEnd;
    const std::string_view bracket = is_variable ? "}}" : "%}";
    char sign = sign_at(at_);
    if (is_variable && sign == '+') sign = '\0';
    const size_t bracket_at = at_ + (sign != '\0' ? 1 : 0);
    if (!starts(bracket_at, bracket)) return false;
    push(end, at_, bracket_at + 2);
    at_ = bracket_at + 2;
    after_tag_end(sign, is_variable);
    return true;
  }

  void read_expression(TokenType end) {
    std::vector<char> open;
    while (true) {
      at_ = skip_space(source_, at_);
      if (at_ >= source_.size()) fail("a tag without its end");
      if (open.empty() && read_tag_end(end)) return;
      const char c = source_[at_];
      if (is_ascii_digit(c)) {
        read_number();
      } else if (is_name_character(c)) {
        size_t stop = at_;
        while (stop < source_.size() && is_name_character(source_[stop])) ++stop;
        take(TokenType::kName, stop - at_);
      } else if (c == '\'' || c == '"') {
        read_string(c);
      } else {
        read_operator(open);
      }
    }
  }

  void take(TokenType type, size_t length) {
    push(type, at_, at_ + length);
    at_ += length;
  }

  // Digits, single underscores between them. 0 where there are none.
  size_t digits(size_t at, bool (*is_one)(char)) const {
    size_t end = at;
    while (end < source_.size()) {
      if (is_one(source_[end])) {
        ++end;
      } else if (end > at && source_[end] == '_' && end + 1 < source_.size() && is_one(source_[end + 1])) {
        end += 2;
      } else {
        break;
      }
    }
    return end - at;
  }

  void read_number() {
    const auto lower = [this](size_t at) { return at < source_.size() ? static_cast<char>(source_[at] | 0x20) : '\0'; };
    const bool after_dot = at_ > 0 && source_[at_ - 1] == '.';
    const size_t whole = digits(at_, is_ascii_digit);
    size_t end = at_ + whole;
    if (!after_dot) {
      if (end < source_.size() && source_[end] == '.') {
        if (const size_t fraction = digits(end + 1, is_ascii_digit)) end += 1 + fraction;
      }
      if (lower(end) == 'e') {
        const size_t exponent = end + 1 + (sign_at(end + 1) != '\0' ? 1 : 0);
        if (const size_t count = digits(exponent, is_ascii_digit)) end = exponent + count;
      }
      if (end != at_ + whole) return take(TokenType::kFloat, end - at_);
    }
    if (source_[at_] == '0') return read_integer_with_base(lower(at_ + 1));
    take(TokenType::kInteger, whole);
  }

  void read_integer_with_base(char mark) {
    const auto is_binary = [](char c) { return c == '0' || c == '1'; };
    const auto is_octal = [](char c) { return c >= '0' && c <= '7'; };
    const auto is_hex = [](char c) { return is_ascii_digit(c) || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f'); };
    const auto is_zero = [](char c) { return c == '0'; };
    size_t count = 0;
    const size_t after_mark = at_ + 2 + (at_ + 2 < source_.size() && source_[at_ + 2] == '_' ? 1 : 0);
    if (mark == 'b') count = digits(after_mark, is_binary);
    if (mark == 'o') count = digits(after_mark, is_octal);
    if (mark == 'x') count = digits(after_mark, is_hex);
    if (count > 0) return take(TokenType::kInteger, after_mark + count - at_);
    take(TokenType::kInteger, digits(at_, is_zero));
  }

  void read_string(char quote) {
    size_t end = at_ + 1;
    while (end < source_.size() && source_[end] != quote) end += source_[end] == '\\' ? 2 : 1;
    if (end >= source_.size()) fail("a string without its end");
    push(TokenType::kString, at_ + 1, end);
    at_ = end + 1;
  }

  void read_operator(std::vector<char>& open) {
    constexpr std::array<std::string_view, 6> kPairs = {"**", "//", "==", "!=", ">=", "<="};
    const std::string_view pair = source_.substr(at_, 2);
    if (std::find(kPairs.begin(), kPairs.end(), pair) != kPairs.end()) return take(TokenType::kOperator, 2);
    const char c = source_[at_];
    if (std::string_view("+-/*%~[](){}><=.:|,;").find(c) == std::string_view::npos) {
      fail(fmt::format("unexpected character '{}'", c < 0x20 ? '?' : c));
    }
    if (c == '(') open.push_back(')');
    if (c == '[') open.push_back(']');
    if (c == '{') open.push_back('}');
    if (c == ')' || c == ']' || c == '}') {
      if (open.empty() || open.back() != c) fail(fmt::format("unexpected '{}'", c));
      open.pop_back();
    }
    take(TokenType::kOperator, 1);
  }

  std::string_view source_;
  size_t at_ = 0;
  size_t line_counted_to_ = 0;
  int line_ = 1;
  std::vector<Token> tokens_;
};

}  // namespace

void fail_at(int line, const std::string& message) {
  throw TemplateError{invalid_data(fmt::format("chat template, line {}: {}", line, message))};
}

std::string normalize_source(std::string_view source) {
  std::string out;
  out.reserve(source.size());
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] != '\r') {
      out += source[i];
      continue;
    }
    out += '\n';
    if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
  }
  if (!out.empty() && out.back() == '\n') out.pop_back();
  return out;
}

std::vector<Token> tokenize(std::string_view source) { return Lexer(source).run(); }

}  // namespace batchwright::jinja

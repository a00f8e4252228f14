#include "text/jinja/literals.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <iterator>

#include "base/utf8.h"

namespace batchwright::jinja {
namespace {

char32_t hex_escape(const Token& token, size_t at, size_t count) {
  uint32_t code = 0;
  const std::string_view digits = token.text.substr(std::min(at, token.text.size()), count);
  const auto end = std::from_chars(digits.data(), digits.data() + digits.size(), code, 16);
  if (digits.size() != count || end.ptr != digits.data() + count) fail_at(token.line, "a bad escape in a string");
  if (code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF)) {
    fail_at(token.line, "a surrogate or an impossible character in a string");
  }
  return code;
}

}  // namespace

Value integer_value(const Token& token) {
  std::string digits;
  std::copy_if(token.text.begin(), token.text.end(), std::back_inserter(digits), [](char c) { return c != '_'; });
  int base = 10;
  if (digits.size() > 2 && digits[0] == '0') {
    const char mark = static_cast<char>(digits[1] | 0x20);
    base = mark == 'x' ? 16 : mark == 'o' ? 8 : mark == 'b' ? 2 : 10;
    if (base != 10) digits.erase(0, 2);
  }
  int64_t value = 0;
  if (std::from_chars(digits.data(), digits.data() + digits.size(), value, base).ec != std::errc()) {
    fail_at(token.line, fmt::format("the integer {} does not fit into 64 bits", token.text.substr(0, 40)));
  }
  return Value(value);
}

Value float_value(const Token& token) {
  std::string digits;
  std::copy_if(token.text.begin(), token.text.end(), std::back_inserter(digits), [](char c) { return c != '_'; });
  double value = 0;
  if (std::from_chars(digits.data(), digits.data() + digits.size(), value).ec != std::errc()) {
    fail_at(token.line, fmt::format("the number {} is beyond the range of double", token.text.substr(0, 40)));
  }
  return Value(value);
}

std::string unescaped(const Token& token) {
  const std::string_view in = token.text;
  std::string out;
  for (size_t i = 0; i < in.size(); ++i) {
    if (in[i] != '\\') {
      out += in[i];
      continue;
    }
    ++i;  // the lexer takes a backslash only together with what follows
    static constexpr std::string_view kFrom = "abfnrtv\\'\"";
    static constexpr std::string_view kTo = "\a\b\f\n\r\t\v\\'\"";
    if (const size_t simple = kFrom.find(in[i]); simple != std::string_view::npos) {
      out += kTo[simple];
    } else if (in[i] == 'x' || in[i] == 'u' || in[i] == 'U') {
      const size_t count = in[i] == 'x' ? 2 : in[i] == 'u' ? 4 : 8;
      append_utf8(out, hex_escape(token, i + 1, count));
      i += count;
    } else if (in[i] >= '0' && in[i] <= '7') {
      char32_t code = 0;
      size_t digits = 0;
      for (; digits < 3 && i + digits < in.size() && in[i + digits] >= '0' && in[i + digits] <= '7'; ++digits) {
        code = code * 8 + static_cast<char32_t>(in[i + digits] - '0');
      }
      append_utf8(out, code);
      i += digits - 1;
    } else if (in[i] == 'N') {
      fail_at(token.line, "the escape \\N is not supported");
    } else if (in[i] != '\n') {
      out += '\\';
      out += in[i];
    }
  }
  return out;
}

}  // namespace batchwright::jinja

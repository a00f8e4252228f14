// Splits a template into data and tokens, with the white-space control of Jinja2's trim_blocks and lstrip_blocks.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace batchwright::jinja {

enum class TokenType {
  kData,
  kBlockBegin,
  kBlockEnd,
  kVariableBegin,
  kVariableEnd,
  kName,
  kString,  // text: between the quotes, escapes not yet resolved
  kInteger,
  kFloat,
  kOperator,  // text: the operator
  kEnd,
};

struct Token {
  TokenType type;
  int line;
  std::string_view text;  // into the source

  bool is_operator(std::string_view which) const { return type == TokenType::kOperator && text == which; }
  bool is_name(std::string_view which) const { return type == TokenType::kName && text == which; }
};

// Line breaks as "\n", and one at the very end dropped, as Jinja2 does before it looks at a template.
std::string normalize_source(std::string_view source);

// Throws TemplateError (kInvalidData) that names the line.
[[noreturn]] void fail_at(int line, const std::string& message);

// The tokens of a normalized source, kEnd last. Throws TemplateError.
std::vector<Token> tokenize(std::string_view source);

}  // namespace batchwright::jinja

#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "text/jinja/lexer.h"

namespace batchwright::jinja {

// Goes through the tokens of a template, of which the last is kEnd. What fails or is not what was expected throws
// TemplateError with the line.
class TokenCursor {
 public:
  explicit TokenCursor(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}

  const Token& current() const { return tokens_[at_]; }
  // The one behind it.
  const Token& look() const { return tokens_[std::min(at_ + 1, tokens_.size() - 1)]; }
  const Token& take() {
    const Token& token = tokens_[at_];
    if (token.type != TokenType::kEnd) ++at_;
    return token;
  }

  // Whether it was there.
  bool skip_operator(std::string_view which);
  bool skip_name(std::string_view which);

  void expect_operator(std::string_view which);
  void expect_name(std::string_view which);
  void expect(TokenType type, std::string_view what);
  std::string_view expect_any_name();

  // The token, for messages.
  static std::string shown(const Token& token);
  [[noreturn]] void fail(const std::string& message) const { fail_at(current().line, message); }

 private:
  std::vector<Token> tokens_;
  size_t at_ = 0;
};

}  // namespace batchwright::jinja

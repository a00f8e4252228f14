#include "text/jinja/token_cursor.h"

#include <fmt/format.h>

namespace batchwright::jinja {

bool TokenCursor::skip_operator(std::string_view which) {
  if (!current().is_operator(which)) return false;
  ++at_;
  return true;
}

bool TokenCursor::skip_name(std::string_view which) {
  if (!current().is_name(which)) return false;
  ++at_;
  return true;
}

void TokenCursor::expect_operator(std::string_view which) {
  if (!skip_operator(which)) fail(fmt::format("expected '{}', found {}", which, shown(current())));
}

void TokenCursor::expect_name(std::string_view which) {
  if (!skip_name(which)) fail(fmt::format("expected '{}', found {}", which, shown(current())));
}

void TokenCursor::expect(TokenType type, std::string_view what) {
  if (current().type != type) fail(fmt::format("expected {}, found {}", what, shown(current())));
  ++at_;
}

std::string_view TokenCursor::expect_any_name() {
  if (current().type != TokenType::kName) fail(fmt::format("expected a name, found {}", shown(current())));
  return take().text;
}

std::string TokenCursor::shown(const Token& token) {
  switch (token.type) {
    case TokenType::kEnd:
      return "the end of the template";
    case TokenType::kBlockEnd:
    case TokenType::kVariableEnd:
      return "the end of the tag";
    default:
      return fmt::format("'{}'", token.text.substr(0, 40));
  }
}

}  // namespace batchwright::jinja

// The values of a template's numbers and strings. All throw TemplateError with the token's line.
#pragma once

#include <string>

#include "text/jinja/lexer.h"
#include "text/jinja/value.h"

namespace batchwright::jinja {

Value integer_value(const Token& token);
Value float_value(const Token& token);
// The bytes of a string, with its escapes resolved as Python's "unicode-escape" does.
std::string unescaped(const Token& token);

}  // namespace batchwright::jinja

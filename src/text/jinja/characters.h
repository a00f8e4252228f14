// Classes of characters as Python's str and re see them, and simple case mapping.
#pragma once

#include <cstddef>
#include <string_view>

namespace batchwright::jinja {

bool is_space(char32_t c);
bool is_line_break(char32_t c);
bool is_printable(char32_t c);
bool is_alpha(char32_t c);
bool is_decimal(char32_t c);
bool is_digit(char32_t c);
bool is_numeric(char32_t c);
inline bool is_alnum(char32_t c) { return is_alpha(c) || is_decimal(c) || is_digit(c) || is_numeric(c); }
bool is_upper(char32_t c);
bool is_lower(char32_t c);
bool is_title(char32_t c);
inline bool is_cased(char32_t c) { return is_upper(c) || is_lower(c) || is_title(c); }
char32_t to_upper(char32_t c);
char32_t to_lower(char32_t c);
char32_t to_title(char32_t c);

// Byte offsets: of the first character that is no white space, and behind the last one.
size_t skip_space(std::string_view text, size_t begin);
size_t trim_space_end(std::string_view text, size_t end);

}  // namespace batchwright::jinja

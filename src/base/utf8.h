// Reading, checking and writing UTF-8 (RFC 3629: no surrogates, nothing above U+10FFFF, no overlong forms).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace batchwright {

inline constexpr char32_t kReplacementCharacter = 0xFFFD;

struct Utf8Char {
  char32_t code_point = kReplacementCharacter;
  // Bytes taken. Where valid is false: the longest prefix of a character that stands there, at least 1 byte (Unicode's
  // "maximal subpart", which Python's errors="replace" turns into one U+FFFD too).
  uint32_t length = 0;
  bool valid = false;
};

// The character that begins at text[offset]. Precondition: offset < text.size().
Utf8Char decode_utf8(std::string_view text, size_t offset);

// The length of the longest prefix that is valid UTF-8; text.size() where all of it is. So the offset of the first
// error.
size_t valid_utf8_prefix(std::string_view text);

inline bool is_valid_utf8(std::string_view text) { return valid_utf8_prefix(text) == text.size(); }

// Characters of a text; each invalid part counts as one.
size_t utf8_length(std::string_view text);

// Appends the character's bytes. A surrogate or a value above U+10FFFF becomes U+FFFD.
void append_utf8(std::string& out, char32_t code_point);

// Appends text with each invalid part replaced by U+FFFD.
void append_valid_utf8(std::string& out, std::string_view text);

}  // namespace batchwright

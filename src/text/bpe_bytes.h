// How byte-level BPE vocabularies spell bytes: each as one printable character (GPT-2's bytes_to_unicode), so that
// "Ġ" is a space and "Ċ" a newline.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace batchwright {

// Appends the character that stands for the byte.
void append_byte_level(std::string& out, uint8_t byte);

// The bytes that a text spells; none where a character of it stands for no byte.
std::optional<std::string> decode_byte_level(std::string_view text);

}  // namespace batchwright

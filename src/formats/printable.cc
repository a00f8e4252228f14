#include "formats/printable.h"

#include <fmt/format.h>

#include <iterator>

#include "base/utf8.h"

namespace batchwright {
namespace {

bool is_control(char32_t c) {
  // C0, DEL, C1, and the marks that turn the direction of the text around them.
  return c < 0x20 || (c >= 0x7f && c < 0xa0) || (c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
}

}  // namespace

std::string printable(std::string_view text, size_t max_chars) {
  std::string out;
  size_t chars = 0;
  for (size_t i = 0; i < text.size(); ++chars) {
    if (chars == max_chars) return out + "...";
    const Utf8Char c = decode_utf8(text, i);
    const std::string_view bytes = text.substr(i, c.length);
    i += c.length;
    if (c.valid && (c.code_point == '"' || c.code_point == '\\')) {
      out += '\\';
      out += bytes;
    } else if (c.valid && c.code_point == '\n') {
      out += "\\n";
    } else if (c.valid && !is_control(c.code_point)) {
      out += bytes;
    } else {
      for (const char byte : bytes) {
        fmt::format_to(std::back_inserter(out), "\\x{:02x}", static_cast<unsigned>(static_cast<unsigned char>(byte)));
      }
    }
  }
  return out;
}

}  // namespace batchwright

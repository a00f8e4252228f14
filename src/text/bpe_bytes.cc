#include "text/bpe_bytes.h"

#include <array>

#include "base/utf8.h"

namespace batchwright {
namespace {

constexpr uint32_t kFirstStandIn = 256;  // the bytes without a printable character of their own count on from here

constexpr bool stands_for_itself(uint32_t byte) {
  return (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || (byte >= 0xAE && byte <= 0xFF);
}

struct ByteLevel {
  std::array<uint16_t, 256> character{};
  std::array<int16_t, 512> byte{};
};

constexpr ByteLevel make_byte_level() {
  ByteLevel table;
  for (auto& byte : table.byte) byte = -1;
  uint32_t stand_in = kFirstStandIn;
  for (uint32_t byte = 0; byte < 256; ++byte) {
    const uint32_t character = stands_for_itself(byte) ? byte : stand_in++;
    table.character[byte] = static_cast<uint16_t>(character);
    table.byte[character] = static_cast<int16_t>(byte);
  }
  return table;
}

constexpr ByteLevel kByteLevel = make_byte_level();

}  // namespace

void append_byte_level(std::string& out, uint8_t byte) { append_utf8(out, kByteLevel.character[byte]); }

std::optional<std::string> decode_byte_level(std::string_view text) {
  std::string bytes;
  for (size_t i = 0; i < text.size();) {
    const Utf8Char c = decode_utf8(text, i);
    if (!c.valid || c.code_point >= kByteLevel.byte.size() || kByteLevel.byte[c.code_point] < 0) return std::nullopt;
    bytes.push_back(static_cast<char>(kByteLevel.byte[c.code_point]));
    i += c.length;
  }
  return bytes;
}

}  // namespace batchwright

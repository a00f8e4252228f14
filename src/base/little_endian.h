// Numbers in files, least significant byte first.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "base/check.h"

namespace batchwright {

static_assert(std::endian::native == std::endian::little);

template <class T>
void append_number(std::string& out, T value) {
  char bytes[sizeof(T)];
  std::memcpy(bytes, &value, sizeof(T));
  out.append(bytes, sizeof(T));
}

inline void append_u32(std::string& out, uint32_t value) { append_number(out, value); }
inline void append_u64(std::string& out, uint64_t value) { append_number(out, value); }

// Of the first bytes, which must be there.
template <class T>
T read_number(std::string_view bytes) {
  BATCHWRIGHT_CHECK(bytes.size() >= sizeof(T));
  T value;
  std::memcpy(&value, bytes.data(), sizeof(T));
  return value;
}

inline uint32_t read_u32(std::string_view bytes) { return read_number<uint32_t>(bytes); }
inline uint64_t read_u64(std::string_view bytes) { return read_number<uint64_t>(bytes); }

// Takes numbers that stand one behind the other. The bytes are borrowed.
class NumberReader {
 public:
  explicit NumberReader(std::string_view bytes) : bytes_(bytes) {}

  // Its bytes must be there.
  template <class T>
  T take() {
    const T value = read_number<T>(bytes_);
    bytes_.remove_prefix(sizeof(T));
    return value;
  }
  // What was not taken yet.
  std::string_view rest() const { return bytes_; }

 private:
  std::string_view bytes_;
};

}  // namespace batchwright

// What the reader and the writer of GGUF both know about its value types. Private to the room.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>

#include "formats/gguf.h"

namespace batchwright::formats {

inline constexpr uint32_t kGgufTypeCount = 13;
inline constexpr char kAlignmentKey[] = "general.alignment";

// Bytes of a number or bool in the file; 0 for strings and arrays.
constexpr uint64_t gguf_fixed_bytes(GgufType type) {
  switch (type) {
    case GgufType::kUint8:
    case GgufType::kInt8:
    case GgufType::kBool:
      return 1;
    case GgufType::kUint16:
    case GgufType::kInt16:
      return 2;
    case GgufType::kUint32:
    case GgufType::kInt32:
    case GgufType::kFloat32:
      return 4;
    case GgufType::kUint64:
    case GgufType::kInt64:
    case GgufType::kFloat64:
      return 8;
    case GgufType::kString:
    case GgufType::kArray:
      return 0;
  }
  return 0;
}

// Metadata is not aligned.
template <class T>
T load(const std::byte* data) {
  T value;
  std::memcpy(&value, data, sizeof(T));
  return value;
}

// The GGUF types of C++ types.
template <class T>
struct GgufTypeOf;
// clang-format off
template <> struct GgufTypeOf<uint8_t> { static constexpr GgufType value = GgufType::kUint8; };
template <> struct GgufTypeOf<int8_t> { static constexpr GgufType value = GgufType::kInt8; };
template <> struct GgufTypeOf<uint16_t> { static constexpr GgufType value = GgufType::kUint16; };
template <> struct GgufTypeOf<int16_t> { static constexpr GgufType value = GgufType::kInt16; };
template <> struct GgufTypeOf<uint32_t> { static constexpr GgufType value = GgufType::kUint32; };
template <> struct GgufTypeOf<int32_t> { static constexpr GgufType value = GgufType::kInt32; };
template <> struct GgufTypeOf<uint64_t> { static constexpr GgufType value = GgufType::kUint64; };
template <> struct GgufTypeOf<int64_t> { static constexpr GgufType value = GgufType::kInt64; };
template <> struct GgufTypeOf<float> { static constexpr GgufType value = GgufType::kFloat32; };
template <> struct GgufTypeOf<double> { static constexpr GgufType value = GgufType::kFloat64; };
template <> struct GgufTypeOf<bool> { static constexpr GgufType value = GgufType::kBool; };
// clang-format on

// Calls visitor with the number at data in its own C++ type (bool as bool). Precondition: type is no string or array.
template <class Visitor>
auto visit_number(GgufType type, const std::byte* data, Visitor visitor) {
  switch (type) {
    case GgufType::kUint8:
      return visitor(load<uint8_t>(data));
    case GgufType::kInt8:
      return visitor(load<int8_t>(data));
    case GgufType::kUint16:
      return visitor(load<uint16_t>(data));
    case GgufType::kInt16:
      return visitor(load<int16_t>(data));
    case GgufType::kUint32:
      return visitor(load<uint32_t>(data));
    case GgufType::kInt32:
      return visitor(load<int32_t>(data));
    case GgufType::kFloat32:
      return visitor(load<float>(data));
    case GgufType::kUint64:
      return visitor(load<uint64_t>(data));
    case GgufType::kInt64:
      return visitor(load<int64_t>(data));
    case GgufType::kFloat64:
      return visitor(load<double>(data));
    case GgufType::kBool:
    case GgufType::kString:
    case GgufType::kArray:
      break;
  }
  return visitor(load<uint8_t>(data) != 0);
}

constexpr bool is_integer(GgufType type) {
  return gguf_fixed_bytes(type) != 0 && type != GgufType::kBool && type != GgufType::kFloat32 &&
         type != GgufType::kFloat64;
}

constexpr bool is_real(GgufType type) { return type == GgufType::kFloat32 || type == GgufType::kFloat64; }

}  // namespace batchwright::formats

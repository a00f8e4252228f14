// What kind of character a code point is to the patterns that cut text into words. From a table of our own rather than
// a library's, so that every machine makes the same tokens: the classes change with each version of Unicode.
#pragma once

#include <cstdint>

namespace batchwright {

// The version of Unicode whose classes these are.
inline constexpr char kUnicodeClassVersion[] = "16.0";

enum class UnicodeClass : uint8_t {
  kOther,
  kLetter,  // general category L
  kNumber,  // general category N
  kSpace,   // White_Space
};

// kOther above U+10FFFF.
UnicodeClass unicode_class(char32_t code_point);

}  // namespace batchwright

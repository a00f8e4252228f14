// Sentencepiece writes a space as U+2581.
#pragma once

#include <string>
#include <string_view>

namespace batchwright {

inline constexpr std::string_view kSpmSpace = "\xE2\x96\x81";

// Appends text with each space written as U+2581.
inline void append_escaped_spaces(std::string& out, std::string_view text) {
  size_t begin = 0;
  for (size_t space = text.find(' '); space != std::string_view::npos; space = text.find(' ', begin)) {
    out.append(text, begin, space - begin);
    out.append(kSpmSpace);
    begin = space + 1;
  }
  out.append(text, begin, text.size() - begin);
}

// Appends text with each U+2581 written as a space.
inline void append_unescaped_spaces(std::string& out, std::string_view text) {
  size_t begin = 0;
  for (size_t space = text.find(kSpmSpace); space != std::string_view::npos; space = text.find(kSpmSpace, begin)) {
    out.append(text, begin, space - begin);
    out.push_back(' ');
    begin = space + kSpmSpace.size();
  }
  out.append(text, begin, text.size() - begin);
}

}  // namespace batchwright

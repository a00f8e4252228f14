#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace batchwright {

// Bytes from a file, made fit for a message or a terminal: control characters, quotes, backslashes and whatever is not
// UTF-8 are escaped (\n, \", \x1b), and text beyond max_chars characters is cut off with "...". Valid UTF-8.
std::string printable(std::string_view text, size_t max_chars = 80);

}  // namespace batchwright

#pragma once

#include <span>
#include <string>
#include <string_view>

namespace batchwright {

// Changes of one character (insert, delete, replace, swap of neighbours) between two words.
size_t edit_distance(std::string_view a, std::string_view b);

// The known word that was most likely meant; empty where none is near.
std::string nearest_word(std::string_view word, std::span<const std::string> known);

}  // namespace batchwright

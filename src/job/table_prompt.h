// A prompt with places for a table's values: "Classify: {title} - {text}".
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "batchwright/status.h"

namespace batchwright {

class TablePrompt {
 public:
  // `option` stands in errors. "{title}" is the value of the column of that name, to the letter; "{{" and "}}" are
  // braces. kInvalidArgument: a brace without its other half (its place in characters, from 1), a name that is no
  // column, no valid UTF-8.
  static Result<TablePrompt> parse(std::string_view text, std::span<const std::string> columns,
                                   std::string_view option);

  // Bytes of fill(values).
  uint64_t filled_bytes(std::span<const std::string> values) const;
  // Values stand in it as they are; braces in them mean nothing.
  std::string fill(std::span<const std::string> values) const;

 private:
  struct Piece {
    std::string text;
    size_t column;  // whose value comes after the text
  };
  std::vector<Piece> pieces_;
  std::string end_;
};

// `"a", "b" and 17 more`, for messages.
std::string list_of_columns(std::span<const std::string> columns);

}  // namespace batchwright

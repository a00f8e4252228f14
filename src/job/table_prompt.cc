#include "job/table_prompt.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/utf8.h"
#include "protocol/body_reader.h"

namespace batchwright {
namespace {

constexpr size_t kListedColumns = 20;

Status unbalanced(std::string_view text, size_t at, std::string_view option) {
  return invalid_argument(fmt::format("{}: the brace {} at character {} stands alone; write {}{} for the brace itself",
                                      option, text[at], utf8_length(text.substr(0, at)) + 1, text[at], text[at]));
}

}  // namespace

std::string list_of_columns(std::span<const std::string> columns) {
  std::string list;
  for (size_t i = 0; i < std::min(columns.size(), kListedColumns); ++i) {
    list += (i == 0 ? "" : ", ") + shown(columns[i]);
  }
  if (columns.size() > kListedColumns) list += fmt::format(" and {} more", columns.size() - kListedColumns);
  return list;
}

Result<TablePrompt> TablePrompt::parse(std::string_view text, std::span<const std::string> columns,
                                       std::string_view option) {
  if (!is_valid_utf8(text)) return invalid_argument(fmt::format("{}: is not valid UTF-8", option));
  TablePrompt prompt;
  std::string literal;
  size_t at = 0;
  while (at < text.size()) {
    const size_t brace = std::min(text.find_first_of("{}", at), text.size());
    literal += text.substr(at, brace - at);
    at = brace;
    if (at == text.size()) break;
    if (at + 1 < text.size() && text[at + 1] == text[at]) {
      literal += text[at];
      at += 2;
      continue;
    }
    const size_t end = text.find_first_of("{}", at + 1);
    if (text[at] == '}' || end == std::string_view::npos || text[end] == '{') return unbalanced(text, at, option);
    const std::string_view name = text.substr(at + 1, end - at - 1);
    const auto column = std::find(columns.begin(), columns.end(), name);
    if (column == columns.end()) {
      return invalid_argument(
          fmt::format("{}: the table has no column {}; it has {} (a brace itself is written {{{{ or }}}})", option,
                      shown(name), list_of_columns(columns)));
    }
    prompt.pieces_.push_back({std::exchange(literal, {}), static_cast<size_t>(column - columns.begin())});
    at = end + 1;
  }
  prompt.end_ = std::move(literal);
  return prompt;
}

uint64_t TablePrompt::filled_bytes(std::span<const std::string> values) const {
  uint64_t bytes = end_.size();
  for (const Piece& piece : pieces_) bytes += piece.text.size() + values[piece.column].size();
  return bytes;
}

std::string TablePrompt::fill(std::span<const std::string> values) const {
  std::string filled;
  filled.reserve(filled_bytes(values));
  for (const Piece& piece : pieces_) {
    filled += piece.text;
    filled += values[piece.column];
  }
  filled += end_;
  return filled;
}

}  // namespace batchwright

// What Python's str can do, with the origin of every character kept.
#pragma once

#include <string_view>
#include <vector>

#include "text/jinja/runtime.h"
#include "text/jinja/value.h"

namespace batchwright::jinja {

// Linear in both, whatever they hold. npos where there is none.
size_t find_bytes(std::string_view text, std::string_view part, size_t begin);

Value slice_text(Runtime& runtime, const Text& text, size_t begin, size_t end);
Value repeat_text(Runtime& runtime, const Text& text, int64_t times);

enum class Side { kLeft, kRight, kBoth };
// characters: null for white space.
Value strip_text(Runtime& runtime, const Text& text, Side side, const Text* characters);

// max_splits below 0: no limit. separator null: runs of white space.
std::vector<Value> split_text(Runtime& runtime, const Text& text, const Text* separator, int64_t max_splits);
std::vector<Value> split_text_from_right(Runtime& runtime, const Text& text, const Text* separator, int64_t max_splits);
std::vector<Value> split_lines(Runtime& runtime, const Text& text, bool keep_ends);

// count below 0: all.
Value replace_text(Runtime& runtime, const Text& text, const Text& from, const Text& to, int64_t count);

// Every item must be a string.
Value join_text(Runtime& runtime, const Text& separator, const std::vector<Value>& items);

Value upper_text(Runtime& runtime, const Text& text);
Value lower_text(Runtime& runtime, const Text& text);
Value capitalize_text(Runtime& runtime, const Text& text);
Value swap_case_text(Runtime& runtime, const Text& text);
// str.title(): a capital behind everything without case.
Value title_text(Runtime& runtime, const Text& text);
// Jinja2's filter: a capital behind white space, hyphens and opening brackets.
Value title_words(Runtime& runtime, const Text& text);

// format % arguments, with %s %r %d %i %f %x %%, widths and precisions.
Value format_percent(Runtime& runtime, const Text& format, const Value& arguments);
// str.format with {}, {0}, {name}; whatever reaches into a value ("{0.attribute}", "{0[item]}") is refused.
Value format_braces(Runtime& runtime, const Text& format, const Arguments& arguments);

}  // namespace batchwright::jinja

// Methods of Python's str.
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "text/jinja/builtins.h"
#include "text/jinja/characters.h"
#include "text/jinja/operations.h"
#include "text/jinja/strings.h"

namespace batchwright::jinja {
namespace {

bool given(const Value& argument) { return !argument.is_missing() && !argument.is_none(); }

// Python's methods take most arguments by position only; named ones are accepted where str.split accepts them.
std::vector<Value> positional(Runtime& rt, const Arguments& arguments, std::string_view method,
                              std::initializer_list<std::string_view> names, size_t required = 0) {
  if (!arguments.named.empty()) rt.fail(fmt::format("{} takes no named arguments", method));
  return bind(rt, arguments, method, names, required);
}

template <Side side>
Value strip(Runtime& rt, const Value& self, const Arguments& arguments) {
  const auto args = positional(rt, arguments, "strip", {"chars"});
  return strip_text(rt, self.text(), side, given(args[0]) ? &require_string(rt, args[0], "chars") : nullptr);
}

template <auto split_function>
Value split(Runtime& rt, const Value& self, const Arguments& arguments) {
  const auto args = bind(rt, arguments, "split", {"sep", "maxsplit"});
  const Text* const separator = given(args[0]) ? &require_string(rt, args[0], "sep") : nullptr;
  const int64_t max_splits = args[1].is_missing() ? -1 : require_int(rt, args[1], "maxsplit");
  return rt.make_list(split_function(rt, self.text(), separator, max_splits));
}

Value splitlines(Runtime& rt, const Value& self, const Arguments& arguments) {
  const auto args = bind(rt, arguments, "splitlines", {"keepends"});
  return rt.make_list(split_lines(rt, self.text(), truthy(args[0])));
}

template <auto map_function>
Value mapped(Runtime& rt, const Value& self, const Arguments& arguments) {
  positional(rt, arguments, "the method", {});
  return map_function(rt, self.text());
}

// The part [begin, end) of a string that optional arguments name, in bytes; false where begin lies behind the end.
bool part_of(Runtime& rt, const Text& text, const Value& begin, const Value& end, size_t& from, size_t& to) {
  const auto size = static_cast<int64_t>(text.length_characters());
  const auto place = [&](const Value& v, int64_t otherwise) {
    if (!given(v)) return otherwise;
    const int64_t i = require_int(rt, v, "a position");
    return i < 0 ? std::max<int64_t>(i + size, 0) : i;
  };
  const int64_t first = place(begin, 0);
  const int64_t last = std::min(place(end, size), size);
  if (first > last) return false;
  if (!text.is_ascii()) rt.scan(text.size());
  from = text.byte_offset(static_cast<size_t>(first));
  to = text.byte_offset(static_cast<size_t>(last));
  return true;
}

Value affix(Runtime& rt, const Value& self, const Arguments& arguments, bool at_start) {
  const auto args = positional(rt, arguments, at_start ? "startswith" : "endswith", {"what", "start", "end"}, 1);
  std::vector<Value> candidates = {args[0]};
  if (args[0].is(Kind::kTuple)) candidates = args[0].list().items;
  size_t from = 0;
  size_t to = 0;
  const bool exists = part_of(rt, self.text(), args[1], args[2], from, to);
  for (const Value& candidate : candidates) {
    const std::string_view what = require_string(rt, candidate, "what a string starts or ends with").bytes();
    rt.scan(what.size());
    const std::string_view part = exists ? self.bytes().substr(from, to - from) : std::string_view();
    if (exists && (at_start ? part.starts_with(what) : part.ends_with(what))) return true;
  }
  return false;
}

Value startswith(Runtime& rt, const Value& self, const Arguments& a) { return affix(rt, self, a, true); }
Value endswith(Runtime& rt, const Value& self, const Arguments& a) { return affix(rt, self, a, false); }

// The byte offset of the last place, linear as find_bytes is.
size_t rfind_bytes(Runtime& rt, std::string_view text, std::string_view part) {
  if (part.empty()) return text.size();
  rt.charge(text.size() + part.size());
  const std::string reversed_text(text.rbegin(), text.rend());
  const std::string reversed_part(part.rbegin(), part.rend());
  const size_t found = find_bytes(reversed_text, reversed_part, 0);
  return found == std::string_view::npos ? found : text.size() - found - part.size();
}

int64_t find_in(Runtime& rt, const Value& self, const Arguments& arguments, bool from_right) {
  const auto args = positional(rt, arguments, "find", {"sub", "start", "end"}, 1);
  const std::string_view what = require_string(rt, args[0], "sub").bytes();
  size_t from = 0;
  size_t to = 0;
  if (!part_of(rt, self.text(), args[1], args[2], from, to)) return -1;
  const std::string_view part = self.bytes().substr(from, to - from);
  rt.scan(part.size());
  const size_t found = from_right ? rfind_bytes(rt, part, what) : find_bytes(part, what, 0);
  if (found == std::string_view::npos) return -1;
  if (self.text().is_ascii()) return static_cast<int64_t>(from + found);
  rt.scan(self.text().size());
  int64_t characters = 0;
  for (CharacterCursor c(self.text()); c.offset() < from + found; c.next()) ++characters;
  return characters;
}

Value find(Runtime& rt, const Value& self, const Arguments& a) { return find_in(rt, self, a, false); }
Value rfind(Runtime& rt, const Value& self, const Arguments& a) { return find_in(rt, self, a, true); }

Value index_or_fail(Runtime& rt, int64_t at) {
  if (at < 0) rt.fail("substring not found");
  return at;
}

Value index(Runtime& rt, const Value& self, const Arguments& a) {
  return index_or_fail(rt, find_in(rt, self, a, false));
}
Value rindex(Runtime& rt, const Value& self, const Arguments& a) {
  return index_or_fail(rt, find_in(rt, self, a, true));
}

Value count(Runtime& rt, const Value& self, const Arguments& arguments) {
  const auto args = positional(rt, arguments, "count", {"sub", "start", "end"}, 1);
  const std::string_view what = require_string(rt, args[0], "sub").bytes();
  size_t from = 0;
  size_t to = 0;
  if (!part_of(rt, self.text(), args[1], args[2], from, to)) return int64_t{0};
  const std::string_view part = self.bytes().substr(from, to - from);
  rt.scan(part.size());
  int64_t times = 0;
  if (what.empty()) {
    for (size_t i = 0; i < part.size(); ++i) times += (static_cast<unsigned char>(part[i]) & 0xC0) != 0x80 ? 1 : 0;
    return times + 1;
  }
  for (size_t at = find_bytes(part, what, 0); at != std::string_view::npos;
       at = find_bytes(part, what, at + what.size())) {
    ++times;
  }
  return times;
}

Value replace(Runtime& rt, const Value& self, const Arguments& arguments) {
  const auto args = positional(rt, arguments, "replace", {"old", "new", "count"}, 2);
  const int64_t times = args[2].is_missing() ? -1 : require_int(rt, args[2], "count");
  return replace_text(rt, self.text(), require_string(rt, args[0], "old"), require_string(rt, args[1], "new"), times);
}

Value join(Runtime& rt, const Value& self, const Arguments& arguments) {
  const auto args = positional(rt, arguments, "join", {"iterable"}, 1);
  return join_text(rt, self.text(), iterate(rt, args[0]));
}

Value format(Runtime& rt, const Value& self, const Arguments& arguments) {
  return format_braces(rt, self.text(), arguments);
}

// Not empty, and every character is of the class.
template <bool (*is_class)(char32_t)>
Value all_are(Runtime& rt, const Value& self, const Arguments& arguments) {
  positional(rt, arguments, "the method", {});
  rt.scan(self.text().size());
  for (CharacterCursor c(self.text()); !c.at_end(); c.next()) {
    if (!is_class(c.code_point())) return false;
  }
  return !self.text().empty();
}

Value islower(Runtime& rt, const Value& self, const Arguments& a) { return find_test("lower")(rt, self, a); }
Value isupper(Runtime& rt, const Value& self, const Arguments& a) { return find_test("upper")(rt, self, a); }

Value isascii(Runtime& rt, const Value& self, const Arguments& arguments) {
  positional(rt, arguments, "isascii", {});
  return self.text().is_ascii();
}

Value removeprefix(Runtime& rt, const Value& self, const Arguments& arguments) {
  const auto args = positional(rt, arguments, "removeprefix", {"prefix"}, 1);
  const Text& prefix = require_string(rt, args[0], "prefix");
  if (!self.bytes().starts_with(prefix.bytes())) return self;
  return slice_text(rt, self.text(), prefix.size(), self.text().size());
}

Value removesuffix(Runtime& rt, const Value& self, const Arguments& arguments) {
  const auto args = positional(rt, arguments, "removesuffix", {"suffix"}, 1);
  const Text& suffix = require_string(rt, args[0], "suffix");
  if (!self.bytes().ends_with(suffix.bytes())) return self;
  return slice_text(rt, self.text(), 0, self.text().size() - suffix.size());
}

Value partition(Runtime& rt, const Value& self, const Arguments& arguments) {
  const auto args = positional(rt, arguments, "partition", {"sep"}, 1);
  const Text& separator = require_string(rt, args[0], "sep");
  auto parts = split_text(rt, self.text(), &separator, 1);
  const Value empty = rt.make_text("", true);
  if (parts.size() == 1) return rt.make_tuple({self, empty, empty});
  return rt.make_tuple({parts[0], args[0], parts[1]});
}

Value rpartition(Runtime& rt, const Value& self, const Arguments& arguments) {
  const auto args = positional(rt, arguments, "rpartition", {"sep"}, 1);
  const Text& separator = require_string(rt, args[0], "sep");
  auto parts = split_text_from_right(rt, self.text(), &separator, 1);
  const Value empty = rt.make_text("", true);
  if (parts.size() == 1) return rt.make_tuple({empty, empty, self});
  return rt.make_tuple({parts[0], args[0], parts[1]});
}

template <Side side>
Value justify(Runtime& rt, const Value& self, const Arguments& arguments) {
  const auto args = positional(rt, arguments, "the method", {"width", "fillchar"}, 1);
  const Value fill = args[1].is_missing() ? rt.make_text(" ", true) : args[1];
  if (require_string(rt, fill, "fillchar").length_characters() != 1) rt.fail("fillchar must be one character");
  const auto length = static_cast<int64_t>(self.text().length_characters());
  const int64_t width = require_int(rt, args[0], "width");
  if (width <= length) return self;
  const int64_t missing = width - length;
  // str.center puts the odd one on the left where the width is odd.
  const int64_t left = side == Side::kLeft ? 0 : side == Side::kRight ? missing : missing / 2 + (missing & width & 1);
  const Value before = repeat_text(rt, fill.text(), left);
  return add(rt, add(rt, before, self), repeat_text(rt, fill.text(), missing - left));
}

Value zfill(Runtime& rt, const Value& self, const Arguments& arguments) {
  const auto args = positional(rt, arguments, "zfill", {"width"}, 1);
  const auto length = static_cast<int64_t>(self.text().length_characters());
  const Value zero = rt.make_text("0", true);
  const Value zeros = repeat_text(rt, zero.text(), require_int(rt, args[0], "width") - length);
  const bool has_sign = self.bytes().starts_with('-') || self.bytes().starts_with('+');
  TextBuilder builder;
  if (has_sign) builder.append(self.text(), 0, 1);
  builder.append(zeros.text());
  builder.append(self.text(), has_sign ? 1 : 0, self.text().size());
  return rt.make_text(std::move(builder));
}

}  // namespace

Method find_string_method(std::string_view name) {
  static const std::map<std::string_view, Method> kMethods = {
      {"strip", strip<Side::kBoth>},
      {"lstrip", strip<Side::kLeft>},
      {"rstrip", strip<Side::kRight>},
      {"split", split<split_text>},
      {"rsplit", split<split_text_from_right>},
      {"splitlines", splitlines},
      {"upper", mapped<upper_text>},
      {"lower", mapped<lower_text>},
      {"casefold", mapped<lower_text>},
      {"title", mapped<title_text>},
      {"capitalize", mapped<capitalize_text>},
      {"swapcase", mapped<swap_case_text>},
      {"startswith", startswith},
      {"endswith", endswith},
      {"find", find},
      {"rfind", rfind},
      {"index", index},
      {"rindex", rindex},
      {"count", count},
      {"replace", replace},
      {"join", join},
      {"format", format},
      {"isdigit", all_are<is_digit>},
      {"isdecimal", all_are<is_decimal>},
      {"isnumeric", all_are<is_numeric>},
      {"isalpha", all_are<is_alpha>},
      {"isalnum", all_are<is_alnum>},
      {"isspace", all_are<is_space>},
      {"islower", islower},
      {"isupper", isupper},
      {"isascii", isascii},
      {"removeprefix", removeprefix},
      {"removesuffix", removesuffix},
      {"partition", partition},
      {"rpartition", rpartition},
      {"ljust", justify<Side::kLeft>},
      {"rjust", justify<Side::kRight>},
      {"center", justify<Side::kBoth>},
      {"zfill", zfill},
  };
  const auto found = kMethods.find(name);
  return found == kMethods.end() ? nullptr : found->second;
}

}  // namespace batchwright::jinja

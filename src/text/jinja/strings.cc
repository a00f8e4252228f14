#include "text/jinja/strings.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstring>

#include "base/utf8.h"
#include "text/jinja/characters.h"
#include "text/jinja/operations.h"

namespace batchwright::jinja {

size_t find_bytes(std::string_view text, std::string_view part, size_t begin) {
  if (begin > text.size()) return std::string_view::npos;
  if (part.empty()) return begin;
  // The C library's memmem is linear; std::string_view::find is quadratic on texts made for it.
  const void* const found = memmem(text.data() + begin, text.size() - begin, part.data(), part.size());
  return found == nullptr ? std::string_view::npos : static_cast<size_t>(static_cast<const char*>(found) - text.data());
}

Value slice_text(Runtime& runtime, const Text& text, size_t begin, size_t end) {
  runtime.charge(end - begin);
  TextBuilder builder;
  builder.append(text, begin, end);
  return runtime.make_text(std::move(builder));
}

Value repeat_text(Runtime& runtime, const Text& text, int64_t times) {
  const auto count = static_cast<size_t>(std::max<int64_t>(times, 0));
  if (!text.empty() && count > runtime.limits().max_work_bytes / text.size()) runtime.charge(SIZE_MAX);
  // Neighbours of one origin are joined, so a text with one run stays one.
  const size_t new_runs = text.runs().size() > 1 ? text.runs().size() * count : 0;
  runtime.charge(text.size() * count + new_runs * sizeof(OriginRun));
  TextBuilder builder;
  for (size_t i = 0; i < count && !text.empty(); ++i) builder.append(text);
  return runtime.make_text(std::move(builder));
}

namespace {

bool is_among(std::string_view characters, std::string_view one) {
  return find_bytes(characters, one, 0) != std::string_view::npos;
}

size_t character_begin(std::string_view text, size_t end) {
  --end;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  return end;
}

}  // namespace

Value strip_text(Runtime& runtime, const Text& text, Side side, const Text* characters) {
  const std::string_view bytes = text.bytes();
  runtime.scan(bytes.size() * (characters == nullptr ? 1 : characters->size() + 1));
  const auto strips = [&](size_t begin, size_t end) {
    const std::string_view one = bytes.substr(begin, end - begin);
    return characters == nullptr ? is_space(decode_utf8(one, 0).code_point) : is_among(characters->bytes(), one);
  };
  size_t begin = 0;
  size_t end = bytes.size();
  if (side != Side::kRight) {
    while (begin < end) {
      const size_t next = begin + decode_utf8(bytes, begin).length;
      if (!strips(begin, next)) break;
      begin = next;
    }
  }
  if (side != Side::kLeft) {
    while (begin < end) {
      const size_t last = character_begin(bytes, end);
      if (!strips(last, end)) break;
      end = last;
    }
  }
  return slice_text(runtime, text, begin, end);
}

namespace {

std::vector<Value> split_space(Runtime& runtime, const Text& text, int64_t max_splits) {
  std::vector<Value> parts;
  const std::string_view bytes = text.bytes();
  size_t at = skip_space(bytes, 0);
  while (at < bytes.size()) {
    if (max_splits >= 0 && static_cast<int64_t>(parts.size()) == max_splits) {
      parts.push_back(slice_text(runtime, text, at, trim_space_end(bytes, bytes.size())));
      break;
    }
    size_t end = at;
    while (end < bytes.size()) {
      const Utf8Char c = decode_utf8(bytes, end);
      if (is_space(c.code_point)) break;
      end += c.length;
    }
    parts.push_back(slice_text(runtime, text, at, end));
    at = skip_space(bytes, end);
  }
  return parts;
}

std::vector<Value> split_space_from_right(Runtime& runtime, const Text& text, int64_t max_splits) {
  std::vector<Value> parts;
  const std::string_view bytes = text.bytes();
  size_t end = trim_space_end(bytes, bytes.size());
  while (end > 0) {
    if (max_splits >= 0 && static_cast<int64_t>(parts.size()) == max_splits) {
      const size_t begin = skip_space(bytes.substr(0, end), 0);
      if (begin < end) parts.push_back(slice_text(runtime, text, begin, end));
      break;
    }
    size_t begin = end;
    while (begin > 0) {
      const size_t previous = character_begin(bytes, begin);
      if (is_space(decode_utf8(bytes, previous).code_point)) break;
      begin = previous;
    }
    parts.push_back(slice_text(runtime, text, begin, end));
    end = trim_space_end(bytes, begin);
  }
  std::reverse(parts.begin(), parts.end());
  return parts;
}

void require_separator(Runtime& runtime, const Text& separator) {
  if (separator.empty()) runtime.fail("an empty separator");
}

}  // namespace

std::vector<Value> split_text(Runtime& runtime, const Text& text, const Text* separator, int64_t max_splits) {
  runtime.scan(text.size());
  if (separator == nullptr) return split_space(runtime, text, max_splits);
  require_separator(runtime, *separator);
  std::vector<Value> parts;
  size_t begin = 0;
  while (max_splits < 0 || static_cast<int64_t>(parts.size()) < max_splits) {
    const size_t found = find_bytes(text.bytes(), separator->bytes(), begin);
    if (found == std::string_view::npos) break;
    runtime.step();
    parts.push_back(slice_text(runtime, text, begin, found));
    begin = found + separator->size();
  }
  parts.push_back(slice_text(runtime, text, begin, text.size()));
  return parts;
}

std::vector<Value> split_text_from_right(Runtime& runtime, const Text& text, const Text* separator,
                                         int64_t max_splits) {
  runtime.scan(text.size());
  if (separator == nullptr) return split_space_from_right(runtime, text, max_splits);
  require_separator(runtime, *separator);
  // Searching from the right finds other places than from the left where the separator overlaps itself.
  std::string reversed_text(text.bytes().rbegin(), text.bytes().rend());
  const std::string reversed_separator(separator->bytes().rbegin(), separator->bytes().rend());
  runtime.charge(reversed_text.size());
  std::vector<Value> parts;
  size_t begin = 0;
  while (max_splits < 0 || static_cast<int64_t>(parts.size()) < max_splits) {
    const size_t found = find_bytes(reversed_text, reversed_separator, begin);
    if (found == std::string_view::npos) break;
    runtime.step();
    parts.push_back(slice_text(runtime, text, text.size() - found, text.size() - begin));
    begin = found + separator->size();
  }
  parts.push_back(slice_text(runtime, text, 0, text.size() - begin));
  std::reverse(parts.begin(), parts.end());
  return parts;
}

std::vector<Value> split_lines(Runtime& runtime, const Text& text, bool keep_ends) {
  runtime.scan(text.size());
  std::vector<Value> lines;
  const std::string_view bytes = text.bytes();
  size_t begin = 0;
  for (size_t at = 0; at < bytes.size();) {
    const Utf8Char c = decode_utf8(bytes, at);
    size_t next = at + c.length;
    if (is_line_break(c.code_point)) {
      if (c.code_point == '\r' && next < bytes.size() && bytes[next] == '\n') ++next;
      runtime.step();
      lines.push_back(slice_text(runtime, text, begin, keep_ends ? next : at));
      begin = next;
    }
    at = next;
  }
  if (begin < bytes.size()) lines.push_back(slice_text(runtime, text, begin, bytes.size()));
  return lines;
}

Value replace_text(Runtime& runtime, const Text& text, const Text& from, const Text& to, int64_t count) {
  runtime.scan(text.size());
  TextBuilder builder;
  size_t copied = 0;
  size_t at = 0;
  for (int64_t done = 0; count < 0 || done < count; ++done) {
    const size_t found = find_bytes(text.bytes(), from.bytes(), at);
    if (found == std::string_view::npos) break;
    runtime.step();
    runtime.charge(to.size() + (found - copied));
    builder.append(text, copied, found);
    builder.append(to);
    copied = found + from.size();
    at = copied;
    if (from.empty()) {
      // Between all characters, at both ends too.
      if (found == text.size()) break;
      at = found + decode_utf8(text.bytes(), found).length;
    }
  }
  runtime.charge(text.size() - copied);
  builder.append(text, copied, text.size());
  return runtime.make_text(std::move(builder));
}

Value join_text(Runtime& runtime, const Text& separator, const std::vector<Value>& items) {
  TextBuilder builder;
  for (size_t i = 0; i < items.size(); ++i) {
    if (!items[i].is_string()) {
      runtime.fail(fmt::format("join: item {} is a {}, not a string", i, type_name(items[i])));
    }
    runtime.step();
    runtime.charge(items[i].text().size() + separator.size());
    if (i > 0) builder.append(separator);
    builder.append(items[i].text());
  }
  return runtime.make_text(std::move(builder));
}

namespace {

// change(character, index) gives what stands in its place.
template <class Change>
Value map_characters(Runtime& runtime, const Text& text, Change change) {
  runtime.charge(2 * text.size());
  TextBuilder builder;
  std::string one;
  size_t index = 0;
  for (CharacterCursor c(text); !c.at_end(); c.next()) {
    one.clear();
    append_utf8(one, change(c.code_point(), index++));
    builder.append(one, c.from_template());
  }
  runtime.step(static_cast<int64_t>(index / 64));
  return runtime.make_text(std::move(builder));
}

}  // namespace

Value upper_text(Runtime& runtime, const Text& text) {
  return map_characters(runtime, text, [](char32_t c, size_t) { return to_upper(c); });
}

Value lower_text(Runtime& runtime, const Text& text) {
  return map_characters(runtime, text, [](char32_t c, size_t) { return to_lower(c); });
}

Value capitalize_text(Runtime& runtime, const Text& text) {
  return map_characters(runtime, text, [](char32_t c, size_t i) { return i == 0 ? to_title(c) : to_lower(c); });
}

Value swap_case_text(Runtime& runtime, const Text& text) {
  return map_characters(runtime, text, [](char32_t c, size_t) {
    return is_upper(c) ? to_lower(c) : is_lower(c) ? to_upper(c) : c;
  });
}

Value title_text(Runtime& runtime, const Text& text) {
  bool in_word = false;
  return map_characters(runtime, text, [&in_word](char32_t c, size_t) {
    const char32_t mapped = in_word ? to_lower(c) : to_title(c);
    in_word = is_cased(c);
    return mapped;
  });
}

Value title_words(Runtime& runtime, const Text& text) {
  bool in_word = false;
  return map_characters(runtime, text, [&in_word](char32_t c, size_t) {
    const bool is_break = is_space(c) || c == '-' || c == '(' || c == '{' || c == '[' || c == '<';
    const char32_t mapped = is_break ? c : in_word ? to_lower(c) : to_upper(c);
    in_word = !is_break;
    return mapped;
  });
}

namespace {

constexpr int kMaxFormatWidth = 1000;

struct PercentSpec {
  bool left = false;
  bool zero = false;
  bool plus = false;
  int width = 0;
  int precision = -1;
  char conversion = 's';
};

void append_padded(Runtime& runtime, TextBuilder& out, const Text& text, const PercentSpec& spec) {
  const auto width = static_cast<size_t>(spec.width);
  const size_t length = text.length_characters();
  const std::string padding(width > length ? width - length : 0, ' ');
  runtime.charge(text.size() + padding.size());
  if (!spec.left) out.append(padding, true);
  out.append(text);
  if (spec.left) out.append(padding, true);
}

void append_percent(Runtime& runtime, TextBuilder& out, const PercentSpec& spec, const Value& value) {
  switch (spec.conversion) {
    case 's':
    case 'r': {
      Value shown =
          spec.conversion == 's' ? to_text(runtime, value) : runtime.make_text(to_repr(runtime, value), false);
      if (spec.precision >= 0 && static_cast<size_t>(spec.precision) < shown.text().length_characters()) {
        shown = slice_text(runtime, shown.text(), 0, shown.text().byte_offset(static_cast<size_t>(spec.precision)));
      }
      return append_padded(runtime, out, shown.text(), spec);
    }
    case 'd':
    case 'i':
    case 'x':
    case 'f': {
      if (!value.is_number())
        runtime.fail(fmt::format("'%{}' needs a number, not {}", spec.conversion, type_name(value)));
      std::string number;
      if (spec.conversion == 'f') {
        number = fmt::format("{:.{}f}", value.number(), spec.precision < 0 ? 6 : spec.precision);
      } else {
        if (!value.is_integral() && (spec.conversion == 'x' || !(std::abs(value.number()) < 9.2e18))) {
          runtime.fail(fmt::format("'%{}' needs an integer", spec.conversion));
        }
        const int64_t whole = value.is_integral() ? value.integer() : static_cast<int64_t>(value.number());
        number = spec.conversion == 'x' ? fmt::format("{:x}", whole) : std::to_string(whole);
      }
      const bool negative = number.front() == '-';
      if (!negative && spec.plus) number.insert(number.begin(), '+');
      const auto width = static_cast<size_t>(spec.width);
      if (spec.zero && !spec.left && number.size() < width) {
        number.insert(negative || spec.plus ? 1 : 0, width - number.size(), '0');
      }
      return append_padded(runtime, out, runtime.make_text(number, false).text(), spec);
    }
    default:
      runtime.fail(fmt::format("the format '%{}' is not supported", spec.conversion));
  }
}

}  // namespace

Value format_percent(Runtime& runtime, const Text& format, const Value& arguments) {
  const std::string_view in = format.bytes();
  runtime.scan(in.size());
  runtime.charge(in.size());
  std::vector<Value> values = arguments.is(Kind::kTuple) ? arguments.list().items : std::vector<Value>{arguments};
  size_t used = 0;
  bool used_mapping = false;
  TextBuilder out;
  size_t at = 0;
  const auto peek = [&] { return at < in.size() ? in[at] : '\0'; };
  const auto read_number = [&] {
    int number = 0;
    while (peek() >= '0' && peek() <= '9' && number <= kMaxFormatWidth) number = number * 10 + (in[at++] - '0');
    if (number > kMaxFormatWidth) runtime.refuse(fmt::format("a format wider than the limit of {}", kMaxFormatWidth));
    return number;
  };
  while (at < in.size()) {
    const size_t percent = std::min(in.find('%', at), in.size());
    out.append(format, at, percent);
    at = percent;
    if (at == in.size()) break;
    ++at;
    runtime.step();
    if (peek() == '%') {
      out.append(format, at, at + 1);
      ++at;
      continue;
    }
    Value value = Value::missing();
    if (peek() == '(') {
      const size_t close = in.find(')', at);
      if (close == std::string_view::npos || !arguments.is(Kind::kDict)) runtime.fail("a format needs a mapping");
      const Value* const item = dict_find(arguments.dict(), in.substr(at + 1, close - at - 1));
      if (item == nullptr) runtime.fail("a format names a key that is not there");
      value = *item;
      used_mapping = true;
      at = close + 1;
    }
    PercentSpec spec;
    for (; peek() == '-' || peek() == '0' || peek() == '+'; ++at) {
      spec.left |= peek() == '-';
      spec.zero |= peek() == '0';
      spec.plus |= peek() == '+';
    }
    spec.width = read_number();
    if (peek() == '.') {
      ++at;
      spec.precision = read_number();
    }
    if (at == in.size()) runtime.fail("an incomplete format");
    spec.conversion = in[at++];
    if (value.is_missing()) {
      if (used == values.size()) runtime.fail("not enough arguments for a format string");
      value = values[used++];
    }
    append_percent(runtime, out, spec, value);
  }
  // Python lets everything that has items by key or place pass.
  const bool may_be_unused = used_mapping || arguments.is(Kind::kDict) || arguments.is_undefined() ||
                             arguments.is(Kind::kList) || arguments.is(Kind::kView);
  if (used < values.size() && !may_be_unused) runtime.fail("not all arguments were used by a format string");
  return runtime.make_text(std::move(out));
}

Value format_braces(Runtime& runtime, const Text& format, const Arguments& arguments) {
  const std::string_view in = format.bytes();
  runtime.scan(in.size());
  TextBuilder out;
  size_t next_argument = 0;
  for (size_t at = 0; at < in.size();) {
    const size_t brace = std::min(in.find_first_of("{}", at), in.size());
    runtime.charge(brace - at);
    out.append(format, at, brace);
    at = brace;
    if (at == in.size()) break;
    runtime.step();
    if (at + 1 < in.size() && in[at + 1] == in[at]) {
      out.append(format, at, at + 1);
      at += 2;
      continue;
    }
    const size_t close = in.find('}', at);
    if (in[at] == '}' || close == std::string_view::npos) runtime.fail("a single brace in a format string");
    const std::string_view field = in.substr(at + 1, close - at - 1);
    at = close + 1;
    if (field.find_first_of(".[]{!:") != std::string_view::npos) {
      runtime.fail("format: only plain fields such as {}, {0} and {name} are supported");
    }
    Value value = Value::missing();
    size_t place = next_argument;
    const auto parsed = std::from_chars(field.data(), field.data() + field.size(), place);
    if (field.empty() || (parsed.ec == std::errc() && parsed.ptr == field.data() + field.size())) {
      if (field.empty()) ++next_argument;
      if (place < arguments.positional.size()) value = arguments.positional[place];
    } else {
      for (const auto& [name, named] : arguments.named) {
        if (name == field) value = named;
      }
    }
    if (value.is_missing()) runtime.fail("a format names an argument that is not there");
    const Value shown = to_text(runtime, value);
    runtime.charge(shown.text().size());
    out.append(shown.text());
  }
  return runtime.make_text(std::move(out));
}

}  // namespace batchwright::jinja

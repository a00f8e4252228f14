// Jinja2's filters on single values; those on sequences are in sequence_filters.cc.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <map>
#include <optional>

#include "text/jinja/builtins.h"
#include "text/jinja/characters.h"
#include "text/jinja/operations.h"
#include "text/jinja/strings.h"

namespace batchwright::jinja {
namespace {

Value tojson(Runtime& rt, const Value& value, const Arguments& arguments) {
  const auto args = bind(rt, arguments, "tojson", {"ensure_ascii", "indent", "separators", "sort_keys"});
  JsonStyle style;
  style.ensure_ascii = truthy(args[0]);
  style.sort_keys = truthy(args[3]);
  if (!args[1].is_missing() && !args[1].is_none()) {
    style.pretty = true;
    style.item_separator = ",";
    if (args[1].is_string()) {
      style.indent = args[1].bytes();
    } else {
      constexpr int64_t kMaxIndent = 100;
      style.indent.assign(static_cast<size_t>(std::clamp<int64_t>(require_int(rt, args[1], "indent"), 0, kMaxIndent)),
                          ' ');
    }
  }
  if (!args[2].is_missing() && !args[2].is_none()) {
    if (!args[2].is_sequence() || args[2].list().items.size() != 2) rt.fail("tojson: separators must be a pair");
    style.item_separator = require_string(rt, args[2].list().items[0], "a separator").bytes();
    style.key_separator = require_string(rt, args[2].list().items[1], "a separator").bytes();
  }
  return rt.make_text(dump_json(rt, value, style), false);
}

Value trim(Runtime& rt, const Value& value, const Arguments& arguments) {
  const auto args = bind(rt, arguments, "trim", {"chars"});
  const bool given = !args[0].is_missing() && !args[0].is_none();
  const Value text = to_text(rt, value);
  return strip_text(rt, text.text(), Side::kBoth, given ? &require_string(rt, args[0], "chars") : nullptr);
}

Value upper(Runtime& rt, const Value& value, const Arguments& arguments) {
  bind(rt, arguments, "upper", {});
  return upper_text(rt, to_text(rt, value).text());
}

Value lower(Runtime& rt, const Value& value, const Arguments& arguments) {
  bind(rt, arguments, "lower", {});
  return lower_text(rt, to_text(rt, value).text());
}

Value title(Runtime& rt, const Value& value, const Arguments& arguments) {
  bind(rt, arguments, "title", {});
  return title_words(rt, to_text(rt, value).text());
}

Value capitalize(Runtime& rt, const Value& value, const Arguments& arguments) {
  bind(rt, arguments, "capitalize", {});
  return capitalize_text(rt, to_text(rt, value).text());
}

Value string(Runtime& rt, const Value& value, const Arguments& arguments) {
  bind(rt, arguments, "string", {});
  return to_text(rt, value);
}

Value escape(Runtime& rt, const Value& value, const Arguments& arguments) {
  bind(rt, arguments, "escape", {});
  Value text = to_text(rt, value);
  static constexpr std::pair<std::string_view, std::string_view> kEscapes[] = {
      {"&", "&amp;"}, {"<", "&lt;"}, {">", "&gt;"}, {"'", "&#39;"}, {"\"", "&#34;"}};
  for (const auto& [from, to] : kEscapes) {
    const Value what = rt.make_text(from, false);
    const Value with = rt.make_text(to, false);
    text = replace_text(rt, text.text(), what.text(), with.text(), -1);
  }
  return text;
}

Value replace(Runtime& rt, const Value& value, const Arguments& arguments) {
  const auto args = bind(rt, arguments, "replace", {"old", "new", "count"}, 2);
  const int64_t count = args[2].is_missing() || args[2].is_none() ? -1 : require_int(rt, args[2], "count");
  const Value text = to_text(rt, value);
  const Value from = to_text(rt, args[0]);
  const Value to = to_text(rt, args[1]);
  return replace_text(rt, text.text(), from.text(), to.text(), count);
}

Value default_value(Runtime& rt, const Value& value, const Arguments& arguments) {
  const auto args = bind(rt, arguments, "default", {"default_value", "boolean"});
  const bool use_default = value.is_undefined() || (truthy(args[1]) && !truthy(value));
  if (!use_default) return value;
  return args[0].is_missing() ? rt.make_text("", true) : args[0];
}

std::string without_underscores(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto is_alnum_at = [&](size_t at) {
      return at < text.size() && is_alnum(static_cast<unsigned char>(text[at]));
    };
    if (text[i] == '_' && i > 0 && is_alnum_at(i - 1) && is_alnum_at(i + 1)) continue;
    out += text[i];
  }
  return out;
}

std::string_view trimmed(std::string_view text) {
  text = text.substr(0, trim_space_end(text, text.size()));
  return text.substr(skip_space(text, 0));
}

// What float(text) accepts.
std::optional<double> parse_float(std::string_view text) {
  const std::string digits = without_underscores(trimmed(text));
  const char* begin = digits.data();
  const char* const end = begin + digits.size();
  if (begin < end && *begin == '+') ++begin;
  if (begin < end && *begin == '-' && begin != digits.data()) return std::nullopt;
  if (digits.find('(') != std::string::npos) return std::nullopt;  // "nan(...)"
  double value = 0;
  const auto parsed = std::from_chars(begin, end, value);
  if (parsed.ptr != end || begin == end) return std::nullopt;
  if (parsed.ec == std::errc::result_out_of_range) return std::strtod(digits.c_str(), nullptr);
  if (parsed.ec != std::errc()) return std::nullopt;
  return value;
}

// What int(text, base) accepts.
std::optional<int64_t> parse_int(Runtime& rt, std::string_view text, int64_t base) {
  std::string digits = without_underscores(trimmed(text));
  bool negative = false;
  if (!digits.empty() && (digits[0] == '+' || digits[0] == '-')) {
    negative = digits[0] == '-';
    digits.erase(0, 1);
  }
  const char mark = digits.size() > 2 && digits[0] == '0' ? static_cast<char>(digits[1] | 0x20) : '\0';
  if ((mark == 'x' && base == 16) || (mark == 'o' && base == 8) || (mark == 'b' && base == 2)) digits.erase(0, 2);
  if (digits.empty() || digits[0] == '-') return std::nullopt;
  if (negative) digits.insert(digits.begin(), '-');
  int64_t value = 0;
  const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), value, static_cast<int>(base));
  if (parsed.ptr != digits.data() + digits.size()) return std::nullopt;
  if (parsed.ec == std::errc::result_out_of_range) rt.fail("int: the number does not fit into 64 bits");
  if (parsed.ec != std::errc()) return std::nullopt;
  return value;
}

std::optional<int64_t> truncated(Runtime& rt, double d) {
  if (std::isnan(d) || std::isinf(d)) return std::nullopt;
  if (!(std::fabs(d) < 9.2e18)) rt.fail("int: the number does not fit into 64 bits");
  return static_cast<int64_t>(d);
}

Value int_filter(Runtime& rt, const Value& value, const Arguments& arguments) {
  const auto args = bind(rt, arguments, "int", {"default", "base"});
  const Value otherwise = args[0].is_missing() ? Value(int64_t{0}) : args[0];
  const int64_t base = args[1].is_missing() ? 10 : require_int(rt, args[1], "base");
  if (base < 2 || base > 36) rt.fail("int: base must be between 2 and 36");
  if (value.is_undefined()) require_int(rt, value, "int");
  if (value.is_integral()) return value.integer();
  if (value.is(Kind::kBigUint)) return value;
  std::optional<int64_t> whole;
  if (value.is(Kind::kFloat)) {
    whole = truncated(rt, value.number());
  } else if (value.is_string()) {
    whole = parse_int(rt, value.bytes(), base);
    if (!whole) {
      if (const auto number = parse_float(value.bytes())) whole = truncated(rt, *number);
    }
  }
  return whole ? Value(*whole) : otherwise;
}

Value float_filter(Runtime& rt, const Value& value, const Arguments& arguments) {
  const auto args = bind(rt, arguments, "float", {"default"});
  if (value.is_undefined()) require_int(rt, value, "float");
  if (value.is_number()) return value.number();
  if (value.is(Kind::kBigUint)) return static_cast<double>(value.big());
  if (value.is_string()) {
    if (const auto number = parse_float(value.bytes())) return *number;
  }
  return args[0].is_missing() ? Value(0.0) : args[0];
}

Value abs_filter(Runtime& rt, const Value& value, const Arguments& arguments) {
  bind(rt, arguments, "abs", {});
  if (value.is(Kind::kFloat)) return std::fabs(value.number());
  if (value.is(Kind::kBigUint)) return value;
  return require_int(rt, value, "abs") < 0 ? negate(rt, value) : Value(value.integer());
}

// Python's round(): halves to even, on the exact binary value.
double round_half_even(double value, int64_t digits) {
  if (!std::isfinite(value) || digits > 300) return value;
  if (digits < -300) return std::copysign(0.0, value);
  if (digits >= 0) return std::strtod(fmt::format("{:.{}f}", value, digits).c_str(), nullptr);
  const double scale = std::pow(10.0, static_cast<double>(-digits));
  return std::nearbyint(value / scale) * scale;
}

Value round_filter(Runtime& rt, const Value& value, const Arguments& arguments) {
  const auto args = bind(rt, arguments, "round", {"precision", "method"});
  const int64_t digits = args[0].is_missing() ? 0 : require_int(rt, args[0], "precision");
  std::string_view method = "common";
  if (!args[1].is_missing()) method = require_string(rt, args[1], "method").bytes();
  if (method != "common" && method != "ceil" && method != "floor")
    rt.fail("round: method must be common, ceil or floor");
  if (!value.is_number()) require_int(rt, value, "round");
  if (method == "common") {
    if (!value.is_integral()) return round_half_even(value.number(), digits);
    if (digits >= 0) return value.integer();
    return static_cast<int64_t>(round_half_even(value.number(), digits));
  }
  const double scale = std::pow(10.0, static_cast<double>(digits));
  const double scaled = value.number() * scale;
  return (method == "ceil" ? std::ceil(scaled) : std::floor(scaled)) / scale;
}

Value indent(Runtime& rt, const Value& value, const Arguments& arguments) {
  const auto args = bind(rt, arguments, "indent", {"width", "first", "blank"});
  require_string(rt, value, "what is indented");
  Value indentation;
  if (args[0].is_string()) {
    indentation = args[0];
  } else {
    const Value space = rt.make_text(" ", true);
    indentation = repeat_text(rt, space.text(), args[0].is_missing() ? 4 : require_int(rt, args[0], "width"));
  }
  const Value newline = rt.make_text("\n", true);
  const auto lines = split_lines(rt, add(rt, value, newline).text(), false);
  TextBuilder out;
  if (truthy(args[1])) out.append(indentation.text());
  for (size_t i = 0; i < lines.size(); ++i) {
    rt.charge(lines[i].text().size() + indentation.text().size() + 1);
    if (i > 0) {
      out.append(newline.text());
      if (truthy(args[2]) || !lines[i].text().empty()) out.append(indentation.text());
    }
    out.append(lines[i].text());
  }
  return rt.make_text(std::move(out));
}

Value wordcount(Runtime& rt, const Value& value, const Arguments& arguments) {
  bind(rt, arguments, "wordcount", {});
  const Value text = to_text(rt, value);
  rt.scan(text.text().size());
  int64_t words = 0;
  bool in_word = false;
  for (CharacterCursor c(text.text()); !c.at_end(); c.next()) {
    const bool is_word = is_alnum(c.code_point()) || c.code_point() == '_';
    words += is_word && !in_word ? 1 : 0;
    in_word = is_word;
  }
  return words;
}

Value format(Runtime& rt, const Value& value, const Arguments& arguments) {
  if (!arguments.positional.empty() && !arguments.named.empty()) rt.fail("format takes positional or named arguments");
  const Value text = to_text(rt, value);
  if (arguments.named.empty()) return format_percent(rt, text.text(), rt.make_tuple(arguments.positional));
  DictObject* const dict = rt.make_dict();
  for (const auto& [name, argument] : arguments.named) dict_set(rt, *dict, rt.make_text(name, true), argument);
  return format_percent(rt, text.text(), dict);
}

Value length(Runtime& rt, const Value& value, const Arguments& arguments) {
  bind(rt, arguments, "length", {});
  const int64_t count = length_of(value);
  if (count < 0) rt.fail(fmt::format("a {} has no length", type_name(value)));
  return count;
}

}  // namespace

Filter find_filter(std::string_view name) {
  static const std::map<std::string_view, Filter> kFilters = {
      {"tojson", tojson},         {"trim", trim},
      {"upper", upper},           {"lower", lower},
      {"title", title},           {"capitalize", capitalize},
      {"string", string},         {"safe", string},
      {"escape", escape},         {"e", escape},
      {"forceescape", escape},    {"replace", replace},
      {"default", default_value}, {"d", default_value},
      {"int", int_filter},        {"float", float_filter},
      {"abs", abs_filter},        {"round", round_filter},
      {"indent", indent},         {"length", length},
      {"count", length},          {"wordcount", wordcount},
      {"format", format},
  };
  const auto found = kFilters.find(name);
  return found == kFilters.end() ? find_sequence_filter(name) : found->second;
}

}  // namespace batchwright::jinja

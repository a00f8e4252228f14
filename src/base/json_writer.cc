#include "base/json_writer.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/check.h"
#include "base/utf8.h"

namespace batchwright {
namespace {

template <class T>
std::string shortest(T value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  char buffer[64];
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::scientific).ptr;
  // d[.ddd]e[+-]dd: digits and exponent, which Python's repr lays out by its own rule.
  const std::string_view text(buffer, static_cast<size_t>(end - buffer));
  const size_t e = text.find('e');
  int exponent = 0;
  std::from_chars(text.data() + e + (text[e + 1] == '+' ? 2 : 1), end, exponent);
  constexpr int kFirstScientific = 16;
  constexpr int kLastFixed = -4;
  if (exponent >= kFirstScientific || exponent < kLastFixed) return std::string(text);

  std::string out = value < 0 || std::signbit(value) ? "-" : "";
  std::string digits;
  for (const char c : text.substr(0, e)) {
    if (c >= '0' && c <= '9') digits += c;
  }
  if (exponent < 0) return out + "0." + std::string(static_cast<size_t>(-exponent - 1), '0') + digits;
  const size_t whole = static_cast<size_t>(exponent) + 1;
  if (digits.size() <= whole) return out + digits + std::string(whole - digits.size(), '0') + ".0";
  return out + digits.substr(0, whole) + "." + digits.substr(whole);
}

template <class T>
void append_integer(std::string& out, T value) {
  char buffer[24];
  out.append(buffer, std::to_chars(buffer, buffer + sizeof buffer, value).ptr);
}

void append_line(std::string& out, const JsonFormat& format, int level) {
  if (format.indent < 0) return;
  out += '\n';
  out.append(static_cast<size_t>(format.indent) * static_cast<size_t>(level), ' ');
}

void append_value(std::string& out, const JsonValue& value, const JsonFormat& format, int level) {
  switch (value.type()) {
    case JsonValue::Type::kNull:
      out += "null";
      return;
    case JsonValue::Type::kBool:
      out += value.as_bool() ? "true" : "false";
      return;
    case JsonValue::Type::kInt64:
      append_integer(out, value.as_int64());
      return;
    case JsonValue::Type::kUint64:
      append_integer(out, value.as_uint64());
      return;
    case JsonValue::Type::kDouble:
      out += std::isfinite(value.as_double()) ? format_shortest(value.as_double()) : "null";
      return;
    case JsonValue::Type::kString:
      append_json_string(out, value.as_string());
      return;
    case JsonValue::Type::kArray: {
      out += '[';
      bool first = true;
      for (const JsonValue& element : value.as_array()) {
        if (!first) out += format.item_separator;
        first = false;
        append_line(out, format, level + 1);
        append_value(out, element, format, level + 1);
      }
      if (!first) append_line(out, format, level);
      out += ']';
      return;
    }
    case JsonValue::Type::kObject: {
      std::vector<const JsonValue::Member*> members;
      for (const auto& member : value.as_object()) members.push_back(&member);
      if (format.sort_keys) {
        std::stable_sort(members.begin(), members.end(), [](auto* a, auto* b) { return a->key < b->key; });
      }
      out += '{';
      bool first = true;
      for (const auto* member : members) {
        if (!first) out += format.item_separator;
        first = false;
        append_line(out, format, level + 1);
        append_json_string(out, member->key);
        out += format.key_separator;
        append_value(out, member->value, format, level + 1);
      }
      if (!first) append_line(out, format, level);
      out += '}';
      return;
    }
  }
}

}  // namespace

std::string format_shortest(double value) { return shortest(value); }
std::string format_shortest(float value) { return shortest(value); }

void append_json_string(std::string& out, std::string_view text) {
  constexpr char kHex[] = "0123456789abcdef";
  out += '"';
  size_t plain = 0;
  const auto flush = [&](size_t end) { append_valid_utf8(out, text.substr(plain, end - plain)); };
  for (size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<uint8_t>(text[i]);
    if (c >= 0x20 && c != '"' && c != '\\') continue;
    flush(i);
    plain = i + 1;
    switch (c) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      case '\b':
        out += "\\b";
        break;
      case '\f':
        out += "\\f";
        break;
      default:
        out += "\\u00";
        out += kHex[c >> 4];
        out += kHex[c & 15];
    }
  }
  flush(text.size());
  out += '"';
}

void JsonWriter::before_value() {
  if (levels_.empty()) return;
  Level& level = levels_.back();
  if (level.frame == Frame::kObject) {
    BATCHWRIGHT_CHECK(after_key_);
    after_key_ = false;
    return;
  }
  if (!level.empty) out_ += ',';
  level.empty = false;
}

void JsonWriter::begin(Frame frame, char bracket) {
  before_value();
  levels_.push_back({frame});
  out_ += bracket;
}

void JsonWriter::end(Frame frame, char bracket) {
  BATCHWRIGHT_CHECK(!levels_.empty() && levels_.back().frame == frame && !after_key_);
  levels_.pop_back();
  out_ += bracket;
}

void JsonWriter::begin_object() { begin(Frame::kObject, '{'); }
void JsonWriter::end_object() { end(Frame::kObject, '}'); }
void JsonWriter::begin_array() { begin(Frame::kArray, '['); }
void JsonWriter::end_array() { end(Frame::kArray, ']'); }

void JsonWriter::key(std::string_view name) {
  BATCHWRIGHT_CHECK(!levels_.empty() && levels_.back().frame == Frame::kObject && !after_key_);
  if (!levels_.back().empty) out_ += ',';
  levels_.back().empty = false;
  append_json_string(out_, name);
  out_ += ':';
  after_key_ = true;
}

void JsonWriter::null() { raw("null"); }
void JsonWriter::value(bool b) { raw(b ? "true" : "false"); }

void JsonWriter::value(int64_t i) {
  before_value();
  append_integer(out_, i);
}

void JsonWriter::value(uint64_t i) {
  before_value();
  append_integer(out_, i);
}

void JsonWriter::value(double d) { raw(std::isfinite(d) ? format_shortest(d) : "null"); }
void JsonWriter::value(float f) { raw(std::isfinite(f) ? format_shortest(f) : "null"); }

void JsonWriter::value(std::string_view s) {
  before_value();
  append_json_string(out_, s);
}

void JsonWriter::value(const JsonValue& v) {
  before_value();
  append_value(out_, v, {}, 0);
}

void JsonWriter::raw(std::string_view json) {
  before_value();
  out_ += json;
}

std::string to_json(const JsonValue& value, const JsonFormat& format) {
  std::string out;
  append_value(out, value, format, 0);
  return out;
}

}  // namespace batchwright

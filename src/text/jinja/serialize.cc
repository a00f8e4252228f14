// str(), repr() and json.dumps() of values.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/json_writer.h"
#include "base/utf8.h"
#include "text/jinja/characters.h"
#include "text/jinja/operations.h"

namespace batchwright::jinja {
namespace {

class ReprWriter {
 public:
  explicit ReprWriter(Runtime& runtime) : runtime_(runtime) {}

  std::string take() { return std::move(out_); }

  void write(const Value& value) {
    runtime_.step();
    switch (value.kind()) {
      case Kind::kMissing:
      case Kind::kUndefined:
        return put("Undefined");
      case Kind::kNone:
        return put("None");
      case Kind::kBool:
        return put(value.boolean() ? "True" : "False");
      case Kind::kInt:
        return put(std::to_string(value.integer()));
      case Kind::kBigUint:
        return put(std::to_string(value.big()));
      case Kind::kFloat:
        return put(format_shortest(value.number()));
      case Kind::kString:
        return write_string(value.bytes());
      case Kind::kList:
        return write_items("[", value.list().items, "]");
      case Kind::kTuple:
        return write_items("(", value.list().items, value.list().items.size() == 1 ? ",)" : ")");
      case Kind::kDict:
        return write_dict(value.dict());
      case Kind::kIterator:
        return put("<generator object>");
      case Kind::kView:
        return write_view(value);
      case Kind::kNamespace:
        return write_namespace(value.name_space());
      case Kind::kCallable:
        return put(fmt::format("<function {}>", value.callable().name));
      case Kind::kLoop:
        return put("<LoopContext>");
    }
  }

 private:
  void put(std::string_view text) {
    runtime_.charge(text.size());
    out_ += text;
  }

  void write_items(std::string_view open, const std::vector<Value>& items, std::string_view close) {
    const Depth depth(runtime_);
    put(open);
    for (size_t i = 0; i < items.size(); ++i) {
      if (i > 0) put(", ");
      write(items[i]);
    }
    put(close);
  }

  void write_dict(const DictObject& dict) {
    const Depth depth(runtime_);
    put("{");
    for (size_t i = 0; i < dict.entries.size(); ++i) {
      if (i > 0) put(", ");
      write(dict.entries[i].first);
      put(": ");
      write(dict.entries[i].second);
    }
    put("}");
  }

  void write_namespace(const NamespaceObject& object) {
    const Depth depth(runtime_);
    put("<Namespace {");
    bool first = true;
    for (const auto& [name, value] : object.attributes) {
      if (!std::exchange(first, false)) put(", ");
      write_string(name);
      put(": ");
      write(value);
    }
    put("}>");
  }

  void write_view(const Value& value) {
    if (value.view().type == ViewObject::Type::kRange) return put(value.view().shown);
    put(type_name(value));
    write_items("([", value.view().items, "])");
  }

  void write_string(std::string_view text) {
    runtime_.charge(text.size() + 2);
    runtime_.scan(text.size());
    const bool single = text.find('\'') != std::string_view::npos && text.find('"') == std::string_view::npos;
    const char quote = single ? '"' : '\'';
    out_ += quote;
    for (size_t i = 0; i < text.size();) {
      const Utf8Char c = decode_utf8(text, i);
      if (c.code_point == static_cast<unsigned char>(quote) || c.code_point == '\\') {
        out_ += '\\';
        out_ += static_cast<char>(c.code_point);
      } else if (is_printable(c.code_point)) {
        out_ += text.substr(i, c.length);
      } else {
        write_escape(c.code_point);
      }
      i += c.length;
    }
    out_ += quote;
  }

  void write_escape(char32_t c) {
    const auto code = static_cast<uint32_t>(c);
    if (c == '\n')
      out_ += "\\n";
    else if (c == '\r')
      out_ += "\\r";
    else if (c == '\t')
      out_ += "\\t";
    else if (code < 0x100)
      out_ += fmt::format("\\x{:02x}", code);
    else if (code < 0x10000)
      out_ += fmt::format("\\u{:04x}", code);
    else
      out_ += fmt::format("\\U{:08x}", code);
  }

  Runtime& runtime_;
  std::string out_;
};

class JsonDumper {
 public:
  JsonDumper(Runtime& runtime, const JsonStyle& style) : runtime_(runtime), style_(style) {}

  std::string take() { return std::move(out_); }

  void write(const Value& value, int level) {
    runtime_.step();
    switch (value.kind()) {
      case Kind::kNone:
        return put("null");
      case Kind::kBool:
        return put(value.boolean() ? "true" : "false");
      case Kind::kInt:
        return put(std::to_string(value.integer()));
      case Kind::kBigUint:
        return put(std::to_string(value.big()));
      case Kind::kFloat:
        return put(number(value.number()));
      case Kind::kString:
        return write_string(value.bytes());
      case Kind::kList:
      case Kind::kTuple:
        return write_list(value.list().items, level);
      case Kind::kDict:
        return write_dict(value.dict(), level);
      default:
        runtime_.fail(fmt::format("a {} cannot be written as JSON", type_name(value)));
    }
  }

 private:
  void put(std::string_view text) {
    runtime_.charge(text.size());
    out_ += text;
  }

  // As json.dumps says them, though JSON does not know the last three.
  static std::string number(double d) {
    if (std::isnan(d)) return "NaN";
    if (std::isinf(d)) return d < 0 ? "-Infinity" : "Infinity";
    return format_shortest(d);
  }

  void line(int level) {
    if (!style_.pretty) return;
    put("\n");
    for (int i = 0; i < level; ++i) put(style_.indent);
  }

  void write_string(std::string_view text) {
    runtime_.charge(text.size() + 2);
    runtime_.scan(text.size());
    const size_t begin = out_.size();
    append_json_string(out_, text);
    if (!style_.ensure_ascii) return;
    const std::string plain = out_.substr(begin);
    out_.resize(begin);
    for (size_t i = 0; i < plain.size();) {
      const Utf8Char c = decode_utf8(plain, i);
      const auto code = static_cast<uint32_t>(c.code_point);
      if (code < 0x7F)
        out_ += plain[i];
      else if (code == 0x7F)
        out_ += plain[i];
      else if (code < 0x10000)
        out_ += fmt::format("\\u{:04x}", code);
      else
        out_ += fmt::format("\\u{:04x}\\u{:04x}", 0xD7C0 + (code >> 10), 0xDC00 + (code & 0x3FF));
      i += c.length;
    }
  }

  void write_list(const std::vector<Value>& items, int level) {
    const Depth depth(runtime_);
    put("[");
    for (size_t i = 0; i < items.size(); ++i) {
      if (i > 0) put(style_.item_separator);
      line(level + 1);
      write(items[i], level + 1);
    }
    if (!items.empty()) line(level);
    put("]");
  }

  void write_key(const Value& key) {
    switch (key.kind()) {
      case Kind::kString:
        return write_string(key.bytes());
      case Kind::kNone:
        return put("\"null\"");
      case Kind::kBool:
        return put(key.boolean() ? "\"true\"" : "\"false\"");
      case Kind::kInt:
        return put(fmt::format("\"{}\"", key.integer()));
      case Kind::kBigUint:
        return put(fmt::format("\"{}\"", key.big()));
      case Kind::kFloat:
        return put(fmt::format("\"{}\"", number(key.number())));
      default:
        runtime_.fail(fmt::format("a {} cannot be a key in JSON", type_name(key)));
    }
  }

  void write_dict(const DictObject& dict, int level) {
    const Depth depth(runtime_);
    std::vector<std::pair<Value, Value>> entries = dict.entries;
    runtime_.step(static_cast<int64_t>(entries.size() / 8));
    if (style_.sort_keys) {
      std::stable_sort(entries.begin(), entries.end(),
                       [this](const auto& a, const auto& b) { return less(runtime_, a.first, b.first); });
    }
    put("{");
    for (size_t i = 0; i < entries.size(); ++i) {
      if (i > 0) put(style_.item_separator);
      line(level + 1);
      write_key(entries[i].first);
      put(style_.key_separator);
      write(entries[i].second, level + 1);
    }
    if (!entries.empty()) line(level);
    put("}");
  }

  Runtime& runtime_;
  const JsonStyle& style_;
  std::string out_;
};

}  // namespace

Value to_text(Runtime& runtime, const Value& value) {
  if (value.is_string()) return value;
  if (value.is_undefined() || value.is_missing()) return runtime.make_text("", false);
  return runtime.make_text(to_repr(runtime, value), false);
}

std::string to_repr(Runtime& runtime, const Value& value) {
  ReprWriter writer(runtime);
  writer.write(value);
  return writer.take();
}

std::string dump_json(Runtime& runtime, const Value& value, const JsonStyle& style) {
  JsonDumper dumper(runtime, style);
  dumper.write(value, 0);
  return dumper.take();
}

}  // namespace batchwright::jinja

// Writing JSON: append only, deterministic, always valid UTF-8.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace batchwright {

// Appends the text as a JSON string, in quotes. Escaped is what must be (quote, backslash, control characters), as
// Python's json.dumps(text, ensure_ascii=False) does. Invalid UTF-8 becomes U+FFFD.
void append_json_string(std::string& out, std::string_view text);

// The shortest decimal that reads back as the same double (or float), laid out as Python's repr does: "1.0", "0.1",
// "1e-05", "1e+16", "inf", "nan".
std::string format_shortest(double value);
std::string format_shortest(float value);

// Writes one value, piece by piece, into a string that outlives the writer. Commas and colons are put by the writer:
//   JsonWriter w(out); w.begin_object(); w.key("id"); w.value(3); w.end_object();
// Misuse (a value in an object without a key, an end without its begin) is a broken invariant and aborts.
class JsonWriter {
 public:
  explicit JsonWriter(std::string& out) : out_(out) {}
  JsonWriter(const JsonWriter&) = delete;
  JsonWriter& operator=(const JsonWriter&) = delete;

  void begin_object();
  void end_object();
  void begin_array();
  void end_array();
  void key(std::string_view name);

  void null();
  void value(bool b);
  void value(int32_t i) { value(static_cast<int64_t>(i)); }
  void value(uint32_t i) { value(static_cast<uint64_t>(i)); }
  void value(int64_t i);
  void value(uint64_t i);
  void value(long long i) { value(static_cast<int64_t>(i)); }
  void value(unsigned long long i) { value(static_cast<uint64_t>(i)); }
  // NaN and infinities, which JSON cannot say, become null.
  void value(double d);
  void value(float f);
  void value(std::string_view s);
  void value(const char* s) { value(std::string_view(s)); }
  void value(const std::string& s) { value(std::string_view(s)); }
  void value(const JsonValue& v);
  // Text that is JSON already; not checked.
  void raw(std::string_view json);

  template <class T>
  void member(std::string_view name, const T& v) {
    key(name);
    value(v);
  }

 private:
  enum class Frame : uint8_t { kArray, kObject };
  struct Level {
    Frame frame;
    bool empty = true;
  };
  void before_value();
  void begin(Frame frame, char bracket);
  void end(Frame frame, char bracket);

  std::string& out_;
  std::vector<Level> levels_;
  bool after_key_ = false;
};

struct JsonFormat {
  std::string item_separator = ",";
  std::string key_separator = ":";
  // Spaces a level, each item on its own line; below 0: all on one line.
  int indent = -1;
  bool sort_keys = false;

  // What json.dumps(x, ensure_ascii=False, indent=n) of Python writes.
  static JsonFormat python(int indent_spaces = -1) {
    return {indent_spaces < 0 ? ", " : ",", ": ", indent_spaces, false};
  }
};

// The value as text; NaN and infinities become null. Recurses once a level.
std::string to_json(const JsonValue& value, const JsonFormat& format = {});

}  // namespace batchwright

// Python's operators on values. All fail through Runtime where Python would raise.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "text/jinja/runtime.h"
#include "text/jinja/value.h"

namespace batchwright::jinja {

// Python's name of the type, for messages: "str", "int", "list", ...
std::string_view type_name(const Value& value);
// Fails with the name of what is undefined.
[[noreturn]] void fail_undefined(const Runtime& runtime, const Value& value);

bool truthy(const Value& value);
bool equals(Runtime& runtime, const Value& a, const Value& b);
// a < b; a <= b where or_equal.
bool less(Runtime& runtime, const Value& a, const Value& b, bool or_equal = false);
bool contains(Runtime& runtime, const Value& container, const Value& item);

Value add(Runtime& runtime, const Value& a, const Value& b);
Value subtract(Runtime& runtime, const Value& a, const Value& b);
Value multiply(Runtime& runtime, const Value& a, const Value& b);
Value divide(Runtime& runtime, const Value& a, const Value& b);
Value floor_divide(Runtime& runtime, const Value& a, const Value& b);
Value modulo(Runtime& runtime, const Value& a, const Value& b);
Value power(Runtime& runtime, const Value& a, const Value& b);
Value negate(Runtime& runtime, const Value& a);

// str(value), a string; an undefined value is empty. What is no string counts as written by the user.
Value to_text(Runtime& runtime, const Value& value);
// repr(value)
std::string to_repr(Runtime& runtime, const Value& value);

// The items that iterating gives. An iterator is empty afterwards.
std::vector<Value> iterate(Runtime& runtime, const Value& value);
bool is_iterable(const Value& value);
// len(value), below 0 where there is none.
int64_t length_of(const Value& value);

// a.name, a[index], a[begin:end:step]: undefined where there is no such thing, as Jinja2 has it.
Value get_attribute(Runtime& runtime, const Value& object, const std::string& name);
Value get_item(Runtime& runtime, const Value& object, const Value& index);
Value get_slice(Runtime& runtime, const Value& object, const Value& begin, const Value& end, const Value& step);

// Null where there is none.
Value* dict_find(Runtime& runtime, DictObject& dict, const Value& key);
Value* dict_find(DictObject& dict, std::string_view key);
void dict_set(Runtime& runtime, DictObject& dict, const Value& key, const Value& value);
void dict_erase(Runtime& runtime, DictObject& dict, const Value& key);

// Strings in it count as written by the user.
Value from_json(Runtime& runtime, const JsonValue& json);

struct JsonStyle {
  bool ensure_ascii = false;
  bool sort_keys = false;
  bool pretty = false;
  std::string indent;
  std::string item_separator = ", ";
  std::string key_separator = ": ";
};
std::string dump_json(Runtime& runtime, const Value& value, const JsonStyle& style);

// An argument as Python's functions take it.
int64_t require_int(Runtime& runtime, const Value& value, std::string_view what);
const Text& require_string(Runtime& runtime, const Value& value, std::string_view what);

}  // namespace batchwright::jinja

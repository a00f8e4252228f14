// JSON values, and a strict reader for text from strangers.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "batchwright/status.h"

namespace batchwright {

// A JSON value that owns all below it. Copies are deep, moves cheap. Reading a value as a type that it is not aborts:
// ask first. Destruction recurses once a level of nesting; parse_json bounds the levels.
class JsonValue {
 public:
  struct Member;
  using Array = std::vector<JsonValue>;
  // In the order of the text. Keys are distinct where parse_json made it.
  using Object = std::vector<Member>;

  // kUint64 is a whole number above INT64_MAX; each smaller one is kInt64.
  enum class Type { kNull, kBool, kInt64, kUint64, kDouble, kString, kArray, kObject };

  JsonValue();
  JsonValue(std::nullptr_t);  // NOLINT(google-explicit-constructor)
  template <std::same_as<bool> B>
  JsonValue(B value);  // NOLINT(google-explicit-constructor)
  template <std::signed_integral I>
  JsonValue(I value);  // NOLINT(google-explicit-constructor)
  template <std::unsigned_integral U>
  requires(!std::same_as<U, bool>) JsonValue(U value);  // NOLINT(google-explicit-constructor)
  JsonValue(double value);                              // NOLINT(google-explicit-constructor)
  JsonValue(std::string value);                         // NOLINT(google-explicit-constructor)
  JsonValue(std::string_view value);                    // NOLINT(google-explicit-constructor)
  JsonValue(const char* value);                         // NOLINT(google-explicit-constructor)
  JsonValue(Array value);                               // NOLINT(google-explicit-constructor)
  JsonValue(Object value);                              // NOLINT(google-explicit-constructor)

  JsonValue(const JsonValue& other);
  JsonValue(JsonValue&& other) noexcept;
  JsonValue& operator=(const JsonValue& other);
  JsonValue& operator=(JsonValue&& other) noexcept;
  ~JsonValue();

  Type type() const { return static_cast<Type>(value_.index()); }
  // For messages: "null", "boolean", "integer" (both kinds), "number", "string", "array", "object".
  const char* type_name() const;

  bool is_null() const { return type() == Type::kNull; }
  bool is_bool() const { return type() == Type::kBool; }
  bool is_int64() const { return type() == Type::kInt64; }
  bool is_uint64() const { return type() == Type::kUint64; }
  bool is_integer() const { return is_int64() || is_uint64(); }
  bool is_double() const { return type() == Type::kDouble; }
  bool is_number() const { return is_integer() || is_double(); }
  bool is_string() const { return type() == Type::kString; }
  bool is_array() const { return type() == Type::kArray; }
  bool is_object() const { return type() == Type::kObject; }

  bool as_bool() const;
  int64_t as_int64() const;
  // Of any whole number that is not negative.
  uint64_t as_uint64() const;
  // Of any number: the nearest double.
  double as_double() const;
  const std::string& as_string() const;
  std::string& as_string();
  const Array& as_array() const;
  Array& as_array();
  const Object& as_object() const;
  Object& as_object();

  // The value where it is a whole number that an int64_t holds (never of a kDouble, not even 1.0).
  std::optional<int64_t> to_int64() const;

  // The member of that name, null where there is none or where this is no object. Time linear in the members.
  const JsonValue* find(std::string_view key) const;
  JsonValue* find(std::string_view key);
  // Replaces or appends a member. This must be an object.
  void set(std::string_view key, JsonValue value);

  // Equal type and content; objects also in the order of their members.
  friend bool operator==(const JsonValue& a, const JsonValue& b);

 private:
  std::variant<std::monostate, bool, int64_t, uint64_t, double, std::string, Array, Object> value_;
};

struct JsonValue::Member {
  std::string key;
  JsonValue value;
  friend bool operator==(const Member& a, const Member& b) { return a.key == b.key && a.value == b.value; }
};

// Here, because clang wants Member complete wherever a constructor may have to destroy value_.
inline JsonValue::JsonValue() = default;
inline JsonValue::JsonValue(std::nullptr_t) {}
template <std::same_as<bool> B>
JsonValue::JsonValue(B value) : value_(value) {}
template <std::signed_integral I>
JsonValue::JsonValue(I value) : value_(static_cast<int64_t>(value)) {}
template <std::unsigned_integral U>
requires(!std::same_as<U, bool>) JsonValue::JsonValue(U value) {
  if (static_cast<uint64_t>(value) <= INT64_MAX) {
    value_ = static_cast<int64_t>(value);
  } else {
    value_ = static_cast<uint64_t>(value);
  }
}
// Member by member: where memory runs out while a whole variant is copied, libstdc++ 12 destroys what was never there
// (its variant holds that strings and vectors always leave a value behind, which is so of assignments alone).
inline JsonValue::JsonValue(const JsonValue& other) {
  std::visit([this](auto value) { value_ = std::move(value); }, other.value_);
}
inline JsonValue::JsonValue(JsonValue&& other) noexcept = default;
inline JsonValue& JsonValue::operator=(const JsonValue& other) { return *this = JsonValue(other); }
inline JsonValue& JsonValue::operator=(JsonValue&& other) noexcept = default;
inline JsonValue::~JsonValue() = default;
inline JsonValue::JsonValue(double value) : value_(value) {}
inline JsonValue::JsonValue(std::string value) : value_(std::move(value)) {}
inline JsonValue::JsonValue(std::string_view value) : value_(std::string(value)) {}
inline JsonValue::JsonValue(const char* value) : value_(std::string(value)) {}
inline JsonValue::JsonValue(Array value) : value_(std::move(value)) {}
inline JsonValue::JsonValue(Object value) : value_(std::move(value)) {}

struct JsonLimits {
  // Arrays and objects inside each other at most; a bare number has depth 0. Never more than 256, whatever is set.
  int max_depth = 64;
};

// The value of a whole JSON text (RFC 8259, surrounding white space allowed, no byte order mark). Everything is
// checked, whether somebody looks at it later or not. Errors are kInvalidData; the message names the byte offset where
// it is known, and for the depth the limit. Refused beyond bad syntax: nesting above the limit, invalid UTF-8, lone
// surrogates, an object with a key twice, numbers beyond the range of double, NaN and Infinity.
// A whole number outside of int64_t and uint64_t becomes the nearest double, as is_double(): who needs an integer
// refuses it by its type. Stack use is bounded whatever the text; memory is a small multiple of its size.
// Thread-safe. Throws std::bad_alloc where memory runs out.
Result<JsonValue> parse_json(std::string_view text, const JsonLimits& limits = {});

}  // namespace batchwright

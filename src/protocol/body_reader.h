// Fields of a JSON object, each with the type and range that it must have.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "protocol/request_error.h"

namespace batchwright {

// A value for a message: its JSON, cut to about 60 bytes, at a character's end; of an array or object its size only.
std::string shown(const JsonValue& value);

// Reads fields by name and keeps the first error. Each reading function gives nothing where the field is absent or null
// (both mean the default), and where it is wrong: then failed() is true from then on. Borrows the object.
class BodyReader {
 public:
  // `path` goes before the fields' names in messages: "messages[2]".
  explicit BodyReader(const JsonValue::Object& object, std::string path = "")
      : object_(object), path_(std::move(path)) {}

  // The value, whatever its type; null pointer where absent or null.
  const JsonValue* any(std::string_view name);
  std::optional<int64_t> integer(std::string_view name, int64_t lowest, int64_t highest);
  // lowest_excluded: the range is open below.
  std::optional<double> number(std::string_view name, double lowest, double highest, bool lowest_excluded = false);
  std::optional<bool> boolean(std::string_view name);
  const std::string* string(std::string_view name);
  const JsonValue::Array* array(std::string_view name);
  const JsonValue::Object* object(std::string_view name);

  // The field is known and has no effect here.
  void skip(std::string_view name) { (void)any(name); }

  // "PATH.name".
  std::string path_of(std::string_view name) const;

  void wrong_type(std::string_view name, const JsonValue& value, std::string_view needed);
  void out_of_range(std::string_view name, const JsonValue& value, std::string_view needed);
  // The message goes on after the field's path: "n" + "is 0; ...".
  void refuse(std::string_view name, std::string_view message, std::string_view code);
  void fail(RequestError error);

  bool failed() const { return error_.has_value(); }
  std::optional<RequestError> take_error() { return std::move(error_); }

  // Names in the object that nobody asked for, in its order.
  std::vector<std::string> unread() const;

 private:
  const JsonValue::Object& object_;
  std::string path_;
  std::vector<std::string_view> asked_;
  std::optional<RequestError> error_;
};

}  // namespace batchwright

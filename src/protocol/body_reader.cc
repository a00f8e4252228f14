#include "protocol/body_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/json_writer.h"

namespace batchwright {
namespace {

constexpr size_t kShownBytes = 60;

std::string cut(std::string text) {
  if (text.size() <= kShownBytes) return text;
  size_t end = kShownBytes;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  text.resize(end);
  return text + "...";
}

}  // namespace

std::string shown(const JsonValue& value) {
  switch (value.type()) {
    case JsonValue::Type::kArray:
      return fmt::format("an array of {}", value.as_array().size());
    case JsonValue::Type::kObject:
      return fmt::format("an object of {}", value.as_object().size());
    case JsonValue::Type::kString: {
      // Escaping makes at most six bytes of one: no need to look at more.
      std::string quoted;
      append_json_string(quoted, std::string_view(value.as_string()).substr(0, 2 * kShownBytes));
      return cut(std::move(quoted));
    }
    default:
      return cut(to_json(value));
  }
}

const JsonValue* BodyReader::any(std::string_view name) {
  asked_.push_back(name);
  for (const JsonValue::Member& member : object_) {
    if (member.key == name) return member.value.is_null() ? nullptr : &member.value;
  }
  return nullptr;
}

std::optional<int64_t> BodyReader::integer(std::string_view name, int64_t lowest, int64_t highest) {
  const JsonValue* const value = any(name);
  if (value == nullptr) return std::nullopt;
  const std::string needed = fmt::format("a whole number from {} to {}", lowest, highest);
  const std::optional<int64_t> number = value->to_int64();
  if (number && *number >= lowest && *number <= highest) return number;
  if (value->is_integer()) {
    out_of_range(name, *value, needed);
  } else {
    wrong_type(name, *value, needed);
  }
  return std::nullopt;
}

std::optional<double> BodyReader::number(std::string_view name, double lowest, double highest, bool lowest_excluded) {
  const JsonValue* const value = any(name);
  if (value == nullptr) return std::nullopt;
  const std::string needed = lowest_excluded ? fmt::format("a number above {}, at most {}", lowest, highest)
                                             : fmt::format("a number from {} to {}", lowest, highest);
  if (!value->is_number()) {
    wrong_type(name, *value, needed);
    return std::nullopt;
  }
  const double number = value->as_double();
  // Rounded as it is going to be used: a tiny number above 0 is 0 as a float.
  const auto rounded = static_cast<double>(static_cast<float>(number));
  if (number >= lowest && number <= highest && (!lowest_excluded || rounded > lowest)) return number;
  out_of_range(name, *value, needed);
  return std::nullopt;
}

std::optional<bool> BodyReader::boolean(std::string_view name) {
  const JsonValue* const value = any(name);
  if (value == nullptr) return std::nullopt;
  if (value->is_bool()) return value->as_bool();
  wrong_type(name, *value, "true or false");
  return std::nullopt;
}

const std::string* BodyReader::string(std::string_view name) {
  const JsonValue* const value = any(name);
  if (value == nullptr) return nullptr;
  if (value->is_string()) return &value->as_string();
  wrong_type(name, *value, "a string");
  return nullptr;
}

const JsonValue::Array* BodyReader::array(std::string_view name) {
  const JsonValue* const value = any(name);
  if (value == nullptr) return nullptr;
  if (value->is_array()) return &value->as_array();
  wrong_type(name, *value, "an array");
  return nullptr;
}

const JsonValue::Object* BodyReader::object(std::string_view name) {
  const JsonValue* const value = any(name);
  if (value == nullptr) return nullptr;
  if (value->is_object()) return &value->as_object();
  wrong_type(name, *value, "an object");
  return nullptr;
}

std::string BodyReader::path_of(std::string_view name) const {
  if (path_.empty()) return std::string(name);
  return fmt::format("{}.{}", path_, name);
}

void BodyReader::wrong_type(std::string_view name, const JsonValue& value, std::string_view needed) {
  refuse(name, fmt::format("is {} ({}); it must be {}", shown(value), value.type_name(), needed), "wrong_type");
}

void BodyReader::out_of_range(std::string_view name, const JsonValue& value, std::string_view needed) {
  refuse(name, fmt::format("is {}; it must be {}", shown(value), needed), "out_of_range");
}

void BodyReader::refuse(std::string_view name, std::string_view message, std::string_view code) {
  RequestError error;
  error.param = path_of(name);
  error.message = fmt::format("{} {}", error.param, message);
  error.code = code;
  fail(std::move(error));
}

void BodyReader::fail(RequestError error) {
  if (!error_) error_ = std::move(error);
}

std::vector<std::string> BodyReader::unread() const {
  std::vector<std::string> names;
  for (const JsonValue::Member& member : object_) {
    if (std::find(asked_.begin(), asked_.end(), member.key) == asked_.end()) names.push_back(member.key);
  }
  return names;
}

}  // namespace batchwright

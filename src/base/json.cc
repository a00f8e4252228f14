#include "base/json.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <charconv>
#include <new>
#include <numeric>
#include <system_error>

#include "base/check.h"
#include "base/status_macros.h"
#include "base/utf8.h"

namespace batchwright {
namespace {

namespace ondemand = simdjson::ondemand;

constexpr int kMaxDepthEver = 256;

// A key for a message: short, and free of line breaks.
std::string shown_key(std::string_view key) {
  constexpr size_t kShown = 40;
  std::string out = "\"";
  size_t end = std::min(key.size(), kShown);
  while (end < key.size() && end > 0 && (static_cast<uint8_t>(key[end]) & 0xC0) == 0x80) --end;
  for (const char c : key.substr(0, end)) out += static_cast<uint8_t>(c) < 0x20 ? '?' : c;
  return out + (end < key.size() ? "...\"" : "\"");
}

// RFC 8259, section 6: from_chars accepts more ("inf", leading zeros, "1.").
bool is_json_number(std::string_view token, bool& whole) {
  size_t i = 0;
  const auto digits = [&] {
    const size_t begin = i;
    while (i < token.size() && token[i] >= '0' && token[i] <= '9') ++i;
    return i - begin;
  };
  if (i < token.size() && token[i] == '-') ++i;
  const size_t first = i;
  const size_t count = digits();
  if (count == 0 || (count > 1 && token[first] == '0')) return false;
  whole = true;
  if (i < token.size() && token[i] == '.') {
    ++i;
    whole = false;
    if (digits() == 0) return false;
  }
  if (i < token.size() && (token[i] == 'e' || token[i] == 'E')) {
    ++i;
    whole = false;
    if (i < token.size() && (token[i] == '+' || token[i] == '-')) ++i;
    if (digits() == 0) return false;
  }
  return i == token.size();
}

// Builds the tree from simdjson's on-demand iteration. Recursion is bounded by the depth limit, and every element is
// visited, so all that simdjson checks lazily is checked.
class Reader {
 public:
  // text: the document inside one pair of brackets, and padded.
  Reader(simdjson::padded_string_view text, int max_depth)
      : text_(text), max_depth_(max_depth), unescaped_(text.size() + 2 * simdjson::SIMDJSON_PADDING) {}

  Result<JsonValue> read() {
    auto error = parser_.iterate(text_).get(document_);
    if (error == simdjson::MEMALLOC) throw std::bad_alloc();
    // Without a document there is no location to ask for.
    if (error) return invalid_data(fmt::format("not valid JSON: {}", reason(error)));
    ondemand::array wrapper;
    error = document_.get_array().get(wrapper);
    if (error) return failure(error);
    BATCHWRIGHT_ASSIGN_OR_RETURN(JsonValue elements, read_array(wrapper, -1));
    if (elements.as_array().empty()) return invalid_data("not valid JSON: there is no value");
    const char* rest = nullptr;
    if (elements.as_array().size() > 1 || document_.current_location().get(rest) != simdjson::OUT_OF_BOUNDS) {
      return invalid_data("not valid JSON: more text follows the value");
    }
    return std::move(elements.as_array().front());
  }

 private:
  size_t offset_of(const char* at) const { return static_cast<size_t>(at - text_.data()) - 1; }

  Status failure_at(const char* at, std::string_view what) const {
    return invalid_data(fmt::format("not valid JSON at byte {}: {}", offset_of(at), what));
  }

  static std::string_view reason(simdjson::error_code error) {
    switch (error) {
      case simdjson::TAPE_ERROR:
      case simdjson::INCOMPLETE_ARRAY_OR_OBJECT:
        return "a comma, colon, bracket or key is missing or superfluous";
      case simdjson::UNCLOSED_STRING:
        return "a string has no end";
      case simdjson::UNESCAPED_CHARS:
        return "a string holds a control character that is not escaped";
      default:
        return simdjson::error_message(error);
    }
  }

  Status failure(simdjson::error_code error) {
    // The text is not to blame.
    if (error == simdjson::MEMALLOC) throw std::bad_alloc();
    const char* at = nullptr;
    if (!document_.current_location().get(at) && at > text_.data() && at < text_.data() + text_.size() - 1) {
      return failure_at(at, reason(error));
    }
    return invalid_data(fmt::format("not valid JSON: {}", reason(error)));
  }

  Result<JsonValue> read_value(ondemand::value value, int depth) {
    const std::string_view token = value.raw_json_token();
    switch (token.empty() ? '\0' : token.front()) {
      case '[': {
        if (depth >= max_depth_) return too_deep(token.data());
        ondemand::array array;
        if (const auto error = value.get_array().get(array)) return failure(error);
        return read_array(array, depth);
      }
      case '{': {
        if (depth >= max_depth_) return too_deep(token.data());
        ondemand::object object;
        if (const auto error = value.get_object().get(object)) return failure(error);
        return read_object(object, depth);
      }
      case '"': {
        ondemand::raw_json_string raw;
        std::string_view string;
        if (value.get_raw_json_string().get(raw) || !unescape(raw, string)) {
          return failure_at(token.data(), "a string with a bad escape or a lone surrogate");
        }
        // simdjson 3.0 lets an unpaired low surrogate through.
        if (!is_valid_utf8(string)) return failure_at(token.data(), "a string with a lone surrogate");
        return JsonValue(string);
      }
      default:
        return read_scalar(token);
    }
  }

  Result<JsonValue> read_scalar(std::string_view token) const {
    const char* const at = token.data();
    while (!token.empty() && std::string_view(" \t\r\n").find(token.back()) != std::string_view::npos) {
      token.remove_suffix(1);
    }
    if (token == "null") return JsonValue();
    if (token == "true") return JsonValue(true);
    if (token == "false") return JsonValue(false);
    bool whole = false;
    if (!is_json_number(token, whole)) return failure_at(at, "neither a value nor a number");
    const char* const end = token.data() + token.size();
    if (whole) {
      int64_t signed_value = 0;
      if (std::from_chars(token.data(), end, signed_value).ec == std::errc()) return JsonValue(signed_value);
      uint64_t unsigned_value = 0;
      if (std::from_chars(token.data(), end, unsigned_value).ec == std::errc()) return JsonValue(unsigned_value);
    }
    double number = 0;
    if (std::from_chars(token.data(), end, number).ec == std::errc()) return JsonValue(number);
    // Out of range is too large or too small; the small ones are zero to any reader.
    BATCHWRIGHT_ASSIGN_OR_RETURN(const bool small, is_tiny(token, at));
    if (small) return JsonValue(token.front() == '-' ? -0.0 : 0.0);
    return failure_at(at, "a number beyond the range of double");
  }

  // Whether a number whose double is out of range is too near to zero: decided by the decimal exponent of its first
  // digit that is not zero.
  Result<bool> is_tiny(std::string_view token, const char* at) const {
    const size_t e = token.find_first_of("eE");
    int64_t exponent = 0;
    if (e != std::string_view::npos) {
      const char* begin = token.data() + e + 1;
      if (*begin == '+') ++begin;
      if (std::from_chars(begin, token.data() + token.size(), exponent).ec != std::errc()) {
        return failure_at(at, "a number with an exponent of more than 18 digits");
      }
    }
    const std::string_view mantissa = token.substr(0, std::min(e, token.size()));
    const size_t digit = mantissa.find_first_of("123456789");
    if (digit == std::string_view::npos) return true;
    const size_t point = std::min(mantissa.find('.'), mantissa.size());
    const auto position = static_cast<int64_t>(point) - static_cast<int64_t>(digit);
    return exponent < -position;
  }

  Result<JsonValue> read_array(ondemand::array& array, int depth) {
    JsonValue::Array elements;
    for (auto element : array) {
      ondemand::value value;
      if (const auto error = element.get(value)) return failure(error);
      BATCHWRIGHT_ASSIGN_OR_RETURN(JsonValue read, read_value(value, depth + 1));
      elements.push_back(std::move(read));
      // Only the wrapper has this depth, and one element is all it may hold.
      if (depth < 0 && elements.size() > 1) return failure_at(element_start(value), "more text follows the value");
    }
    return JsonValue(std::move(elements));
  }

  // Valid until the next one. Into memory that is there: simdjson 3.0 does not look whether its own is.
  bool unescape(ondemand::raw_json_string raw, std::string_view& string) {
    uint8_t* to = unescaped_.data();
    return parser_.unescape(raw, to).get(string) == simdjson::SUCCESS;
  }

  static const char* element_start(ondemand::value& value) { return value.raw_json_token().data(); }

  Result<JsonValue> read_object(ondemand::object& object, int depth) {
    JsonValue::Object members;
    for (auto entry : object) {
      ondemand::field field;
      if (const auto error = std::move(entry).get(field)) return failure(error);
      const char* const at = field.key().raw();
      std::string_view key;
      if (!unescape(field.key(), key) || !is_valid_utf8(key)) {
        return failure_at(at, "a key with a bad escape or a lone surrogate");
      }
      std::string owned_key(key);
      BATCHWRIGHT_ASSIGN_OR_RETURN(JsonValue read, read_value(field.value(), depth + 1));
      members.push_back({std::move(owned_key), std::move(read)});
    }
    BATCHWRIGHT_RETURN_IF_ERROR(check_distinct(members));
    return JsonValue(std::move(members));
  }

  static Status check_distinct(const JsonValue::Object& members) {
    constexpr size_t kFewMembers = 12;
    const JsonValue::Member* twice = nullptr;
    if (members.size() <= kFewMembers) {
      for (size_t i = 0; i < members.size(); ++i) {
        for (size_t j = 0; j < i; ++j) {
          if (members[i].key == members[j].key) twice = &members[i];
        }
      }
    } else {
      std::vector<size_t> order(members.size());
      std::iota(order.begin(), order.end(), size_t{0});
      std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return members[a].key < members[b].key; });
      const auto found = std::adjacent_find(order.begin(), order.end(),
                                            [&](size_t a, size_t b) { return members[a].key == members[b].key; });
      if (found != order.end()) twice = &members[*found];
    }
    if (twice == nullptr) return {};
    return invalid_data(fmt::format("not valid JSON: an object has the key {} twice", shown_key(twice->key)));
  }

  Status too_deep(const char* at) const {
    return failure_at(at, fmt::format("nested deeper than the limit of {} levels", max_depth_));
  }

  simdjson::padded_string_view text_;
  int max_depth_;
  std::vector<uint8_t> unescaped_;
  ondemand::parser parser_;
  ondemand::document document_;
};

}  // namespace

const char* JsonValue::type_name() const {
  switch (type()) {
    case Type::kNull:
      return "null";
    case Type::kBool:
      return "boolean";
    case Type::kInt64:
    case Type::kUint64:
      return "integer";
    case Type::kDouble:
      return "number";
    case Type::kString:
      return "string";
    case Type::kArray:
      return "array";
    case Type::kObject:
      return "object";
  }
  return "unknown";
}

bool JsonValue::as_bool() const {
  BATCHWRIGHT_CHECK(is_bool());
  return std::get<bool>(value_);
}

int64_t JsonValue::as_int64() const {
  BATCHWRIGHT_CHECK(is_int64());
  return std::get<int64_t>(value_);
}

uint64_t JsonValue::as_uint64() const {
  if (is_uint64()) return std::get<uint64_t>(value_);
  BATCHWRIGHT_CHECK(is_int64() && as_int64() >= 0);
  return static_cast<uint64_t>(as_int64());
}

double JsonValue::as_double() const {
  if (is_int64()) return static_cast<double>(std::get<int64_t>(value_));
  if (is_uint64()) return static_cast<double>(std::get<uint64_t>(value_));
  BATCHWRIGHT_CHECK(is_double());
  return std::get<double>(value_);
}

const std::string& JsonValue::as_string() const {
  BATCHWRIGHT_CHECK(is_string());
  return std::get<std::string>(value_);
}

std::string& JsonValue::as_string() {
  BATCHWRIGHT_CHECK(is_string());
  return std::get<std::string>(value_);
}

const JsonValue::Array& JsonValue::as_array() const {
  BATCHWRIGHT_CHECK(is_array());
  return std::get<Array>(value_);
}

JsonValue::Array& JsonValue::as_array() {
  BATCHWRIGHT_CHECK(is_array());
  return std::get<Array>(value_);
}

const JsonValue::Object& JsonValue::as_object() const {
  BATCHWRIGHT_CHECK(is_object());
  return std::get<Object>(value_);
}

JsonValue::Object& JsonValue::as_object() {
  BATCHWRIGHT_CHECK(is_object());
  return std::get<Object>(value_);
}

std::optional<int64_t> JsonValue::to_int64() const {
  if (!is_int64()) return std::nullopt;
  return as_int64();
}

const JsonValue* JsonValue::find(std::string_view key) const {
  if (!is_object()) return nullptr;
  for (const Member& member : as_object()) {
    if (member.key == key) return &member.value;
  }
  return nullptr;
}

JsonValue* JsonValue::find(std::string_view key) {
  return const_cast<JsonValue*>(static_cast<const JsonValue*>(this)->find(key));
}

void JsonValue::set(std::string_view key, JsonValue value) {
  if (JsonValue* const present = find(key)) {
    *present = std::move(value);
  } else {
    as_object().push_back({std::string(key), std::move(value)});
  }
}

bool operator==(const JsonValue& a, const JsonValue& b) { return a.value_ == b.value_; }

Result<JsonValue> parse_json(std::string_view text, const JsonLimits& limits) {
  const size_t valid = valid_utf8_prefix(text);
  if (valid != text.size()) {
    return invalid_data(fmt::format("not valid JSON: the text is not valid UTF-8 at byte {}", valid));
  }
  // simdjson reads beyond the end, so a copy is needed anyway; the brackets make a bare value like any other.
  std::string padded;
  padded.reserve(text.size() + 2 + simdjson::SIMDJSON_PADDING);
  padded += '[';
  padded += text;
  padded += ']';
  const size_t size = padded.size();
  padded.append(simdjson::SIMDJSON_PADDING, ' ');
  Reader reader(simdjson::padded_string_view(padded.data(), size, padded.size()),
                std::clamp(limits.max_depth, 0, kMaxDepthEver));
  return reader.read();
}

}  // namespace batchwright

#include "text/jinja/operations.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/utf8.h"
#include "text/jinja/strings.h"

namespace batchwright::jinja {

std::string_view type_name(const Value& value) {
  switch (value.kind()) {
    case Kind::kMissing:
      return "missing";
    case Kind::kUndefined:
      return "Undefined";
    case Kind::kNone:
      return "NoneType";
    case Kind::kBool:
      return "bool";
    case Kind::kInt:
    case Kind::kBigUint:
      return "int";
    case Kind::kFloat:
      return "float";
    case Kind::kString:
      return "str";
    case Kind::kList:
      return "list";
    case Kind::kTuple:
      return "tuple";
    case Kind::kDict:
      return "dict";
    case Kind::kIterator:
      return "generator";
    case Kind::kView:
      switch (value.view().type) {
        case ViewObject::Type::kRange:
          return "range";
        case ViewObject::Type::kKeys:
          return "dict_keys";
        case ViewObject::Type::kValues:
          return "dict_values";
        case ViewObject::Type::kItems:
          return "dict_items";
      }
      return "view";
    case Kind::kNamespace:
      return "Namespace";
    case Kind::kCallable:
      return "function";
    case Kind::kLoop:
      return "LoopContext";
  }
  return "unknown";
}

void fail_undefined(const Runtime& runtime, const Value& value) {
  if (value.name() != nullptr) runtime.fail(fmt::format("'{}' is undefined", *value.name()));
  runtime.fail("a value is undefined");
}

namespace {

// What an operator refuses: an undefined operand is named.
[[noreturn]] void fail_operands(const Runtime& runtime, std::string_view op, const Value& a, const Value& b) {
  if (a.is_undefined()) fail_undefined(runtime, a);
  if (b.is_undefined()) fail_undefined(runtime, b);
  runtime.fail(fmt::format("'{}' does not work on {} and {}", op, type_name(a), type_name(b)));
}

[[noreturn]] void fail_overflow(const Runtime& runtime) {
  runtime.fail("the result of integer arithmetic does not fit into 64 bits");
}

int compare_numbers(const Value& a, const Value& b) {
  // 64 mantissa bits: exact for int64 and double both.
  const auto wide = [](const Value& v) -> long double {
    if (v.is(Kind::kFloat)) return v.number();
    if (v.is(Kind::kBigUint)) return static_cast<long double>(v.big());
    return static_cast<long double>(v.integer());
  };
  const long double x = wide(a);
  const long double y = wide(b);
  if (x < y) return -1;
  if (x > y) return 1;
  return x == y ? 0 : 2;  // 2: a NaN is in it
}

bool is_any_number(const Value& v) { return v.is_number() || v.is(Kind::kBigUint); }

bool equal_items(Runtime& runtime, const std::vector<Value>& a, const std::vector<Value>& b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    if (!equals(runtime, a[i], b[i])) return false;
  }
  return true;
}

bool equal_dicts(Runtime& runtime, DictObject& a, DictObject& b) {
  if (a.entries.size() != b.entries.size()) return false;
  for (const auto& [key, value] : a.entries) {
    const Value* const other = dict_find(runtime, b, key);
    if (other == nullptr || !equals(runtime, value, *other)) return false;
  }
  return true;
}

Value repeat_items(Runtime& runtime, const Value& sequence, int64_t times) {
  const auto& items = sequence.list().items;
  const auto count = static_cast<size_t>(std::max<int64_t>(times, 0));
  if (!items.empty() && count > runtime.limits().max_list_items / items.size()) {
    runtime.check_list_size(SIZE_MAX);
  }
  std::vector<Value> out;
  out.reserve(items.size() * count);
  runtime.step(static_cast<int64_t>(items.size() * count / 8));
  for (size_t i = 0; i < count && !items.empty(); ++i) out.insert(out.end(), items.begin(), items.end());
  return sequence.is(Kind::kTuple) ? runtime.make_tuple(std::move(out)) : runtime.make_list(std::move(out));
}

// CPython's float_divmod.
std::pair<double, double> float_divmod(double a, double b) {
  double mod = std::fmod(a, b);
  double div = (a - mod) / b;
  if (mod != 0) {
    if ((b < 0) != (mod < 0)) {
      mod += b;
      div -= 1.0;
    }
  } else {
    mod = std::copysign(0.0, b);
  }
  double floor_div = 0;
  if (div != 0) {
    floor_div = std::floor(div);
    if (div - floor_div > 0.5) floor_div += 1.0;
  } else {
    floor_div = std::copysign(0.0, a / b);
  }
  return {floor_div, mod};
}

}  // namespace

bool truthy(const Value& value) {
  switch (value.kind()) {
    case Kind::kMissing:
    case Kind::kUndefined:
    case Kind::kNone:
      return false;
    case Kind::kBool:
      return value.boolean();
    case Kind::kInt:
      return value.integer() != 0;
    case Kind::kFloat:
      return value.number() != 0;
    case Kind::kString:
      return !value.text().empty();
    case Kind::kList:
    case Kind::kTuple:
      return !value.list().items.empty();
    case Kind::kDict:
      return !value.dict().entries.empty();
    case Kind::kView:
      return !value.view().items.empty();
    default:
      return true;
  }
}

bool equals(Runtime& runtime, const Value& a, const Value& b) {
  runtime.step();
  if (is_any_number(a) && is_any_number(b)) return compare_numbers(a, b) == 0;
  if (a.kind() != b.kind()) return false;
  switch (a.kind()) {
    case Kind::kMissing:
    case Kind::kUndefined:
    case Kind::kNone:
      return true;
    case Kind::kString:
      if (a.text().size() != b.text().size()) return false;
      runtime.scan(a.text().size());
      return a.bytes() == b.bytes();
    case Kind::kList:
    case Kind::kTuple: {
      if (&a.list() == &b.list()) return true;
      const Depth depth(runtime);
      return equal_items(runtime, a.list().items, b.list().items);
    }
    case Kind::kDict: {
      if (&a.dict() == &b.dict()) return true;
      const Depth depth(runtime);
      return equal_dicts(runtime, a.dict(), b.dict());
    }
    case Kind::kView: {
      if (a.view().type != b.view().type) return false;
      const Depth depth(runtime);
      return equal_items(runtime, a.view().items, b.view().items);
    }
    default:
      return a.address() == b.address();
  }
}

bool less(Runtime& runtime, const Value& a, const Value& b, bool or_equal) {
  runtime.step();
  if (is_any_number(a) && is_any_number(b)) {
    const int order = compare_numbers(a, b);
    return order == -1 || (or_equal && order == 0);
  }
  if (a.is_string() && b.is_string()) {
    runtime.scan(std::min(a.text().size(), b.text().size()));
    return or_equal ? a.bytes() <= b.bytes() : a.bytes() < b.bytes();
  }
  if (a.is_sequence() && a.kind() == b.kind()) {
    const Depth depth(runtime);
    const auto& x = a.list().items;
    const auto& y = b.list().items;
    for (size_t i = 0; i < std::min(x.size(), y.size()); ++i) {
      if (!equals(runtime, x[i], y[i])) return less(runtime, x[i], y[i], or_equal);
    }
    return or_equal ? x.size() <= y.size() : x.size() < y.size();
  }
  fail_operands(runtime, or_equal ? "<=" : "<", a, b);
}

bool contains(Runtime& runtime, const Value& container, const Value& item) {
  switch (container.kind()) {
    case Kind::kUndefined:
      return false;
    case Kind::kString:
      if (!item.is_string()) fail_operands(runtime, "in", item, container);
      runtime.scan(container.text().size());
      return find_bytes(container.bytes(), item.bytes(), 0) != std::string_view::npos;
    case Kind::kDict:
      return dict_find(runtime, container.dict(), item) != nullptr;
    default:
      break;
  }
  if (!is_iterable(container)) fail_operands(runtime, "in", item, container);
  for (const Value& other : iterate(runtime, container)) {
    if (equals(runtime, item, other)) return true;
  }
  return false;
}

Value add(Runtime& runtime, const Value& a, const Value& b) {
  if (a.is_integral() && b.is_integral()) {
    int64_t sum = 0;
    if (__builtin_add_overflow(a.integer(), b.integer(), &sum)) fail_overflow(runtime);
    return sum;
  }
  if (a.is_number() && b.is_number()) return a.number() + b.number();
  if (a.is_string() && b.is_string()) {
    runtime.charge(a.text().size() + b.text().size());
    TextBuilder builder;
    builder.append(a.text());
    builder.append(b.text());
    return runtime.make_text(std::move(builder));
  }
  if (a.is_sequence() && a.kind() == b.kind()) {
    runtime.check_list_size(a.list().items.size() + b.list().items.size());
    std::vector<Value> items = a.list().items;
    items.insert(items.end(), b.list().items.begin(), b.list().items.end());
    runtime.step(static_cast<int64_t>(items.size() / 8));
    return a.is(Kind::kTuple) ? runtime.make_tuple(std::move(items)) : runtime.make_list(std::move(items));
  }
  fail_operands(runtime, "+", a, b);
}

Value subtract(Runtime& runtime, const Value& a, const Value& b) {
  if (a.is_integral() && b.is_integral()) {
    int64_t difference = 0;
    if (__builtin_sub_overflow(a.integer(), b.integer(), &difference)) fail_overflow(runtime);
    return difference;
  }
  if (a.is_number() && b.is_number()) return a.number() - b.number();
  fail_operands(runtime, "-", a, b);
}

Value multiply(Runtime& runtime, const Value& a, const Value& b) {
  if (a.is_integral() && b.is_integral()) {
    int64_t product = 0;
    if (__builtin_mul_overflow(a.integer(), b.integer(), &product)) fail_overflow(runtime);
    return product;
  }
  if (a.is_number() && b.is_number()) return a.number() * b.number();
  if (a.is_integral() && (b.is_string() || b.is_sequence())) return multiply(runtime, b, a);
  if (a.is_string() && b.is_integral()) return repeat_text(runtime, a.text(), b.integer());
  if (a.is_sequence() && b.is_integral()) return repeat_items(runtime, a, b.integer());
  fail_operands(runtime, "*", a, b);
}

Value divide(Runtime& runtime, const Value& a, const Value& b) {
  if (!a.is_number() || !b.is_number()) fail_operands(runtime, "/", a, b);
  if (b.number() == 0) runtime.fail("division by zero");
  return a.number() / b.number();
}

Value floor_divide(Runtime& runtime, const Value& a, const Value& b) {
  if (!a.is_number() || !b.is_number()) fail_operands(runtime, "//", a, b);
  if (b.number() == 0) runtime.fail("division by zero");
  if (!a.is_integral() || !b.is_integral()) return float_divmod(a.number(), b.number()).first;
  if (a.integer() == INT64_MIN && b.integer() == -1) fail_overflow(runtime);
  const int64_t quotient = a.integer() / b.integer();
  const bool inexact = a.integer() % b.integer() != 0;
  return quotient - (inexact && (a.integer() < 0) != (b.integer() < 0) ? 1 : 0);
}

Value modulo(Runtime& runtime, const Value& a, const Value& b) {
  if (a.is_string()) return format_percent(runtime, a.text(), b);
  if (!a.is_number() || !b.is_number()) fail_operands(runtime, "%", a, b);
  if (b.number() == 0) runtime.fail("modulo by zero");
  if (!a.is_integral() || !b.is_integral()) return float_divmod(a.number(), b.number()).second;
  if (b.integer() == -1) return int64_t{0};
  const int64_t rest = a.integer() % b.integer();
  return rest != 0 && (rest < 0) != (b.integer() < 0) ? rest + b.integer() : rest;
}

Value power(Runtime& runtime, const Value& a, const Value& b) {
  if (!a.is_number() || !b.is_number()) fail_operands(runtime, "**", a, b);
  if (a.is_integral() && b.is_integral() && b.integer() >= 0) {
    const int64_t base = a.integer();
    int64_t exponent = b.integer();
    if (base == 0 || base == 1) return exponent == 0 ? int64_t{1} : base;
    if (base == -1) return exponent % 2 == 0 ? int64_t{1} : int64_t{-1};
    int64_t result = 1;
    for (; exponent > 0; --exponent) {
      if (__builtin_mul_overflow(result, base, &result)) fail_overflow(runtime);
    }
    return result;
  }
  if (a.number() == 0 && b.number() < 0) runtime.fail("zero to a negative power");
  const double result = std::pow(a.number(), b.number());
  if (std::isnan(result) && !std::isnan(a.number()) && !std::isnan(b.number())) {
    runtime.fail("a power that is not real");
  }
  if (std::isinf(result) && !std::isinf(a.number()) && !std::isinf(b.number())) runtime.fail("a power is too large");
  return result;
}

Value negate(Runtime& runtime, const Value& a) {
  if (a.is_undefined()) fail_undefined(runtime, a);
  if (a.is(Kind::kFloat)) return -a.number();
  if (!a.is_integral()) runtime.fail(fmt::format("a {} has no sign", type_name(a)));
  if (a.integer() == INT64_MIN) fail_overflow(runtime);
  return -a.integer();
}

Value from_json(Runtime& runtime, const JsonValue& json) {
  switch (json.type()) {
    case JsonValue::Type::kNull:
      return Value();
    case JsonValue::Type::kBool:
      return Value(json.as_bool());
    case JsonValue::Type::kInt64:
      return Value(json.as_int64());
    case JsonValue::Type::kUint64:
      return Value::big_uint(json.as_uint64());
    case JsonValue::Type::kDouble:
      return Value(json.as_double());
    case JsonValue::Type::kString:
      if (!is_valid_utf8(json.as_string()))
        throw TemplateError{invalid_data("chat template: an input is not valid UTF-8")};
      return runtime.make_text(json.as_string(), false);
    case JsonValue::Type::kArray: {
      const Depth depth(runtime);
      std::vector<Value> items;
      items.reserve(json.as_array().size());
      for (const JsonValue& item : json.as_array()) items.push_back(from_json(runtime, item));
      return runtime.make_list(std::move(items));
    }
    case JsonValue::Type::kObject: {
      const Depth depth(runtime);
      DictObject* const dict = runtime.make_dict();
      for (const auto& [key, value] : json.as_object()) {
        dict_set(runtime, *dict, runtime.make_text(key, false), from_json(runtime, value));
      }
      return dict;
    }
  }
  return Value();
}

int64_t require_int(Runtime& runtime, const Value& value, std::string_view what) {
  if (value.is_undefined()) fail_undefined(runtime, value);
  if (!value.is_integral()) runtime.fail(fmt::format("{} must be an integer, not {}", what, type_name(value)));
  return value.integer();
}

const Text& require_string(Runtime& runtime, const Value& value, std::string_view what) {
  if (value.is_undefined()) fail_undefined(runtime, value);
  if (!value.is_string()) runtime.fail(fmt::format("{} must be a string, not {}", what, type_name(value)));
  return value.text();
}

}  // namespace batchwright::jinja

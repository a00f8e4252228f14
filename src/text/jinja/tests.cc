// Jinja2's tests: {{ x is NAME }}.
#include <algorithm>
#include <map>

#include "text/jinja/builtins.h"
#include "text/jinja/characters.h"
#include "text/jinja/operations.h"

namespace batchwright::jinja {
namespace {

using Predicate = bool (*)(const Value& value);

template <Predicate predicate>
bool plain(Runtime& rt, const Value& value, const Arguments& arguments) {
  bind(rt, arguments, "the test", {});
  return predicate(value);
}

bool is_defined(const Value& v) { return !v.is_undefined(); }
bool is_undefined(const Value& v) { return v.is_undefined(); }
bool is_none(const Value& v) { return v.is_none(); }
bool is_boolean(const Value& v) { return v.is(Kind::kBool); }
bool is_true(const Value& v) { return v.is(Kind::kBool) && v.boolean(); }
bool is_false(const Value& v) { return v.is(Kind::kBool) && !v.boolean(); }
bool is_integer(const Value& v) { return v.is(Kind::kInt) || v.is(Kind::kBigUint); }
bool is_float(const Value& v) { return v.is(Kind::kFloat); }
bool is_any_number(const Value& v) { return v.is_number() || v.is(Kind::kBigUint); }
bool is_string(const Value& v) { return v.is_string(); }
bool is_mapping(const Value& v) { return v.is(Kind::kDict); }
bool is_callable(const Value& v) { return v.is(Kind::kCallable) || v.is_undefined(); }
bool is_escaped(const Value&) { return false; }

// What has a length and items by index; an undefined value has both to Python.
bool is_sequence(const Value& v) {
  return v.is_undefined() || v.is_string() || v.is_sequence() || v.is(Kind::kDict) ||
         (v.is(Kind::kView) && v.view().type == ViewObject::Type::kRange);
}

// str.islower() and str.isupper(): something with case, and nothing of the other.
bool has_only_case(Runtime& rt, const Value& value, bool (*wanted)(char32_t), bool (*other)(char32_t)) {
  const Value text = to_text(rt, value);
  rt.scan(text.text().size());
  bool any = false;
  for (CharacterCursor c(text.text()); !c.at_end(); c.next()) {
    if (other(c.code_point()) || is_title(c.code_point())) return false;
    any |= wanted(c.code_point());
  }
  return any;
}

bool lower(Runtime& rt, const Value& value, const Arguments& arguments) {
  bind(rt, arguments, "lower", {});
  return has_only_case(rt, value, is_lower, is_upper);
}

bool upper(Runtime& rt, const Value& value, const Arguments& arguments) {
  bind(rt, arguments, "upper", {});
  return has_only_case(rt, value, is_upper, is_lower);
}

bool iterable(Runtime& rt, const Value& value, const Arguments& arguments) {
  bind(rt, arguments, "iterable", {});
  return is_iterable(value) || value.is(Kind::kLoop);
}

bool has_rest(Runtime& rt, const Value& value, int64_t divisor, double rest) {
  const Value got = modulo(rt, value, Value(divisor));
  return got.is_number() && got.number() == rest;
}

bool odd(Runtime& rt, const Value& value, const Arguments& arguments) {
  bind(rt, arguments, "odd", {});
  return has_rest(rt, value, 2, 1);
}

bool even(Runtime& rt, const Value& value, const Arguments& arguments) {
  bind(rt, arguments, "even", {});
  return has_rest(rt, value, 2, 0);
}

bool divisible_by(Runtime& rt, const Value& value, const Arguments& arguments) {
  const auto args = bind(rt, arguments, "divisibleby", {"num"}, 1);
  const Value rest = modulo(rt, value, args[0]);
  return rest.is_number() && rest.number() == 0;
}

Value other_of(Runtime& rt, const Arguments& arguments) { return bind(rt, arguments, "the test", {"other"}, 1)[0]; }

bool eq(Runtime& rt, const Value& v, const Arguments& a) { return equals(rt, v, other_of(rt, a)); }
bool ne(Runtime& rt, const Value& v, const Arguments& a) { return !equals(rt, v, other_of(rt, a)); }
bool lt(Runtime& rt, const Value& v, const Arguments& a) { return less(rt, v, other_of(rt, a)); }
bool le(Runtime& rt, const Value& v, const Arguments& a) { return less(rt, v, other_of(rt, a), true); }
bool gt(Runtime& rt, const Value& v, const Arguments& a) { return less(rt, other_of(rt, a), v); }
bool ge(Runtime& rt, const Value& v, const Arguments& a) { return less(rt, other_of(rt, a), v, true); }
bool in(Runtime& rt, const Value& v, const Arguments& a) { return contains(rt, other_of(rt, a), v); }

bool same_as(Runtime& rt, const Value& value, const Arguments& arguments) {
  const Value other = other_of(rt, arguments);
  if (value.kind() != other.kind()) return false;
  switch (value.kind()) {
    case Kind::kUndefined:
    case Kind::kNone:
    case Kind::kBool:
    case Kind::kInt:
    case Kind::kString:
      return equals(rt, value, other);
    case Kind::kFloat:
    case Kind::kBigUint:
      return false;
    default:
      return value.address() == other.address();
  }
}

bool filter(Runtime& rt, const Value& value, const Arguments& arguments) {
  bind(rt, arguments, "filter", {});
  return find_filter(require_string(rt, value, "the name of a filter").bytes()) != nullptr;
}

bool test(Runtime& rt, const Value& value, const Arguments& arguments) {
  bind(rt, arguments, "test", {});
  return find_test(require_string(rt, value, "the name of a test").bytes()) != nullptr;
}

}  // namespace

Test find_test(std::string_view name) {
  static const std::map<std::string_view, Test> kTests = {
      {"defined", plain<is_defined>},
      {"undefined", plain<is_undefined>},
      {"none", plain<is_none>},
      {"boolean", plain<is_boolean>},
      {"true", plain<is_true>},
      {"false", plain<is_false>},
      {"integer", plain<is_integer>},
      {"float", plain<is_float>},
      {"number", plain<is_any_number>},
      {"string", plain<is_string>},
      {"mapping", plain<is_mapping>},
      {"sequence", plain<is_sequence>},
      {"callable", plain<is_callable>},
      {"escaped", plain<is_escaped>},
      {"iterable", iterable},
      {"lower", lower},
      {"upper", upper},
      {"odd", odd},
      {"even", even},
      {"divisibleby", divisible_by},
      {"sameas", same_as},
      {"filter", filter},
      {"test", test},
      {"eq", eq},
      {"equalto", eq},
      {"==", eq},
      {"ne", ne},
      {"!=", ne},
      {"lt", lt},
      {"lessthan", lt},
      {"<", lt},
      {"le", le},
      {"<=", le},
      {"gt", gt},
      {"greaterthan", gt},
      {">", gt},
      {"ge", ge},
      {">=", ge},
      {"in", in},
  };
  const auto found = kTests.find(name);
  return found == kTests.end() ? nullptr : found->second;
}

}  // namespace batchwright::jinja

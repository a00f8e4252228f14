// Jinja2's filters on lists, dicts and other iterables.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <set>

#include "text/jinja/builtins.h"
#include "text/jinja/characters.h"
#include "text/jinja/operations.h"
#include "text/jinja/strings.h"

namespace batchwright::jinja {
namespace {

bool given(const Value& argument) { return !argument.is_missing() && !argument.is_none(); }

// "a.0.b": attributes and, for digits, items; an integer: an item.
class AttributePath {
 public:
  AttributePath(Runtime& rt, const Value& attribute) : rt_(rt) {
    if (!given(attribute)) return;
    if (!attribute.is_string()) {
      parts_.push_back(attribute);
      return;
    }
    std::string_view rest = attribute.bytes();
    while (true) {
      const size_t dot = std::min(rest.find('.'), rest.size());
      const std::string_view part = rest.substr(0, dot);
      int64_t number = 0;
      const auto parsed = std::from_chars(part.data(), part.data() + part.size(), number);
      const bool is_number =
          !part.empty() && part[0] != '-' && parsed.ec == std::errc() && parsed.ptr == part.data() + part.size();
      parts_.push_back(is_number ? Value(number) : rt.make_text(part, true));
      if (dot == rest.size()) return;
      rest.remove_prefix(dot + 1);
    }
  }

  Value get(Value value) const {
    for (const Value& part : parts_) value = get_item(rt_, value, part);
    return value;
  }

 private:
  Runtime& rt_;
  std::vector<Value> parts_;
};

// Runs make(items) and gives what it made as an iterator, with the error that stopped it, if any, behind the items.
template <class Make>
Value lazy_iterator(Runtime& rt, Make make) {
  std::vector<Value> items;
  Status error;
  try {
    make(items);
  } catch (const TemplateError& thrown) {
    if (thrown.status.code() == StatusCode::kResourceExhausted) throw;
    error = thrown.status;
  }
  const Value iterator = rt.make_iterator(std::move(items));
  iterator.iterator().error = std::move(error);
  return iterator;
}

Value folded(Runtime& rt, const Value& value, bool case_sensitive) {
  return value.is_string() && !case_sensitive ? lower_text(rt, value.text()) : value;
}

Value first(Runtime& rt, const Value& value, const Arguments& arguments) {
  bind(rt, arguments, "first", {});
  if (value.is(Kind::kIterator)) {
    IteratorObject& iterator = value.iterator();
    if (iterator.next < iterator.items.size()) return iterator.items[iterator.next++];
    if (!iterator.error.ok()) throw TemplateError{iterator.error};
    return Value::undefined();
  }
  if (value.is_string()) return value.text().empty() ? Value::undefined() : get_item(rt, value, Value(int64_t{0}));
  const auto items = iterate(rt, value);
  return items.empty() ? Value::undefined() : items.front();
}

Value last(Runtime& rt, const Value& value, const Arguments& arguments) {
  bind(rt, arguments, "last", {});
  if (value.is(Kind::kIterator)) rt.fail("a generator has no last item");
  if (value.is_undefined()) return Value::undefined();
  if (value.is_string()) return value.text().empty() ? Value::undefined() : get_item(rt, value, Value(int64_t{-1}));
  const auto items = iterate(rt, value);
  return items.empty() ? Value::undefined() : items.back();
}

Value list(Runtime& rt, const Value& value, const Arguments& arguments) {
  bind(rt, arguments, "list", {});
  return rt.make_list(iterate(rt, value));
}

Value join(Runtime& rt, const Value& value, const Arguments& arguments) {
  const auto args = bind(rt, arguments, "join", {"d", "attribute"});
  std::vector<Value> items = iterate(rt, value);
  const AttributePath path(rt, args[1]);
  for (Value& item : items) {
    rt.step();
    item = to_text(rt, given(args[1]) ? path.get(item) : item);
  }
  const Value separator = args[0].is_missing() ? rt.make_text("", true) : to_text(rt, args[0]);
  return join_text(rt, separator.text(), items);
}

Value reverse(Runtime& rt, const Value& value, const Arguments& arguments) {
  bind(rt, arguments, "reverse", {});
  if (value.is_string()) return get_slice(rt, value, Value(), Value(), Value(int64_t{-1}));
  auto items = iterate(rt, value);
  std::reverse(items.begin(), items.end());
  return value.is(Kind::kIterator) ? rt.make_list(std::move(items)) : rt.make_iterator(std::move(items));
}

std::vector<Value> sorted(Runtime& rt, std::vector<Value> items, const std::vector<Value>& keys, bool descending) {
  std::vector<size_t> order(items.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return descending ? less(rt, keys[b], keys[a]) : less(rt, keys[a], keys[b]);
  });
  std::vector<Value> out;
  for (const size_t i : order) out.push_back(items[i]);
  return out;
}

Value sort(Runtime& rt, const Value& value, const Arguments& arguments) {
  const auto args = bind(rt, arguments, "sort", {"reverse", "case_sensitive", "attribute"});
  const auto items = iterate(rt, value);
  std::vector<std::vector<Value>> columns;
  // Several attributes, split by commas, are compared one after the other.
  std::vector<Value> attributes = {args[2]};
  if (args[2].is_string() && args[2].bytes().find(',') != std::string_view::npos) {
    const Value comma = rt.make_text(",", true);
    attributes = split_text(rt, args[2].text(), &comma.text(), -1);
  }
  std::vector<AttributePath> paths;
  for (const Value& attribute : attributes) paths.emplace_back(rt, attribute);
  std::vector<Value> keys;
  for (const Value& item : items) {
    std::vector<Value> key;
    for (const auto& path : paths) key.push_back(folded(rt, path.get(item), truthy(args[1])));
    // As a sequence even where it is one: equal parts, undefined ones too, are never ordered.
    keys.push_back(rt.make_tuple(std::move(key)));
  }
  return rt.make_list(sorted(rt, items, keys, truthy(args[0])));
}

Value dictsort(Runtime& rt, const Value& value, const Arguments& arguments) {
  const auto args = bind(rt, arguments, "dictsort", {"case_sensitive", "by", "reverse"});
  if (!value.is(Kind::kDict)) rt.fail(fmt::format("dictsort needs a dict, not {}", type_name(value)));
  const std::string_view by = args[1].is_missing() ? "key" : require_string(rt, args[1], "by").bytes();
  if (by != "key" && by != "value") rt.fail("dictsort: by must be 'key' or 'value'");
  std::vector<Value> items;
  std::vector<Value> keys;
  for (const auto& [key, item] : value.dict().entries) {
    items.push_back(rt.make_tuple({key, item}));
    keys.push_back(folded(rt, by == "key" ? key : item, truthy(args[0])));
  }
  return rt.make_list(sorted(rt, items, keys, truthy(args[2])));
}

Value unique(Runtime& rt, const Value& value, const Arguments& arguments) {
  const auto args = bind(rt, arguments, "unique", {"case_sensitive", "attribute"});
  const AttributePath path(rt, args[1]);
  return lazy_iterator(rt, [&](std::vector<Value>& out) {
    DictObject* const seen = rt.make_dict();
    for (const Value& item : iterate(rt, value)) {
      const Value key = folded(rt, path.get(item), truthy(args[0]));
      if (dict_find(rt, *seen, key) != nullptr) continue;
      dict_set(rt, *seen, key, Value());
      out.push_back(item);
    }
  });
}

Value extreme(Runtime& rt, const Value& value, const Arguments& arguments, bool want_max) {
  const auto args = bind(rt, arguments, want_max ? "max" : "min", {"case_sensitive", "attribute"});
  const AttributePath path(rt, args[1]);
  Value best = Value::undefined();
  Value best_key;
  bool first_item = true;
  for (const Value& item : iterate(rt, value)) {
    const Value key = folded(rt, path.get(item), truthy(args[0]));
    if (first_item || (want_max ? less(rt, best_key, key) : less(rt, key, best_key))) {
      best = item;
      best_key = key;
    }
    first_item = false;
  }
  return best;
}

Value min(Runtime& rt, const Value& value, const Arguments& arguments) { return extreme(rt, value, arguments, false); }
Value max(Runtime& rt, const Value& value, const Arguments& arguments) { return extreme(rt, value, arguments, true); }

Value sum(Runtime& rt, const Value& value, const Arguments& arguments) {
  const auto args = bind(rt, arguments, "sum", {"attribute", "start"});
  const AttributePath path(rt, args[0]);
  Value total = args[1].is_missing() ? Value(int64_t{0}) : args[1];
  if (total.is_string()) rt.fail("sum: strings are joined, not summed");
  for (const Value& item : iterate(rt, value)) total = add(rt, total, path.get(item));
  return total;
}

Value items(Runtime& rt, const Value& value, const Arguments& arguments) {
  bind(rt, arguments, "items", {});
  return lazy_iterator(rt, [&](std::vector<Value>& pairs) {
    if (value.is_undefined()) return;
    if (!value.is(Kind::kDict)) rt.fail(fmt::format("items needs a dict, not {}", type_name(value)));
    for (const auto& [key, item] : value.dict().entries) pairs.push_back(rt.make_tuple({key, item}));
  });
}

Arguments without_first(const Arguments& arguments) {
  Arguments rest = arguments;
  rest.positional.erase(rest.positional.begin());
  return rest;
}

void map_attribute(Runtime& rt, const Value& value, const Arguments& arguments, std::vector<Value>& out) {
  const auto args = bind(rt, arguments, "map", {"attribute", "default"}, 1);
  const AttributePath path(rt, args[0]);
  for (const Value& item : iterate(rt, value)) {
    const Value got = path.get(item);
    out.push_back(got.is_undefined() && given(args[1]) ? args[1] : got);
  }
}

Value map(Runtime& rt, const Value& value, const Arguments& arguments) {
  return lazy_iterator(rt, [&](std::vector<Value>& out) {
    if (!truthy(value)) return;
    if (arguments.positional.empty()) return map_attribute(rt, value, arguments, out);
    const Text& name = require_string(rt, arguments.positional[0], "the name of a filter");
    const Filter filter = find_filter(name.bytes());
    if (filter == nullptr) rt.fail(fmt::format("no filter is named '{}'", name.bytes().substr(0, 40)));
    const Arguments rest = without_first(arguments);
    for (const Value& item : iterate(rt, value)) {
      rt.step();
      const Depth depth(rt);
      out.push_back(filter(rt, item, rest));
    }
  });
}

void select_into(Runtime& rt, const Value& value, Arguments arguments, bool by_attribute, bool wanted,
                 std::vector<Value>& out) {
  const auto take_first = [&](std::string_view what) {
    if (arguments.positional.empty()) rt.fail(fmt::format("a selecting filter needs {}", what));
    const Value taken = arguments.positional.front();
    arguments = without_first(arguments);
    return taken;
  };
  const AttributePath path(rt, by_attribute ? take_first("an attribute") : Value());
  Test test = nullptr;
  if (!arguments.positional.empty()) {
    const Value name = take_first("a test");
    test = find_test(require_string(rt, name, "the name of a test").bytes());
    if (test == nullptr) rt.fail(fmt::format("no test is named '{}'", name.bytes().substr(0, 40)));
  }
  for (const Value& item : iterate(rt, value)) {
    rt.step();
    const Depth depth(rt);
    const Value looked_at = path.get(item);
    if ((test == nullptr ? truthy(looked_at) : test(rt, looked_at, arguments)) == wanted) out.push_back(item);
  }
}

Value select_by(Runtime& rt, const Value& value, const Arguments& arguments, bool by_attribute, bool wanted) {
  return lazy_iterator(rt, [&](std::vector<Value>& out) {
    if (truthy(value)) select_into(rt, value, arguments, by_attribute, wanted, out);
  });
}

Value select(Runtime& rt, const Value& v, const Arguments& a) { return select_by(rt, v, a, false, true); }
Value reject(Runtime& rt, const Value& v, const Arguments& a) { return select_by(rt, v, a, false, false); }
Value selectattr(Runtime& rt, const Value& v, const Arguments& a) { return select_by(rt, v, a, true, true); }
Value rejectattr(Runtime& rt, const Value& v, const Arguments& a) { return select_by(rt, v, a, true, false); }

Value batch(Runtime& rt, const Value& value, const Arguments& arguments) {
  const auto args = bind(rt, arguments, "batch", {"linecount", "fill_with"}, 1);
  return lazy_iterator(rt, [&](std::vector<Value>& rows) {
    const int64_t count = require_int(rt, args[0], "linecount");
    std::vector<Value> row;
    for (const Value& item : iterate(rt, value)) {
      if (static_cast<int64_t>(row.size()) == count) rows.push_back(rt.make_list(std::exchange(row, {})));
      row.push_back(item);
    }
    if (row.empty()) return;
    if (given(args[1])) {
      rt.check_list_size(static_cast<size_t>(std::max<int64_t>(count, 0)));
      while (static_cast<int64_t>(row.size()) < count) row.push_back(args[1]);
    }
    rows.push_back(rt.make_list(std::move(row)));
  });
}

}  // namespace

Filter find_sequence_filter(std::string_view name) {
  static const std::map<std::string_view, Filter> kFilters = {
      {"first", first},
      {"last", last},
      {"list", list},
      {"join", join},
      {"reverse", reverse},
      {"sort", sort},
      {"unique", unique},
      {"dictsort", dictsort},
      {"min", min},
      {"max", max},
      {"sum", sum},
      {"items", items},
      {"map", map},
      {"select", select},
      {"reject", reject},
      {"batch", batch},
      {"selectattr", selectattr},
      {"rejectattr", rejectattr},
  };
  const auto found = kFilters.find(name);
  return found == kFilters.end() ? nullptr : found->second;
}

}  // namespace batchwright::jinja

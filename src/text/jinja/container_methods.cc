// Methods of Python's list, tuple and dict, and of Jinja2's loop.
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "text/jinja/builtins.h"
#include "text/jinja/operations.h"

namespace batchwright::jinja {
namespace {

struct BoundMethod : CallableObject {
  Value self;
  Method method = nullptr;
  Value call(Runtime& runtime, const Arguments& arguments) override { return method(runtime, self, arguments); }
};

ListObject& mutable_list(Runtime& rt, const Value& self) {
  if (!self.is(Kind::kList)) rt.fail("a tuple cannot be changed");
  return self.list();
}

void insert_at(Runtime& rt, ListObject& list, size_t at, const Value& value) {
  rt.check_list_size(list.items.size() + 1);
  rt.charge(sizeof(Value));
  rt.step(static_cast<int64_t>((list.items.size() - at) / 8));
  list.items.insert(list.items.begin() + static_cast<std::ptrdiff_t>(at), value);
}

Value append(Runtime& rt, const Value& self, const Arguments& arguments) {
  const auto args = bind(rt, arguments, "append", {"item"}, 1);
  ListObject& list = mutable_list(rt, self);
  insert_at(rt, list, list.items.size(), args[0]);
  return Value();
}

Value extend(Runtime& rt, const Value& self, const Arguments& arguments) {
  const auto args = bind(rt, arguments, "extend", {"iterable"}, 1);
  ListObject& list = mutable_list(rt, self);
  const auto items = iterate(rt, args[0]);
  rt.check_list_size(list.items.size() + items.size());
  rt.charge(items.size() * sizeof(Value));
  list.items.insert(list.items.end(), items.begin(), items.end());
  return Value();
}

Value insert(Runtime& rt, const Value& self, const Arguments& arguments) {
  const auto args = bind(rt, arguments, "insert", {"index", "item"}, 2);
  ListObject& list = mutable_list(rt, self);
  const auto size = static_cast<int64_t>(list.items.size());
  int64_t at = require_int(rt, args[0], "index");
  if (at < 0) at += size;
  insert_at(rt, list, static_cast<size_t>(std::clamp<int64_t>(at, 0, size)), args[1]);
  return Value();
}

Value list_pop(Runtime& rt, const Value& self, const Arguments& arguments) {
  const auto args = bind(rt, arguments, "pop", {"index"});
  ListObject& list = mutable_list(rt, self);
  const auto size = static_cast<int64_t>(list.items.size());
  int64_t at = args[0].is_missing() ? size - 1 : require_int(rt, args[0], "index");
  if (at < 0) at += size;
  if (at < 0 || at >= size) rt.fail("pop: index out of range");
  const Value taken = list.items[static_cast<size_t>(at)];
  rt.step((size - at) / 8);
  list.items.erase(list.items.begin() + at);
  return taken;
}

Value list_index(Runtime& rt, const Value& self, const Arguments& arguments) {
  const auto args = bind(rt, arguments, "index", {"item"}, 1);
  for (size_t i = 0; i < self.list().items.size(); ++i) {
    if (equals(rt, self.list().items[i], args[0])) return static_cast<int64_t>(i);
  }
  rt.fail("index: no such item");
}

Value list_count(Runtime& rt, const Value& self, const Arguments& arguments) {
  const auto args = bind(rt, arguments, "count", {"item"}, 1);
  int64_t count = 0;
  for (const Value& item : self.list().items) count += equals(rt, item, args[0]) ? 1 : 0;
  return count;
}

Value dict_view(Runtime& rt, const Value& self, ViewObject::Type type) {
  std::vector<Value> items;
  for (const auto& [key, value] : self.dict().entries) {
    if (type == ViewObject::Type::kItems)
      items.push_back(rt.make_tuple({key, value}));
    else
      items.push_back(type == ViewObject::Type::kKeys ? key : value);
  }
  rt.step(static_cast<int64_t>(items.size() / 8));
  return rt.make_view(type, std::move(items));
}

template <ViewObject::Type type>
Value view(Runtime& rt, const Value& self, const Arguments& arguments) {
  bind(rt, arguments, "the method", {});
  return dict_view(rt, self, type);
}

Value get(Runtime& rt, const Value& self, const Arguments& arguments) {
  if (!arguments.named.empty()) rt.fail("get takes no named arguments");
  const auto args = bind(rt, arguments, "get", {"key", "default"}, 1);
  const Value* const found = dict_find(rt, self.dict(), args[0]);
  if (found != nullptr) return *found;
  return args[1].is_missing() ? Value() : args[1];
}

Value dict_pop(Runtime& rt, const Value& self, const Arguments& arguments) {
  const auto args = bind(rt, arguments, "pop", {"key", "default"}, 1);
  const Value* const found = dict_find(rt, self.dict(), args[0]);
  if (found == nullptr) {
    if (args[1].is_missing()) rt.fail("pop: no such key");
    return args[1];
  }
  const Value taken = *found;
  dict_erase(rt, self.dict(), args[0]);
  return taken;
}

Value setdefault(Runtime& rt, const Value& self, const Arguments& arguments) {
  const auto args = bind(rt, arguments, "setdefault", {"key", "default"}, 1);
  if (const Value* const found = dict_find(rt, self.dict(), args[0])) return *found;
  const Value value = args[1].is_missing() ? Value() : args[1];
  dict_set(rt, self.dict(), args[0], value);
  return value;
}

Value update(Runtime& rt, const Value& self, const Arguments& arguments) {
  if (arguments.positional.size() > 1) rt.fail("update takes one dict");
  if (!arguments.positional.empty()) {
    if (!arguments.positional[0].is(Kind::kDict)) rt.fail("update takes a dict");
    const auto entries = arguments.positional[0].dict().entries;
    for (const auto& [key, value] : entries) dict_set(rt, self.dict(), key, value);
  }
  for (const auto& [name, value] : arguments.named) dict_set(rt, self.dict(), rt.make_text(name, true), value);
  return Value();
}

Value copy_list(Runtime& rt, const Value& self, const Arguments& arguments) {
  bind(rt, arguments, "copy", {});
  if (!self.is(Kind::kList)) rt.fail("a tuple has no copy");
  return rt.make_list(self.list().items);
}

Value copy_dict(Runtime& rt, const Value& self, const Arguments& arguments) {
  bind(rt, arguments, "copy", {});
  DictObject* const copy = rt.make_dict();
  const Value target(copy);
  for (const auto& [key, value] : self.dict().entries) dict_set(rt, *copy, key, value);
  return target;
}

Value cycle(Runtime& rt, const Value& self, const Arguments& arguments) {
  if (arguments.positional.empty() || !arguments.named.empty()) rt.fail("cycle needs items");
  return arguments.positional[static_cast<size_t>(self.loop().index0) % arguments.positional.size()];
}

Value changed(Runtime& rt, const Value& self, const Arguments& arguments) {
  LoopObject& loop = self.loop();
  const Value now = rt.make_tuple(arguments.positional);
  const bool differs = !loop.has_changed_value || !equals(rt, loop.changed_value, now);
  loop.has_changed_value = true;
  loop.changed_value = now;
  return differs;
}

using Methods = std::map<std::string_view, Method>;

Method find_in(const Methods& methods, std::string_view name) {
  const auto found = methods.find(name);
  return found == methods.end() ? nullptr : found->second;
}

// Attributes of a loop that are no methods.
Value loop_attribute(LoopObject& loop, std::string_view name) {
  const auto peek = [&loop] {
    if (loop.after.is_missing() && !loop.finished_peek) {
      Value item;
      if (loop.advance(item))
        loop.after = item;
      else
        loop.finished_peek = true;
    }
    return loop.after;
  };
  const auto length = [&loop, &peek] {
    if (loop.length < 0) {
      std::vector<Value> rest;
      if (!peek().is_missing()) {
        Value item;
        while (loop.advance(item)) rest.push_back(item);
      }
      loop.length = loop.index0 + 1 + static_cast<int64_t>(rest.size()) + (loop.after.is_missing() ? 0 : 1);
      // What was looked at counts as passed; put it back behind the one that comes next.
      loop.passed = std::move(rest);
      loop.next_passed = 0;
      loop.all_passed = true;
    }
    return loop.length;
  };
  if (name == "index") return loop.index0 + 1;
  if (name == "index0") return loop.index0;
  if (name == "first") return loop.index0 == 0;
  if (name == "last") return peek().is_missing();
  if (name == "length") return length();
  if (name == "revindex") return length() - loop.index0;
  if (name == "revindex0") return length() - loop.index0 - 1;
  if (name == "depth") return int64_t{loop.depth0} + 1;
  if (name == "depth0") return int64_t{loop.depth0};
  if (name == "previtem") return loop.previous.is_missing() ? Value::undefined() : loop.previous;
  if (name == "nextitem") return peek().is_missing() ? Value::undefined() : loop.after;
  return Value::missing();
}

}  // namespace

Method find_list_method(std::string_view name) {
  static const Methods kMethods = {{"append", append},    {"extend", extend},    {"insert", insert}, {"pop", list_pop},
                                   {"index", list_index}, {"count", list_count}, {"copy", copy_list}};
  return find_in(kMethods, name);
}

Method find_dict_method(std::string_view name) {
  static const Methods kMethods = {{"items", view<ViewObject::Type::kItems>},
                                   {"keys", view<ViewObject::Type::kKeys>},
                                   {"values", view<ViewObject::Type::kValues>},
                                   {"get", get},
                                   {"pop", dict_pop},
                                   {"setdefault", setdefault},
                                   {"update", update},
                                   {"copy", copy_dict}};
  return find_in(kMethods, name);
}

Method find_loop_method(std::string_view name) {
  static const Methods kMethods = {{"cycle", cycle}, {"changed", changed}};
  return find_in(kMethods, name);
}

Value bound_method(Runtime& runtime, const Value& self, std::string_view name) {
  Method method = nullptr;
  switch (self.kind()) {
    case Kind::kString:
      method = find_string_method(name);
      break;
    case Kind::kList:
    case Kind::kTuple:
      method = find_list_method(name);
      break;
    case Kind::kDict:
      method = find_dict_method(name);
      break;
    case Kind::kLoop: {
      const Value attribute = loop_attribute(self.loop(), name);
      if (!attribute.is_missing()) return attribute;
      method = find_loop_method(name);
      break;
    }
    default:
      break;
  }
  if (method == nullptr) return Value::missing();
  runtime.charge(sizeof(BoundMethod));
  auto* const bound = runtime.arena().make<BoundMethod>();
  bound->name = name;
  bound->self = self;
  bound->method = method;
  return static_cast<CallableObject*>(bound);
}

}  // namespace batchwright::jinja

// What values hold: iterating, attributes, items, slices.

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "text/jinja/builtins.h"
#include "text/jinja/operations.h"
#include "text/jinja/strings.h"

namespace batchwright::jinja {

bool is_iterable(const Value& value) {
  switch (value.kind()) {
    case Kind::kUndefined:
    case Kind::kString:
    case Kind::kList:
    case Kind::kTuple:
    case Kind::kDict:
    case Kind::kIterator:
    case Kind::kView:
      return true;
    default:
      return false;
  }
}

std::vector<Value> iterate(Runtime& runtime, const Value& value) {
  std::vector<Value> items;
  switch (value.kind()) {
    case Kind::kUndefined:
      break;
    case Kind::kString:
      runtime.check_list_size(value.text().length_characters());
      for (CharacterCursor c(value.text()); !c.at_end(); c.next()) {
        runtime.step();
        items.push_back(runtime.make_text(c.bytes(), c.from_template()));
      }
      break;
    case Kind::kList:
    case Kind::kTuple:
      items = value.list().items;
      break;
    case Kind::kDict:
      for (const auto& entry : value.dict().entries) items.push_back(entry.first);
      break;
    case Kind::kIterator: {
      IteratorObject& iterator = value.iterator();
      items.assign(iterator.items.begin() + static_cast<std::ptrdiff_t>(iterator.next), iterator.items.end());
      iterator.next = iterator.items.size();
      if (!iterator.error.ok()) throw TemplateError{iterator.error};
      break;
    }
    case Kind::kView:
      items = value.view().items;
      break;
    default:
      runtime.fail(fmt::format("a {} cannot be iterated", type_name(value)));
  }
  runtime.step(static_cast<int64_t>(items.size() / 8));
  return items;
}

int64_t length_of(const Value& value) {
  switch (value.kind()) {
    case Kind::kUndefined:
      return 0;
    case Kind::kString:
      return static_cast<int64_t>(value.text().length_characters());
    case Kind::kList:
    case Kind::kTuple:
      return static_cast<int64_t>(value.list().items.size());
    case Kind::kDict:
      return static_cast<int64_t>(value.dict().entries.size());
    case Kind::kView:
      return static_cast<int64_t>(value.view().items.size());
    default:
      return -1;
  }
}

Value get_attribute(Runtime& runtime, const Value& object, const std::string& name) {
  if (object.is_undefined()) fail_undefined(runtime, object);
  if (object.is(Kind::kNamespace)) {
    const auto found = object.name_space().attributes.find(name);
    return found == object.name_space().attributes.end() ? Value::undefined(&name) : found->second;
  }
  if (const Value method = bound_method(runtime, object, name); !method.is_missing()) return method;
  if (object.is(Kind::kDict)) {
    runtime.scan(name.size());
    if (const Value* const item = dict_find(object.dict(), name)) return *item;
  }
  return Value::undefined(&name);
}

namespace {

// The place of an index in a sequence of that size, or -1.
int64_t place_of(const Value& index, size_t size) {
  if (!index.is_integral()) return -1;
  const auto count = static_cast<int64_t>(size);
  const int64_t i = index.integer() < 0 ? index.integer() + count : index.integer();
  return i >= 0 && i < count ? i : -1;
}

Value character_at(Runtime& runtime, const Text& text, size_t character) {
  if (!text.is_ascii()) runtime.scan(text.size());
  const size_t begin = text.byte_offset(character);
  size_t end = begin + 1;
  while (end < text.size() && (static_cast<unsigned char>(text.bytes()[end]) & 0xC0) == 0x80) ++end;
  return slice_text(runtime, text, begin, end);
}

}  // namespace

Value get_item(Runtime& runtime, const Value& object, const Value& index) {
  switch (object.kind()) {
    case Kind::kUndefined:
      fail_undefined(runtime, object);
    case Kind::kDict: {
      // An unhashable key is a TypeError in Python, which Jinja2 turns into an undefined value.
      if (index.is(Kind::kList) || index.is(Kind::kDict) || index.is(Kind::kView)) return Value::undefined();
      if (const Value* const item = dict_find(runtime, object.dict(), index)) return *item;
      break;
    }
    case Kind::kList:
    case Kind::kTuple:
      if (const int64_t at = place_of(index, object.list().items.size()); at >= 0) {
        return object.list().items[static_cast<size_t>(at)];
      }
      break;
    case Kind::kView:
      if (object.view().type != ViewObject::Type::kRange) break;
      if (const int64_t at = place_of(index, object.view().items.size()); at >= 0) {
        return object.view().items[static_cast<size_t>(at)];
      }
      break;
    case Kind::kString:
      if (const int64_t at = place_of(index, object.text().length_characters()); at >= 0) {
        return character_at(runtime, object.text(), static_cast<size_t>(at));
      }
      break;
    case Kind::kNamespace:
      if (index.is_string()) {
        const auto found = object.name_space().attributes.find(index.bytes());
        if (found != object.name_space().attributes.end()) return found->second;
      }
      return Value::undefined();
    default:
      break;
  }
  if (index.is_string()) {
    if (const Value method = bound_method(runtime, object, index.bytes()); !method.is_missing()) return method;
  }
  return Value::undefined();
}

namespace {

struct SliceRange {
  int64_t begin, count, step;
};

// PySlice_AdjustIndices.
SliceRange slice_range(Runtime& runtime, const Value& begin, const Value& end, const Value& step, int64_t size) {
  const auto number = [&](const Value& v, int64_t otherwise) {
    if (v.is_none() || v.is_missing()) return otherwise;
    if (!v.is_integral()) runtime.fail("a slice needs integers");
    return v.integer();
  };
  const int64_t by = number(step, 1);
  if (by == 0) runtime.fail("a slice with a step of zero");
  const auto clip = [&](int64_t i) {
    if (i < 0) return std::max(i + size, by < 0 ? int64_t{-1} : int64_t{0});
    return std::min(i, by < 0 ? size - 1 : size);
  };
  const int64_t from = clip(number(begin, by < 0 ? INT64_MAX : 0));
  const bool no_end = end.is_none() || end.is_missing();
  const int64_t to = no_end ? (by < 0 ? -1 : size) : clip(number(end, 0));
  int64_t count = 0;
  if (by > 0 && from < to) count = (to - from - 1) / by + 1;
  if (by < 0 && to < from) count = by == INT64_MIN ? 1 : (from - to - 1) / -by + 1;
  return {from, count, by};
}

std::vector<Value> sliced(const std::vector<Value>& items, const SliceRange& range) {
  std::vector<Value> out;
  out.reserve(static_cast<size_t>(range.count));
  for (int64_t i = 0; i < range.count; ++i) out.push_back(items[static_cast<size_t>(range.begin + i * range.step)]);
  return out;
}

Value slice_string(Runtime& runtime, const Text& text, const SliceRange& range) {
  if (range.count == 0) return slice_text(runtime, text, 0, 0);
  runtime.scan(text.size());
  if (range.step == 1) {
    return slice_text(runtime, text, text.byte_offset(static_cast<size_t>(range.begin)),
                      text.byte_offset(static_cast<size_t>(range.begin + range.count)));
  }
  std::vector<std::pair<size_t, size_t>> characters;
  runtime.charge(text.length_characters() * sizeof(characters[0]));
  for (CharacterCursor c(text); !c.at_end(); c.next()) {
    characters.emplace_back(c.offset(), c.offset() + c.bytes().size());
  }
  runtime.step(static_cast<int64_t>(characters.size() / 8));
  TextBuilder builder;
  for (int64_t i = 0; i < range.count; ++i) {
    const auto [begin, end] = characters[static_cast<size_t>(range.begin + i * range.step)];
    builder.append(text, begin, end);
  }
  return runtime.make_text(std::move(builder));
}

}  // namespace

Value get_slice(Runtime& runtime, const Value& object, const Value& begin, const Value& end, const Value& step) {
  if (object.is_undefined()) fail_undefined(runtime, object);
  const bool is_range = object.is(Kind::kView) && object.view().type == ViewObject::Type::kRange;
  if (!object.is_string() && !object.is_sequence() && !is_range) {
    runtime.fail(fmt::format("a {} cannot be sliced", type_name(object)));
  }
  const SliceRange range = slice_range(runtime, begin, end, step, length_of(object));
  if (object.is_string()) return slice_string(runtime, object.text(), range);
  std::vector<Value> items = sliced(is_range ? object.view().items : object.list().items, range);
  runtime.step(range.count / 8);
  if (is_range) return runtime.make_view(ViewObject::Type::kRange, std::move(items), "range(...)");
  return object.is(Kind::kTuple) ? runtime.make_tuple(std::move(items)) : runtime.make_list(std::move(items));
}

}  // namespace batchwright::jinja

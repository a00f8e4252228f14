#include "text/jinja/runtime.h"

#include <fmt/format.h>

#include <algorithm>

namespace batchwright::jinja {
namespace {

// Levels of evaluation inside each other: deeper than any template in use, shallow enough for a small stack.
constexpr int kMaxEvaluationDepth = 500;

constexpr size_t kObjectOverhead = 64;

}  // namespace

void Runtime::fail(const std::string& message) const {
  throw TemplateError{invalid_argument(fmt::format("chat template, line {}: {}", line_, message))};
}

void Runtime::refuse(const std::string& message) const {
  throw TemplateError{resource_exhausted(fmt::format("chat template, line {}: {}", line_, message))};
}

void Runtime::refuse_steps() const {
  refuse(fmt::format("more steps than the limit of {} (max_steps)", limits_.max_steps));
}

void Runtime::charge(size_t bytes) {
  // Compared before adding, so that no size overflows.
  if (bytes > limits_.max_work_bytes - work_bytes_) {
    refuse(fmt::format("its values take more bytes than the limit of {} (max_work_bytes)", limits_.max_work_bytes));
  }
  work_bytes_ += bytes;
}

void Runtime::check_list_size(size_t items) const {
  if (items > limits_.max_list_items) {
    refuse(fmt::format("a list of {} items, above the limit of {} (max_list_items)", items, limits_.max_list_items));
  }
}

void Runtime::enter() {
  if (depth_ >= kMaxEvaluationDepth) {
    refuse(fmt::format("evaluation or data nested deeper than the limit of {} levels", kMaxEvaluationDepth));
  }
  ++depth_;
}

Value Runtime::make_text(TextBuilder&& builder) {
  charge(builder.size() + kObjectOverhead + builder.runs().size() * sizeof(OriginRun));
  const Text* const text = arena_.make<Text>(std::move(builder));
  return text;
}

Value Runtime::make_text(std::string_view bytes, bool from_template) {
  charge(bytes.size());
  TextBuilder builder;
  builder.append(bytes, from_template);
  return make_text(std::move(builder));
}

Value Runtime::make_list(std::vector<Value> items) {
  check_list_size(items.size());
  charge(items.size() * sizeof(Value) + kObjectOverhead);
  auto* list = arena_.make<ListObject>();
  list->items = std::move(items);
  return Value::list(list);
}

Value Runtime::make_tuple(std::vector<Value> items) { return Value::tuple(&make_list(std::move(items)).list()); }

Value Runtime::make_iterator(std::vector<Value> items) {
  check_list_size(items.size());
  charge(items.size() * sizeof(Value) + kObjectOverhead);
  auto* iterator = arena_.make<IteratorObject>();
  iterator->items = std::move(items);
  return iterator;
}

Value Runtime::make_view(ViewObject::Type type, std::vector<Value> items, std::string shown) {
  check_list_size(items.size());
  charge(items.size() * sizeof(Value) + kObjectOverhead);
  auto* view = arena_.make<ViewObject>();
  view->type = type;
  view->items = std::move(items);
  view->shown = std::move(shown);
  return view;
}

DictObject* Runtime::make_dict() {
  charge(kObjectOverhead);
  return arena_.make<DictObject>();
}

std::vector<Value> bind(const Runtime& runtime, const Arguments& arguments, std::string_view function,
                        std::initializer_list<std::string_view> names, size_t required) {
  std::vector<Value> bound(names.size(), Value::missing());
  if (arguments.positional.size() > names.size()) {
    runtime.fail(fmt::format("{} takes at most {} arguments, {} were given", function, names.size(),
                             arguments.positional.size()));
  }
  std::copy(arguments.positional.begin(), arguments.positional.end(), bound.begin());
  for (const auto& [name, value] : arguments.named) {
    size_t place = 0;
    while (place < names.size() && names.begin()[place] != name) ++place;
    if (place == names.size()) runtime.fail(fmt::format("{} has no argument '{}'", function, name));
    if (!bound[place].is_missing()) runtime.fail(fmt::format("{} got the argument '{}' twice", function, name));
    bound[place] = value;
  }
  for (size_t i = 0; i < required; ++i) {
    if (bound[i].is_missing()) runtime.fail(fmt::format("{} needs the argument '{}'", function, names.begin()[i]));
  }
  return bound;
}

}  // namespace batchwright::jinja

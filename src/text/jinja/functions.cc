// Functions that every template can call.
#include <fmt/format.h>

#include <charconv>
#include <ctime>

#include "text/jinja/builtins.h"
#include "text/jinja/operations.h"

namespace batchwright::jinja {
namespace {

struct Function : CallableObject {
  Value (*body)(Runtime& runtime, const Arguments& arguments) = nullptr;
  Value call(Runtime& runtime, const Arguments& arguments) override { return body(runtime, arguments); }
};

// Jinja2's sandbox has the same limit.
constexpr uint64_t kMaxRange = 100000;

Value range(Runtime& rt, const Arguments& arguments) {
  if (!arguments.named.empty()) rt.fail("range takes no named arguments");
  const auto args = bind(rt, arguments, "range", {"start", "stop", "step"}, 1);
  const bool only_stop = args[1].is_missing();
  const int64_t start = only_stop ? 0 : require_int(rt, args[0], "start");
  const int64_t stop = require_int(rt, only_stop ? args[0] : args[1], "stop");
  const int64_t by = args[2].is_missing() ? 1 : require_int(rt, args[2], "step");
  if (by == 0) rt.fail("range: the step must not be zero");
  uint64_t count = 0;
  if (by > 0 && start < stop)
    count = (static_cast<uint64_t>(stop) - static_cast<uint64_t>(start) - 1) / static_cast<uint64_t>(by) + 1;
  if (by < 0 && stop < start) {
    count = (static_cast<uint64_t>(start) - static_cast<uint64_t>(stop) - 1) / (~static_cast<uint64_t>(by) + 1) + 1;
  }
  if (count > kMaxRange) rt.refuse(fmt::format("range of {} numbers, above the limit of {}", count, kMaxRange));
  rt.check_list_size(count);
  rt.step(static_cast<int64_t>(count / 8));
  std::vector<Value> numbers;
  numbers.reserve(count);
  for (uint64_t i = 0; i < count; ++i) {
    numbers.emplace_back(static_cast<int64_t>(static_cast<uint64_t>(start) + i * static_cast<uint64_t>(by)));
  }
  std::string shown =
      by == 1 ? fmt::format("range({}, {})", start, stop) : fmt::format("range({}, {}, {})", start, stop, by);
  return rt.make_view(ViewObject::Type::kRange, std::move(numbers), std::move(shown));
}

DictObject* dict_from(Runtime& rt, const Arguments& arguments, std::string_view function) {
  if (arguments.positional.size() > 1) rt.fail(fmt::format("{} takes at most one mapping", function));
  DictObject* const dict = rt.make_dict();
  if (!arguments.positional.empty()) {
    const Value& source = arguments.positional[0];
    if (source.is(Kind::kDict)) {
      for (const auto& [key, value] : source.dict().entries) dict_set(rt, *dict, key, value);
    } else {
      for (const Value& item : iterate(rt, source)) {
        const auto pair = iterate(rt, item);
        if (pair.size() != 2) rt.fail(fmt::format("{} takes pairs", function));
        dict_set(rt, *dict, pair[0], pair[1]);
      }
    }
  }
  for (const auto& [name, value] : arguments.named) dict_set(rt, *dict, rt.make_text(name, true), value);
  return dict;
}

Value dict(Runtime& rt, const Arguments& arguments) { return dict_from(rt, arguments, "dict"); }

Value make_namespace(Runtime& rt, const Arguments& arguments) {
  DictObject* const dict = dict_from(rt, arguments, "namespace");
  auto* const object = rt.arena().make<NamespaceObject>();
  for (const auto& [key, value] : dict->entries) {
    object->attributes.insert_or_assign(std::string(require_string(rt, key, "an attribute's name").bytes()), value);
  }
  return object;
}

Value raise_exception(Runtime& rt, const Arguments& arguments) {
  const auto args = bind(rt, arguments, "raise_exception", {"message"}, 1);
  constexpr size_t kShown = 1000;
  const Value message = to_text(rt, args[0]);
  const size_t shown = std::min(kShown, message.text().length_characters());
  rt.fail(fmt::format("the template refuses: {}", message.bytes().substr(0, message.text().byte_offset(shown))));
}

// "2026-01-31" or "2026-01-31T12:30:00".
std::tm parse_date(Runtime& rt, std::string_view text) {
  const auto field = [&](size_t at, size_t count, int low, int high) {
    int value = -1;
    const std::string_view digits = text.substr(std::min(at, text.size()), count);
    const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (digits.size() != count || parsed.ptr != digits.data() + count || value < low || value > high) {
      rt.fail("the date for strftime_now must look like 2026-01-31 or 2026-01-31T12:30:00");
    }
    return value;
  };
  std::tm time{};
  time.tm_year = field(0, 4, 1, 9999) - 1900;
  time.tm_mon = field(5, 2, 1, 12) - 1;
  time.tm_mday = field(8, 2, 1, 31);
  const bool has_time = text.size() > 10;
  if (has_time) {
    time.tm_hour = field(11, 2, 0, 23);
    time.tm_min = field(14, 2, 0, 59);
    time.tm_sec = field(17, 2, 0, 59);
  }
  const int day = time.tm_mday;
  if (text.size() != (has_time ? 19U : 10U) || text[4] != '-' || text[7] != '-' ||
      (has_time && (text[13] != ':' || text[16] != ':')) || timegm(&time) == -1 || time.tm_mday != day) {
    rt.fail("the date for strftime_now must be a day of the calendar, such as 2026-01-31");
  }
  return time;
}

Value strftime_now(Runtime& rt, const Arguments& arguments) {
  const auto args = bind(rt, arguments, "strftime_now", {"format"}, 1);
  const Text& format = require_string(rt, args[0], "format");
  if (!rt.inputs().date) {
    rt.fail("the template asks for today's date, and none was given (outputs must not depend on the day)");
  }
  const std::tm time = parse_date(rt, *rt.inputs().date);
  constexpr size_t kMaxFormat = 200;
  if (format.size() > kMaxFormat)
    rt.refuse(fmt::format("a date's format longer than the limit of {} bytes", kMaxFormat));
  // Widths ("%9999d") would make it as long as they like; the byte in front tells an empty result from a full buffer.
  char buffer[2048];
  const size_t size = std::strftime(buffer, sizeof buffer, ("x" + std::string(format.bytes())).c_str(), &time);
  if (size == 0) rt.refuse(fmt::format("a date longer than the limit of {} bytes", sizeof buffer));
  return rt.make_text(std::string_view(buffer + 1, size - 1), false);
}

}  // namespace

Value global_function(Runtime& runtime, std::string_view name) {
  static constexpr std::pair<std::string_view, Value (*)(Runtime&, const Arguments&)> kFunctions[] = {
      {"range", range},
      {"dict", dict},
      {"namespace", make_namespace},
      {"raise_exception", raise_exception},
      {"strftime_now", strftime_now}};
  for (const auto& [known, body] : kFunctions) {
    if (known != name) continue;
    auto* const function = runtime.arena().make<Function>();
    function->name = name;
    function->body = body;
    return static_cast<CallableObject*>(function);
  }
  return Value::missing();
}

}  // namespace batchwright::jinja

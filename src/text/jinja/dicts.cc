// Dicts, whose keys are compared as Python compares them.

#include <fmt/format.h>

#include <cmath>

#include "base/json_writer.h"
#include "text/jinja/operations.h"

namespace batchwright::jinja {
namespace {

std::string canonical_key(Runtime& runtime, const Value& key) {
  const Depth depth(runtime);
  runtime.step();
  switch (key.kind()) {
    case Kind::kUndefined:
      return "u";
    case Kind::kNone:
      return "n";
    case Kind::kBool:
    case Kind::kInt:
      return "i" + std::to_string(key.integer());
    case Kind::kBigUint:
      return "i" + std::to_string(key.big());
    case Kind::kFloat: {
      const double d = key.number();
      if (std::floor(d) == d && std::fabs(d) < 9.2e18) return "i" + std::to_string(static_cast<int64_t>(d));
      return "f" + format_shortest(d);
    }
    case Kind::kString:
      runtime.scan(key.text().size());
      return "s" + std::string(key.bytes());
    case Kind::kTuple: {
      std::string out = "t";
      for (const Value& item : key.list().items) {
        const std::string part = canonical_key(runtime, item);
        runtime.scan(part.size() + 512);
        out += std::to_string(part.size()) + ":" + part;
      }
      return out;
    }
    case Kind::kNamespace:
    case Kind::kCallable:
    case Kind::kLoop:
    case Kind::kIterator:
      return fmt::format("p{}", key.address());
    default:
      runtime.fail(fmt::format("a {} cannot be a key", type_name(key)));
  }
}

}  // namespace

Value* dict_find(Runtime& runtime, DictObject& dict, const Value& key) {
  const auto found = dict.index.find(canonical_key(runtime, key));
  return found == dict.index.end() ? nullptr : &dict.entries[found->second].second;
}

Value* dict_find(DictObject& dict, std::string_view key) {
  const auto found = dict.index.find("s" + std::string(key));
  return found == dict.index.end() ? nullptr : &dict.entries[found->second].second;
}

void dict_set(Runtime& runtime, DictObject& dict, const Value& key, const Value& value) {
  const auto [place, added] = dict.index.try_emplace(canonical_key(runtime, key), dict.entries.size());
  if (!added) {
    dict.entries[place->second].second = value;
    return;
  }
  runtime.check_list_size(dict.entries.size() + 1);
  constexpr size_t kEntryBytes = 128;
  runtime.charge(kEntryBytes + place->first.size());
  dict.entries.emplace_back(key, value);
}

void dict_erase(Runtime& runtime, DictObject& dict, const Value& key) {
  const auto found = dict.index.find(canonical_key(runtime, key));
  if (found == dict.index.end()) return;
  const size_t at = found->second;
  dict.index.erase(found);
  dict.entries.erase(dict.entries.begin() + static_cast<std::ptrdiff_t>(at));
  runtime.step(static_cast<int64_t>(dict.entries.size()));
  for (auto& [canonical, place] : dict.index) place -= place > at ? 1 : 0;
}

}  // namespace batchwright::jinja

#include "formats/gguf.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <limits>
#include <new>
#include <type_traits>

#include "base/hash.h"
#include "base/status_macros.h"
#include "formats/gguf_type.h"
#include "formats/printable.h"

namespace batchwright {

using formats::is_integer;
using formats::is_real;
using formats::load;
using formats::visit_number;

namespace {

constexpr uint64_t kMaxInt64 = std::numeric_limits<int64_t>::max();

std::string_view text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// The first string in `rest`, which is moved behind it. False where there is none: the file was changed after open()
// had looked at it.
bool next_string(std::span<const std::byte>& rest, std::string_view& text) {
  if (rest.size() < 8) return false;
  const uint64_t length = load<uint64_t>(rest.data());
  rest = rest.subspan(8);
  if (length > rest.size()) return false;
  text = text_of(rest.first(length));
  rest = rest.subspan(length);
  return true;
}

// A number as stored, by what it fits into.
struct Integer {
  bool is_negative;
  uint64_t bits;  // two's complement
};

Integer load_integer(GgufType type, const std::byte* data) {
  return visit_number(type, data, [](auto value) -> Integer {
    if constexpr (std::is_floating_point_v<decltype(value)>) {
      return {false, 0};
    } else if constexpr (std::is_signed_v<decltype(value)>) {
      return {value < 0, static_cast<uint64_t>(int64_t{value})};
    } else {
      return {false, uint64_t{value}};
    }
  });
}

std::string number_text(GgufType type, const std::byte* data) {
  return visit_number(type, data, [](auto value) { return fmt::format("{}", value); });
}

template <class Item, class NameOf>
const Item* find_by_name(const std::vector<Item>& items, const std::vector<uint32_t>& order, std::string_view name,
                         NameOf name_of) {
  const auto at = std::lower_bound(order.begin(), order.end(), name,
                                   [&](uint32_t i, std::string_view wanted) { return name_of(items[i]) < wanted; });
  return at != order.end() && name_of(items[*at]) == name ? &items[*at] : nullptr;
}

}  // namespace

std::string_view gguf_type_name(GgufType type) {
  static constexpr std::string_view kNames[] = {"u8",   "i8",     "u16",   "i16", "u32", "i32", "f32",
                                                "bool", "string", "array", "u64", "i64", "f64"};
  const auto id = static_cast<uint32_t>(type);
  return id < std::size(kNames) ? kNames[id] : "unknown";
}

template <class T>
T GgufArray<T>::operator[](size_t i) const {
  const std::byte* at = data_ + i * formats::gguf_fixed_bytes(stored_);
  return visit_number(stored_, at, [](auto value) { return static_cast<T>(value); });
}

template class GgufArray<int64_t>;
template class GgufArray<double>;
template class GgufArray<bool>;

std::string GgufTensor::shape() const { return fmt::format("[{}]", fmt::join(ne.begin(), ne.begin() + n_dims, ", ")); }

const GgufKeyValue* GgufFile::find(std::string_view key) const {
  return find_by_name(metadata_, metadata_by_key_, key,
                      [](const GgufKeyValue& e) -> std::string_view { return e.key; });
}

const GgufTensor* GgufFile::find_tensor(std::string_view name) const {
  return find_by_name(tensors_, tensors_by_name_, name, [](const GgufTensor& t) -> std::string_view { return t.name; });
}

Result<const GgufTensor*> GgufFile::tensor(std::string_view name) const {
  const GgufTensor* found = find_tensor(name);
  if (found == nullptr) return invalid_data(fmt::format("{}: tensor '{}' is missing", path(), printable(name)));
  return found;
}

std::string GgufFile::type_description(const GgufKeyValue& entry) {
  if (entry.type != GgufType::kArray) return std::string(gguf_type_name(entry.type));
  return fmt::format("array of {}", gguf_type_name(entry.element_type));
}

Status GgufFile::wrong_type(const GgufKeyValue& entry, std::string_view needed) const {
  return invalid_data(fmt::format("{}: key '{}' has the type {}; {} is needed", path(), printable(entry.key),
                                  type_description(entry), needed));
}

Result<const GgufKeyValue*> GgufFile::find_of(std::string_view key, std::string_view needed) const {
  const GgufKeyValue* entry = find(key);
  if (entry == nullptr) {
    return invalid_data(fmt::format("{}: key '{}' ({}) is missing", path(), printable(key), needed));
  }
  return entry;
}

Result<const GgufKeyValue*> GgufFile::find_array_of(std::string_view key, std::string_view needed) const {
  BATCHWRIGHT_ASSIGN_OR_RETURN(const GgufKeyValue* entry, find_of(key, needed));
  if (entry->type != GgufType::kArray) return wrong_type(*entry, needed);
  return entry;
}

Result<uint64_t> GgufFile::unsigned_integer_in(std::string_view key, uint64_t least, uint64_t most) const {
  BATCHWRIGHT_ASSIGN_OR_RETURN(const GgufKeyValue* entry, find_of(key, "an integer"));
  if (!is_integer(entry->type)) return wrong_type(*entry, "an integer");
  const Integer value = load_integer(entry->type, entry->value.data());
  if (value.is_negative || value.bits < least || value.bits > most) {
    return invalid_data(fmt::format("{}: key '{}' is {}; {} to {} are allowed", path(), printable(key),
                                    number_text(entry->type, entry->value.data()), least, most));
  }
  return value.bits;
}

Result<uint64_t> GgufFile::unsigned_integer(std::string_view key) const {
  return unsigned_integer_in(key, 0, std::numeric_limits<uint64_t>::max());
}

Result<uint64_t> GgufFile::unsigned_integer_or(std::string_view key, uint64_t default_value) const {
  return has(key) ? unsigned_integer(key) : default_value;
}

Result<int64_t> GgufFile::integer(std::string_view key) const {
  BATCHWRIGHT_ASSIGN_OR_RETURN(const GgufKeyValue* entry, find_of(key, "an integer"));
  if (!is_integer(entry->type)) return wrong_type(*entry, "an integer");
  const Integer value = load_integer(entry->type, entry->value.data());
  if (!value.is_negative && value.bits > kMaxInt64) {
    return invalid_data(
        fmt::format("{}: key '{}' is {}; -2^63 to 2^63-1 are allowed", path(), printable(key), value.bits));
  }
  return static_cast<int64_t>(value.bits);
}

Result<int64_t> GgufFile::integer_or(std::string_view key, int64_t default_value) const {
  return has(key) ? integer(key) : default_value;
}

Result<double> GgufFile::real(std::string_view key) const {
  BATCHWRIGHT_ASSIGN_OR_RETURN(const GgufKeyValue* entry, find_of(key, "f32 or f64"));
  if (!is_real(entry->type)) return wrong_type(*entry, "f32 or f64");
  return visit_number(entry->type, entry->value.data(), [](auto value) { return static_cast<double>(value); });
}

Result<double> GgufFile::real_or(std::string_view key, double default_value) const {
  return has(key) ? real(key) : default_value;
}

Result<bool> GgufFile::boolean(std::string_view key) const {
  BATCHWRIGHT_ASSIGN_OR_RETURN(const GgufKeyValue* entry, find_of(key, "bool"));
  if (entry->type != GgufType::kBool) return wrong_type(*entry, "bool");
  return load<uint8_t>(entry->value.data()) != 0;
}

Result<bool> GgufFile::boolean_or(std::string_view key, bool default_value) const {
  return has(key) ? boolean(key) : default_value;
}

Result<std::string_view> GgufFile::string(std::string_view key) const {
  BATCHWRIGHT_ASSIGN_OR_RETURN(const GgufKeyValue* entry, find_of(key, "string"));
  if (entry->type != GgufType::kString) return wrong_type(*entry, "string");
  return text_of(entry->value);
}

Result<std::string_view> GgufFile::string_or(std::string_view key, std::string_view default_value) const {
  return has(key) ? string(key) : default_value;
}

Result<std::vector<std::string_view>> GgufFile::strings(std::string_view key) const {
  BATCHWRIGHT_ASSIGN_OR_RETURN(const GgufKeyValue* entry, find_array_of(key, "array of string"));
  if (entry->element_type != GgufType::kString) return wrong_type(*entry, "array of string");
  std::vector<std::string_view> texts;
  try {
    texts.resize(entry->count);
  } catch (const std::bad_alloc&) {
    return resource_exhausted(fmt::format("{}: key '{}': out of memory for {} strings", path(), key, entry->count));
  }
  std::span<const std::byte> rest = entry->value;
  for (std::string_view& text : texts) {
    if (next_string(rest, text)) continue;
    BATCHWRIGHT_RETURN_IF_ERROR(check());
    return io_error(fmt::format("{}: was changed while being read", path()));
  }
  return texts;
}

Result<GgufArray<int64_t>> GgufFile::integers(std::string_view key) const {
  BATCHWRIGHT_ASSIGN_OR_RETURN(const GgufKeyValue* entry, find_array_of(key, "array of integers"));
  if (!is_integer(entry->element_type)) return wrong_type(*entry, "array of integers");
  if (entry->element_type == GgufType::kUint64) {
    for (size_t i = 0; i < entry->count; ++i) {
      const uint64_t value = load<uint64_t>(entry->value.data() + 8 * i);
      if (value <= kMaxInt64) continue;
      return invalid_data(
          fmt::format("{}: key '{}': element {} is {}; at most 2^63-1 is allowed", path(), printable(key), i, value));
    }
  }
  return GgufArray<int64_t>(entry->element_type, entry->count, entry->value.data());
}

Result<GgufArray<double>> GgufFile::reals(std::string_view key) const {
  BATCHWRIGHT_ASSIGN_OR_RETURN(const GgufKeyValue* entry, find_array_of(key, "array of f32 or f64"));
  if (!is_real(entry->element_type)) return wrong_type(*entry, "array of f32 or f64");
  return GgufArray<double>(entry->element_type, entry->count, entry->value.data());
}

Result<GgufArray<bool>> GgufFile::booleans(std::string_view key) const {
  BATCHWRIGHT_ASSIGN_OR_RETURN(const GgufKeyValue* entry, find_array_of(key, "array of bool"));
  if (entry->element_type != GgufType::kBool) return wrong_type(*entry, "array of bool");
  return GgufArray<bool>(entry->element_type, entry->count, entry->value.data());
}

std::string GgufFile::hash() const {
  constexpr size_t kPiece = size_t{16} << 20;
  const std::span<const std::byte> bytes = file_.bytes();
  Hasher128 hasher;
  for (size_t at = 0; at < bytes.size(); at += kPiece) {
    const auto piece = bytes.subspan(at, std::min(kPiece, bytes.size() - at));
    hasher.update({reinterpret_cast<const char*>(piece.data()), piece.size()});
    file_.release(at, piece.size());
  }
  return hasher.digest().hex();
}

std::string GgufFile::display_value(const GgufKeyValue& entry, size_t max_chars) const {
  if (entry.type == GgufType::kString) return fmt::format("\"{}\"", printable(text_of(entry.value), max_chars));
  if (entry.type != GgufType::kArray) return number_text(entry.type, entry.value.data());
  std::string out = fmt::format("[{} x {}]", entry.count, gguf_type_name(entry.element_type));
  std::span<const std::byte> rest = entry.value;
  for (uint64_t i = 0; i < entry.count; ++i) {
    std::string element;
    if (entry.element_type == GgufType::kString) {
      std::string_view text;
      if (!next_string(rest, text)) break;
      element = fmt::format("\"{}\"", printable(text, max_chars));
    } else {
      element = number_text(entry.element_type, entry.value.data() + i * formats::gguf_fixed_bytes(entry.element_type));
    }
    if (out.size() + element.size() + 2 > max_chars) return out + (i == 0 ? " ..." : ", ...");
    out += i == 0 ? " " : ", ";
    out += element;
  }
  return out;
}

}  // namespace batchwright

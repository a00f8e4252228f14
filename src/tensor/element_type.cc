#include "tensor/element_type.h"

#include <fmt/format.h>

#include <cstddef>
#include <limits>

#include "base/check.h"

namespace batchwright {
namespace {

// Indexed by GGUF's id; ids that were withdrawn or never given out are empty.
constexpr std::string_view kGgmlNames[] = {
    "F32",   "F16",    "Q4_0",  "Q4_1", "",     "",        "Q5_0",   "Q5_1",    "Q8_0",  "Q8_1",   "Q2_K",
    "Q3_K",  "Q4_K",   "Q5_K",  "Q6_K", "Q8_K", "IQ2_XXS", "IQ2_XS", "IQ3_XXS", "IQ1_S", "IQ4_NL", "IQ3_S",
    "IQ2_S", "IQ4_XS", "I8",    "I16",  "I32",  "I64",     "F64",    "IQ1_M",   "BF16",  "",       "",
    "",      "TQ1_0",  "TQ2_0", "",     "",     "",        "MXFP4",  "NVFP4",
};

char to_upper(char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; }

bool equal_in_any_case(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    if (to_upper(a[i]) != to_upper(b[i])) return false;
  }
  return true;
}

}  // namespace

const ElementTypeInfo& element_type_info(ElementType type) {
  const ElementTypeInfo* found = nullptr;
  for (const ElementTypeInfo& info : kElementTypes) {
    if (info.type == type) found = &info;
  }
  BATCHWRIGHT_CHECK(found != nullptr);
  return *found;
}

std::optional<ElementType> element_type_from_ggml(uint32_t ggml_id) {
  for (const ElementTypeInfo& info : kElementTypes) {
    if (static_cast<uint32_t>(info.type) == ggml_id) return info.type;
  }
  return std::nullopt;
}

std::optional<ElementType> element_type_from_name(std::string_view name) {
  for (const ElementTypeInfo& info : kElementTypes) {
    if (equal_in_any_case(info.name, name)) return info.type;
  }
  return std::nullopt;
}

std::string_view ggml_type_name(uint32_t ggml_id) {
  return ggml_id < std::size(kGgmlNames) ? kGgmlNames[ggml_id] : std::string_view();
}

std::string supported_element_types() {
  std::string names;
  for (const ElementTypeInfo& info : kElementTypes) {
    if (!names.empty()) names += ", ";
    names += info.name;
  }
  return names;
}

Result<uint64_t> row_bytes(ElementType type, int64_t n) {
  const ElementTypeInfo& info = element_type_info(type);
  if (n < 0) return invalid_data(fmt::format("a row of {} elements: at least 0 are needed", n));
  if (n % info.block_elements != 0) {
    return invalid_data(fmt::format("a row of {} elements: {} is stored in blocks of {}, which do not divide it", n,
                                    info.name, info.block_elements));
  }
  const int64_t blocks = n / info.block_elements;
  if (blocks > std::numeric_limits<int64_t>::max() / info.block_bytes) {
    return invalid_data(fmt::format("a row of {} elements of {}: its bytes exceed 2^63-1", n, info.name));
  }
  return static_cast<uint64_t>(blocks * info.block_bytes);
}

}  // namespace batchwright

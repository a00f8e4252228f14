// The element types a tensor may have, as GGUF names and numbers them.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "batchwright/status.h"

namespace batchwright {

// The values are GGUF's own type ids. Elements of the quantised types are stored in blocks (block_formats.h).
enum class ElementType : uint32_t {
  kF32 = 0,
  kF16 = 1,
  kQ4_0 = 2,
  kQ4_1 = 3,
  kQ5_0 = 6,
  kQ5_1 = 7,
  kQ8_0 = 8,
  kQ4_K = 12,
  kQ5_K = 13,
  kQ6_K = 14,
  kBF16 = 30,
};

struct ElementTypeInfo {
  ElementType type;
  std::string_view name;
  int64_t block_elements;  // 1 where the type is not quantised
  int64_t block_bytes;
};

// Every type, from the widest to the narrowest. Tests and tables are driven from it.
inline constexpr std::array<ElementTypeInfo, 11> kElementTypes = {{
    {ElementType::kF32, "F32", 1, 4},
    {ElementType::kF16, "F16", 1, 2},
    {ElementType::kBF16, "BF16", 1, 2},
    {ElementType::kQ8_0, "Q8_0", 32, 34},
    {ElementType::kQ6_K, "Q6_K", 256, 210},
    {ElementType::kQ5_1, "Q5_1", 32, 24},
    {ElementType::kQ5_0, "Q5_0", 32, 22},
    {ElementType::kQ5_K, "Q5_K", 256, 176},
    {ElementType::kQ4_1, "Q4_1", 32, 20},
    {ElementType::kQ4_0, "Q4_0", 32, 18},
    {ElementType::kQ4_K, "Q4_K", 256, 144},
}};

// The facts about a type. Aborts on a value outside the enumeration.
const ElementTypeInfo& element_type_info(ElementType type);

inline std::string_view element_type_name(ElementType type) { return element_type_info(type).name; }
inline bool is_quantized(ElementType type) { return element_type_info(type).block_elements > 1; }

// The type with this GGUF id; nothing where this build does not handle it.
std::optional<ElementType> element_type_from_ggml(uint32_t ggml_id);

// The type of this name, in GGUF's spelling and in any case ("q4_K", "F16").
std::optional<ElementType> element_type_from_name(std::string_view name);

// What GGUF calls this id, also of types not handled here ("IQ2_XS"); empty for an id nobody has given out.
std::string_view ggml_type_name(uint32_t ggml_id);

// "F32, F16, BF16, ...": for messages.
std::string supported_element_types();

// Bytes of a row of n elements. An error where n is negative, not a whole number of blocks, or the bytes exceed 2^63-1.
Result<uint64_t> row_bytes(ElementType type, int64_t n);

}  // namespace batchwright

#pragma once

#include <cstdint>

namespace batchwright {

inline constexpr char kVersion[] = "0.1.0";

// Names the arithmetic of docs/numerics.md. Raised with any change of a canonical order: outputs of two versions may
// differ in their bytes.
inline constexpr uint32_t kNumericsVersion = 1;

}  // namespace batchwright

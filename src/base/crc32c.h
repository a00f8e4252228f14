// CRC-32C (Castagnoli), as in RFC 3720 appendix B.4: reflected polynomial 0x82f63b78, all bits inverted before and
// after.
#pragma once

#include <cstdint>
#include <string_view>

namespace batchwright {

// The checksum of what `crc` is the checksum of (nothing: 0) followed by the data: crc32c(b, crc32c(a)) is crc32c(ab).
// Uses the SSE4.2 instruction where the machine has it. Thread-safe.
uint32_t crc32c(std::string_view data, uint32_t crc = 0);

namespace base {

// The same without the instruction: eight tables, eight bytes a step (slicing-by-8, Kounavis and Berry 2005).
uint32_t crc32c_portable(std::string_view data, uint32_t crc = 0);

}  // namespace base
}  // namespace batchwright

// For this room's tests only: how much memory was ever taken with operator new, by the whole program.
#pragma once

#include <cstdint>

namespace batchwright::formats {

uint64_t allocated_bytes();

}  // namespace batchwright::formats

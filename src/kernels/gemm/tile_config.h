// The 64 bytes that LDTILECFG reads: the shapes of the eight AMX tiles.
#pragma once

#include <cstdint>

namespace batchwright {

struct alignas(64) TileConfig {
  uint8_t palette = 1;
  uint8_t start_row = 0;
  uint8_t reserved[14] = {};
  uint16_t row_bytes[16] = {};  // at most 64; tiles 8 to 15 do not exist
  uint8_t rows[16] = {};        // at most 16
};
static_assert(sizeof(TileConfig) == 64);

}  // namespace batchwright

// One block of 32 k of a packed panel as plain numbers: for the scalar reference and for looking up rows.
#pragma once

#include <cstdint>

#include "kernels/gemm/layout.h"
#include "tensor/element_type.h"

namespace batchwright {

struct PanelBlock {
  int16_t w[kPanelWidth][32];  // without its offset where the format is symmetric, else unsigned
  float d[kPanelWidth];
  float m[kPanelWidth];           // m or dmin; 0 where the format has none
  int32_t scale[2][kPanelWidth];  // of the two halves of 16; 1 where the format has none
  int32_t min[kPanelWidth];       // of a K format, else 0
};

// Columns [column_begin, column_end) of block `block` of a panel of a quantised type.
void decode_panel_block(ElementType type, const uint8_t* panel, int64_t block, int column_begin, int column_end,
                        PanelBlock& out);

}  // namespace batchwright

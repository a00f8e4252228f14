#include "kernels/gemm/panel_block.h"

#include "base/check.h"
#include "tensor/half.h"

namespace batchwright {
namespace {

// The four low bits of value k of column c.
int low_bits(const uint8_t (*low)[kGroupBytes], int k, int c) {
  const int group = k / 4;
  const uint8_t byte = low[group % 4][4 * c + k % 4];
  return group < 4 ? byte & 15 : byte >> 4;
}

int fifth_bit(const uint8_t* high, int k, int c) { return ((high[4 * c + k % 4] >> (k / 4)) & 1) << 4; }

int upper_two_bits(const uint8_t (*high)[kGroupBytes], int k, int c) {
  const int group = k / 4;
  return ((high[group / 4][4 * c + k % 4] >> (2 * (group % 4))) & 3) << 4;
}

struct Columns {
  int begin;
  int end;
};

template <class Value>
void fill(Columns columns, PanelBlock& out, const uint16_t* d, const uint16_t* m, Value value) {
  for (int c = columns.begin; c < columns.end; ++c) {
    for (int k = 0; k < 32; ++k) out.w[c][k] = static_cast<int16_t>(value(k, c));
    out.d[c] = f16_to_f32(d[c]);
    out.m[c] = m != nullptr ? f16_to_f32(m[c]) : 0.0F;
    out.scale[0][c] = out.scale[1][c] = 1;
    out.min[c] = 0;
  }
}

template <class Panel>
const Panel& at(const uint8_t* panel, int64_t index) {
  return reinterpret_cast<const Panel*>(panel)[index];
}

}  // namespace

void decode_panel_block(ElementType type, const uint8_t* panel, int64_t block, int column_begin, int column_end,
                        PanelBlock& out) {
  const Columns columns{column_begin, column_end};
  const int64_t super = block / kSubBlocks;
  const int sub = static_cast<int>(block % kSubBlocks);
  switch (type) {
    case ElementType::kQ4_0: {
      const auto& p = at<PanelQ4_0>(panel, block);
      return fill(columns, out, p.d, nullptr, [&](int k, int c) { return low_bits(p.low, k, c) - 8; });
    }
    case ElementType::kQ4_1: {
      const auto& p = at<PanelQ4_1>(panel, block);
      return fill(columns, out, p.d, p.m, [&](int k, int c) { return low_bits(p.low, k, c); });
    }
    case ElementType::kQ5_0: {
      const auto& p = at<PanelQ5_0>(panel, block);
      return fill(columns, out, p.d, nullptr,
                  [&](int k, int c) { return (low_bits(p.low, k, c) | fifth_bit(p.high, k, c)) - 16; });
    }
    case ElementType::kQ5_1: {
      const auto& p = at<PanelQ5_1>(panel, block);
      return fill(columns, out, p.d, p.m,
                  [&](int k, int c) { return low_bits(p.low, k, c) | fifth_bit(p.high, k, c); });
    }
    case ElementType::kQ8_0: {
      const auto& p = at<PanelQ8_0>(panel, block);
      return fill(columns, out, p.d, nullptr, [&](int k, int c) { return p.q[k / 4][4 * c + k % 4]; });
    }
    case ElementType::kQ4_K: {
      const auto& p = at<PanelQ4_K>(panel, super);
      fill(columns, out, p.d, p.dmin, [&](int k, int c) { return low_bits(p.low[sub], k, c); });
      for (int c = columns.begin; c < columns.end; ++c) {
        out.scale[0][c] = out.scale[1][c] = p.scale[sub][c];
        out.min[c] = p.min[sub][c];
      }
      return;
    }
    case ElementType::kQ5_K: {
      const auto& p = at<PanelQ5_K>(panel, super);
      fill(columns, out, p.d, p.dmin,
           [&](int k, int c) { return low_bits(p.low[sub], k, c) | fifth_bit(p.high[sub], k, c); });
      for (int c = columns.begin; c < columns.end; ++c) {
        out.scale[0][c] = out.scale[1][c] = p.scale[sub][c];
        out.min[c] = p.min[sub][c];
      }
      return;
    }
    case ElementType::kQ6_K: {
      const auto& p = at<PanelQ6_K>(panel, super);
      fill(columns, out, p.d, nullptr,
           [&](int k, int c) { return (low_bits(p.low[sub], k, c) | upper_two_bits(p.high[sub], k, c)) - 32; });
      for (int c = columns.begin; c < columns.end; ++c) {
        out.scale[0][c] = p.scale[sub][0][c];
        out.scale[1][c] = p.scale[sub][1][c];
      }
      return;
    }
    case ElementType::kF32:
    case ElementType::kF16:
    case ElementType::kBF16:
      break;
  }
  BATCHWRIGHT_CHECK(false && "a quantised type");
}

}  // namespace batchwright

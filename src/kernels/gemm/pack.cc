// From the file's rows to panels, and back to single rows.
#include <algorithm>
#include <array>
#include <cstring>
#include <string>

#include "base/check.h"
#include "base/status_macros.h"
#include "kernels/gemm/gemm.h"
#include "kernels/gemm/layout.h"
#include "kernels/gemm/panel_block.h"
#include "tensor/block_formats.h"
#include "tensor/half.h"

namespace batchwright {
namespace {

// The codes of a block of 32 of all columns, as stored: [column][k].
using Codes = uint8_t[kPanelColumns][32];
using Groups = uint8_t[kGroups][kGroupBytes];

void nibble_codes(const uint8_t* qs, uint8_t* q) {
  for (int i = 0; i < 16; ++i) {
    q[i] = qs[i] & 15;
    q[i + 16] = qs[i] >> 4;
  }
}

// Entry x holds bit i of x as the fifth bit of byte i, for every i.
constexpr auto kFifthBits = [] {
  std::array<uint64_t, 256> table{};
  for (uint64_t x = 0; x < 256; ++x) {
    for (int i = 0; i < 8; ++i) table[x] |= (x >> i & 1) << (8 * i + 4);
  }
  return table;
}();

void add_fifth_bits(const uint8_t* qh, uint8_t* q) {
  for (int i = 0; i < 4; ++i) {
    uint64_t eight;
    std::memcpy(&eight, q + 8 * i, sizeof eight);
    eight |= kFifthBits[qh[i]];
    std::memcpy(q + 8 * i, &eight, sizeof eight);
  }
}

void to_groups(const Codes& codes, Groups& groups) {
  for (int g = 0; g < kGroups; ++g) {
    for (int c = 0; c < kPanelColumns; ++c) std::memcpy(&groups[g][4 * c], &codes[c][4 * g], 4);
  }
}

void store_low(const Groups& groups, uint8_t (*low)[kGroupBytes]) {
  for (int v = 0; v < 4; ++v) {
    for (int i = 0; i < kGroupBytes; ++i) {
      low[v][i] = static_cast<uint8_t>((groups[v][i] & 15) | ((groups[v + 4][i] & 15) << 4));
    }
  }
}

void store_fifth(const Groups& groups, uint8_t* high) {
  for (int i = 0; i < kGroupBytes; ++i) {
    unsigned bits = 0;
    for (int g = 0; g < kGroups; ++g) bits |= static_cast<unsigned>(groups[g][i] >> 4) << g;
    high[i] = static_cast<uint8_t>(bits);
  }
}

void store_upper_two(const Groups& groups, uint8_t (*high)[kGroupBytes]) {
  for (int v = 0; v < 2; ++v) {
    for (int i = 0; i < kGroupBytes; ++i) {
      unsigned bits = 0;
      for (int t = 0; t < 4; ++t) bits |= static_cast<unsigned>(groups[4 * v + t][i] >> 4) << (2 * t);
      high[v][i] = static_cast<uint8_t>(bits);
    }
  }
}

// The blocks of the panel's columns at one place of k; null beyond the last row of the weights.
template <class Block>
struct BlockColumn {
  const Block* block[kPanelColumns];

  // Calls f(column, block) for those that exist; `codes` are zeros for the others.
  template <class F>
  void each(F f) const {
    for (int c = 0; c < kPanelColumns; ++c) {
      if (block[c] != nullptr) f(c, *block[c]);
    }
  }
};

void pack_block(const BlockColumn<BlockQ4_0>& in, PanelQ4_0& out) {
  Codes codes = {};
  Groups groups;
  in.each([&](int c, const BlockQ4_0& b) {
    nibble_codes(b.qs, codes[c]);
    out.d[c] = b.d;
  });
  to_groups(codes, groups);
  store_low(groups, out.low);
}

void pack_block(const BlockColumn<BlockQ4_1>& in, PanelQ4_1& out) {
  Codes codes = {};
  Groups groups;
  in.each([&](int c, const BlockQ4_1& b) {
    nibble_codes(b.qs, codes[c]);
    out.d[c] = b.d;
    out.m[c] = b.m;
  });
  to_groups(codes, groups);
  store_low(groups, out.low);
}

void pack_block(const BlockColumn<BlockQ5_0>& in, PanelQ5_0& out) {
  Codes codes = {};
  Groups groups;
  in.each([&](int c, const BlockQ5_0& b) {
    nibble_codes(b.qs, codes[c]);
    add_fifth_bits(b.qh, codes[c]);
    out.d[c] = b.d;
  });
  to_groups(codes, groups);
  store_low(groups, out.low);
  store_fifth(groups, out.high);
}

void pack_block(const BlockColumn<BlockQ5_1>& in, PanelQ5_1& out) {
  Codes codes = {};
  Groups groups;
  in.each([&](int c, const BlockQ5_1& b) {
    nibble_codes(b.qs, codes[c]);
    add_fifth_bits(b.qh, codes[c]);
    out.d[c] = b.d;
    out.m[c] = b.m;
  });
  to_groups(codes, groups);
  store_low(groups, out.low);
  store_fifth(groups, out.high);
}

void pack_block(const BlockColumn<BlockQ8_0>& in, PanelQ8_0& out) {
  Codes codes = {};
  in.each([&](int c, const BlockQ8_0& b) {
    std::memcpy(codes[c], b.qs, 32);
    out.d[c] = b.d;
  });
  Groups groups;
  to_groups(codes, groups);
  std::memcpy(out.q, groups, sizeof groups);
}

template <class Block, class Panel>
void store_scales(const BlockColumn<Block>& in, Panel& out) {
  in.each([&](int c, const Block& b) {
    out.d[c] = b.d;
    out.dmin[c] = b.dmin;
    for (int s = 0; s < kSubBlocks; ++s) {
      const ScaleMin both = scale_min_k4(b.scales, s);
      out.scale[s][c] = both.scale;
      out.min[s][c] = both.min;
    }
  });
}

// Sub-block s of the nibbles of Q4_K and Q5_K.
uint8_t k_nibble(const uint8_t* qs, int s, int i) {
  const uint8_t byte = qs[32 * (s / 2) + i];
  return s % 2 == 0 ? byte & 15 : byte >> 4;
}

void pack_block(const BlockColumn<BlockQ4_K>& in, PanelQ4_K& out) {
  store_scales(in, out);
  for (int s = 0; s < kSubBlocks; ++s) {
    Codes codes = {};
    Groups groups;
    in.each([&](int c, const BlockQ4_K& b) {
      for (int i = 0; i < 32; ++i) codes[c][i] = k_nibble(b.qs, s, i);
    });
    to_groups(codes, groups);
    store_low(groups, out.low[s]);
  }
}

void pack_block(const BlockColumn<BlockQ5_K>& in, PanelQ5_K& out) {
  store_scales(in, out);
  for (int s = 0; s < kSubBlocks; ++s) {
    Codes codes = {};
    Groups groups;
    in.each([&](int c, const BlockQ5_K& b) {
      for (int i = 0; i < 32; ++i) {
        codes[c][i] = static_cast<uint8_t>(k_nibble(b.qs, s, i) | (((b.qh[i] >> s) & 1) << 4));
      }
    });
    to_groups(codes, groups);
    store_low(groups, out.low[s]);
    store_fifth(groups, out.high[s]);
  }
}

void pack_block(const BlockColumn<BlockQ6_K>& in, PanelQ6_K& out) {
  in.each([&](int c, const BlockQ6_K& b) {
    out.d[c] = b.d;
    for (int s = 0; s < 16; ++s) out.scale[s / 2][s % 2][c] = b.scales[s];
  });
  for (int s = 0; s < kSubBlocks; ++s) {
    const int half = s / 4;
    const int quarter = s % 4;
    Codes codes = {};
    Groups groups;
    in.each([&](int c, const BlockQ6_K& b) {
      for (int i = 0; i < 32; ++i) {
        const uint8_t low = b.ql[64 * half + 32 * (quarter % 2) + i];
        const int upper = (b.qh[32 * half + i] >> (2 * quarter)) & 3;
        codes[c][i] = static_cast<uint8_t>((quarter < 2 ? low & 15 : low >> 4) | (upper << 4));
      }
    });
    to_groups(codes, groups);
    store_low(groups, out.low[s]);
    store_upper_two(groups, out.high[s]);
  }
}

template <class Block, class Panel>
void pack_quantized(const std::byte* rows, int columns, int64_t blocks, uint8_t* panel) {
  auto* out = reinterpret_cast<Panel*>(panel);
  BlockColumn<Block> in = {};
  for (int64_t b = 0; b < blocks; ++b) {
    for (int c = 0; c < columns; ++c) in.block[c] = reinterpret_cast<const Block*>(rows) + c * blocks + b;
    pack_block(in, out[b]);
  }
}

template <class Element>
void pack_floats(const std::byte* rows, int columns, int64_t k, uint8_t* panel) {
  constexpr int64_t kTile = 64;  // so that the panel's lines are written while they are in the cache
  auto* out = reinterpret_cast<Element*>(panel);
  for (int64_t begin = 0; begin < k; begin += kTile) {
    const int64_t end = std::min(begin + kTile, k);
    for (int c = 0; c < columns; ++c) {
      for (int64_t i = begin; i < end; ++i) {
        std::memcpy(&out[i * kPanelColumns + c], rows + static_cast<size_t>(c * k + i) * sizeof(Element),
                    sizeof(Element));
      }
    }
  }
}

void pack_panel(ElementType type, const std::byte* rows, int columns, int64_t k, uint8_t* panel) {
  switch (type) {
    case ElementType::kF32:
      return pack_floats<uint32_t>(rows, columns, k, panel);
    case ElementType::kF16:
    case ElementType::kBF16:
      return pack_floats<uint16_t>(rows, columns, k, panel);
    case ElementType::kQ4_0:
      return pack_quantized<BlockQ4_0, PanelQ4_0>(rows, columns, k / 32, panel);
    case ElementType::kQ4_1:
      return pack_quantized<BlockQ4_1, PanelQ4_1>(rows, columns, k / 32, panel);
    case ElementType::kQ5_0:
      return pack_quantized<BlockQ5_0, PanelQ5_0>(rows, columns, k / 32, panel);
    case ElementType::kQ5_1:
      return pack_quantized<BlockQ5_1, PanelQ5_1>(rows, columns, k / 32, panel);
    case ElementType::kQ8_0:
      return pack_quantized<BlockQ8_0, PanelQ8_0>(rows, columns, k / 32, panel);
    case ElementType::kQ4_K:
      return pack_quantized<BlockQ4_K, PanelQ4_K>(rows, columns, k / 256, panel);
    case ElementType::kQ5_K:
      return pack_quantized<BlockQ5_K, PanelQ5_K>(rows, columns, k / 256, panel);
    case ElementType::kQ6_K:
      return pack_quantized<BlockQ6_K, PanelQ6_K>(rows, columns, k / 256, panel);
  }
  BATCHWRIGHT_CHECK(false && "a known type");
}

size_t block_panel_bytes(ElementType type) {
  switch (type) {
    case ElementType::kQ4_K:
      return sizeof(PanelQ4_K);
    case ElementType::kQ5_K:
      return sizeof(PanelQ5_K);
    default:
      return static_cast<size_t>(element_type_info(type).block_bytes) * kPanelColumns;
  }
}

}  // namespace

size_t packed_panel_bytes(ElementType type, int64_t k) {
  return static_cast<size_t>(k / element_type_info(type).block_elements) * block_panel_bytes(type);
}

Result<size_t> packed_weights_bytes(ElementType type, int64_t n, int64_t k) {
  const int64_t block = element_type_info(type).block_elements;
  if (n <= 0 || k <= 0 || k % block != 0) {
    return invalid_data("a " + std::string(element_type_name(type)) + " matrix of " + std::to_string(n) + " rows of " +
                        std::to_string(k) + " values: both must be positive, and the values a multiple of " +
                        std::to_string(block));
  }
  const auto panels = static_cast<size_t>((n - 1) / kPanelColumns + 1);
  size_t bytes = 0;
  if (__builtin_mul_overflow(panels, packed_panel_bytes(type, k), &bytes)) {
    return invalid_data("a matrix that exceeds any memory");
  }
  return bytes;
}

Result<PackedWeights> make_packed_weights(ElementType type, int64_t n, int64_t k, std::span<uint8_t> memory) {
  BATCHWRIGHT_ASSIGN_OR_RETURN(const size_t bytes, packed_weights_bytes(type, n, k));
  PackedWeights weights;
  weights.type = type;
  weights.n = n;
  weights.k = k;
  if (!memory.empty()) {
    BATCHWRIGHT_CHECK(memory.size() == bytes);
    weights.data = memory;
    return weights;
  }
  try {
    weights.own = AlignedBuffer<uint8_t>(bytes);
  } catch (const std::bad_alloc&) {
    return resource_exhausted("no memory for " + std::to_string(bytes) + " bytes of packed weights");
  }
  weights.data = weights.own.span();
  return weights;
}

void pack_panels(PackedWeights& weights, const std::byte* rows, int64_t panel_begin, int64_t panel_end) {
  BATCHWRIGHT_CHECK(0 <= panel_begin && panel_end <= weights.panels());
  const ElementTypeInfo& info = element_type_info(weights.type);
  const size_t row_bytes = static_cast<size_t>(weights.k / info.block_elements * info.block_bytes);
  const size_t panel_bytes = packed_panel_bytes(weights.type, weights.k);
  for (int64_t p = panel_begin; p < panel_end; ++p) {
    const int columns = static_cast<int>(std::min<int64_t>(kPanelColumns, weights.n - p * kPanelColumns));
    const size_t skipped = static_cast<size_t>(p - panel_begin) * kPanelColumns * row_bytes;
    pack_panel(weights.type, rows + skipped, columns, weights.k,
               weights.data.data() + static_cast<size_t>(p) * panel_bytes);
  }
}

void unpack_row(const PackedWeights& weights, int64_t row, float* out) {
  BATCHWRIGHT_CHECK(0 <= row && row < weights.n);
  const uint8_t* panel =
      weights.data.data() + static_cast<size_t>(row / kPanelColumns) * packed_panel_bytes(weights.type, weights.k);
  const int column = static_cast<int>(row % kPanelColumns);
  switch (weights.type) {
    case ElementType::kF32:
      for (int64_t i = 0; i < weights.k; ++i) {
        out[i] = reinterpret_cast<const float*>(panel)[i * kPanelColumns + column];
      }
      return;
    case ElementType::kF16:
      for (int64_t i = 0; i < weights.k; ++i) {
        out[i] = f16_to_f32(reinterpret_cast<const uint16_t*>(panel)[i * kPanelColumns + column]);
      }
      return;
    case ElementType::kBF16:
      for (int64_t i = 0; i < weights.k; ++i) {
        out[i] = bf16_to_f32(reinterpret_cast<const uint16_t*>(panel)[i * kPanelColumns + column]);
      }
      return;
    default:
      break;
  }
  // The file's formulas, each step rounded once (tensor/block_formats.h).
  const bool super = element_type_info(weights.type).block_elements == kSuperBlockElements;
  PanelBlock block;
  for (int64_t b = 0; b < weights.k / 32; ++b) {
    decode_panel_block(weights.type, panel, b, column, column + 1, block);
    for (int i = 0; i < 32; ++i) {
      const auto w = static_cast<float>(block.w[column][i]);
      float value = 0;
      if (super) {
        value = block.d[column] * static_cast<float>(block.scale[i / 16][column]) * w;
        if (weights.type != ElementType::kQ6_K) value -= block.m[column] * static_cast<float>(block.min[column]);
      } else {
        value = block.d[column] * w;
        if (weights.type == ElementType::kQ4_1 || weights.type == ElementType::kQ5_1) value += block.m[column];
      }
      out[b * 32 + i] = value;
    }
  }
}

}  // namespace batchwright

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "base/check.h"
#include "kernels/gemm/tile_test_emulator.h"

namespace batchwright {
namespace tile_emulator {
namespace {

constexpr int kTiles = 8;
constexpr int kRowsMax = 16;
constexpr int kRowBytesMax = 64;

struct Tile {
  int rows = 0;
  int row_bytes = 0;
  int8_t bytes[kRowsMax][kRowBytesMax] = {};
};

struct State {
  bool configured = false;
  Tile tiles[kTiles];
  const uint8_t* memory = nullptr;
  size_t memory_bytes = 0;
  int64_t multiplications = 0;
};
thread_local State state;

Tile& tile_of(int tile) {
  BATCHWRIGHT_CHECK(0 <= tile && tile < kTiles);
  BATCHWRIGHT_CHECK(state.configured);
  BATCHWRIGHT_CHECK(state.tiles[tile].rows > 0);  // else #UD
  return state.tiles[tile];
}

void check_memory(const void* at, const Tile& tile, int64_t stride) {
  BATCHWRIGHT_CHECK(stride >= tile.row_bytes);  // hardware takes any; here rows would overlap
  const auto* begin = static_cast<const uint8_t*>(at);
  BATCHWRIGHT_CHECK(begin >= state.memory);
  BATCHWRIGHT_CHECK(begin + (tile.rows - 1) * stride + tile.row_bytes <= state.memory + state.memory_bytes);
}

}  // namespace

void allow(const void* memory, size_t bytes) {
  state.memory = static_cast<const uint8_t*>(memory);
  state.memory_bytes = bytes;
}

bool in_use() { return state.configured; }

int64_t multiplications() { return state.multiplications; }

void configure(const TileConfig& config) {
  BATCHWRIGHT_CHECK(config.palette == 1);
  BATCHWRIGHT_CHECK(config.start_row == 0);  // else loads go on in the middle
  for (const uint8_t byte : config.reserved) BATCHWRIGHT_CHECK(byte == 0);
  for (int i = 0; i < 16; ++i) {
    const int rows = config.rows[i];
    const int row_bytes = config.row_bytes[i];
    BATCHWRIGHT_CHECK(rows <= kRowsMax);
    BATCHWRIGHT_CHECK(row_bytes <= kRowBytesMax);
    BATCHWRIGHT_CHECK((rows == 0) == (row_bytes == 0));
    BATCHWRIGHT_CHECK(i < kTiles || rows == 0);
    if (i < kTiles) state.tiles[i] = {.rows = rows, .row_bytes = row_bytes};
  }
  state.configured = true;
}

void release() {
  BATCHWRIGHT_CHECK(state.configured);
  state.configured = false;
  for (Tile& tile : state.tiles) tile = {};
}

void zero(int tile) { std::memset(tile_of(tile).bytes, 0, sizeof(Tile::bytes)); }

void load(int tile, const void* from, int64_t stride) {
  Tile& t = tile_of(tile);
  check_memory(from, t, stride);
  std::memset(t.bytes, 0, sizeof t.bytes);  // what the shape leaves out becomes zero
  for (int row = 0; row < t.rows; ++row) {
    std::memcpy(t.bytes[row], static_cast<const uint8_t*>(from) + row * stride, static_cast<size_t>(t.row_bytes));
  }
}

void store(int tile, void* to, int64_t stride) {
  const Tile& t = tile_of(tile);
  check_memory(to, t, stride);
  for (int row = 0; row < t.rows; ++row) {
    std::memcpy(static_cast<uint8_t*>(to) + row * stride, t.bytes[row], static_cast<size_t>(t.row_bytes));
  }
}

void multiply(int sum, int rows, int weights) {
  Tile& c = tile_of(sum);
  const Tile& a = tile_of(rows);
  const Tile& b = tile_of(weights);
  BATCHWRIGHT_CHECK(sum != rows && sum != weights && rows != weights);
  BATCHWRIGHT_CHECK(c.row_bytes % 4 == 0 && a.row_bytes % 4 == 0 && b.row_bytes % 4 == 0);
  BATCHWRIGHT_CHECK(c.rows == a.rows);
  BATCHWRIGHT_CHECK(c.row_bytes == b.row_bytes);
  BATCHWRIGHT_CHECK(a.row_bytes / 4 == b.rows);
  for (int m = 0; m < c.rows; ++m) {
    uint32_t out[kRowBytesMax / 4];  // sums wrap, as the hardware's do
    std::memcpy(out, c.bytes[m], sizeof out);
    for (int k = 0; k < b.rows; ++k) {
      for (int n = 0; n < c.row_bytes / 4; ++n) {
        for (int i = 0; i < 4; ++i) {
          out[n] += static_cast<uint32_t>(int{a.bytes[m][4 * k + i]} * int{b.bytes[k][4 * n + i]});
        }
      }
    }
    std::memcpy(c.bytes[m], out, sizeof out);
  }
  ++state.multiplications;
}

}  // namespace tile_emulator

namespace {

namespace emulator = tile_emulator;

// Tiles 0: 3 x 2 sums; 1: 3 rows of 8 k; 2: 8 k of 2 columns.
TileConfig small_shapes() {
  TileConfig config;
  config.rows[0] = 3;
  config.row_bytes[0] = 8;
  config.rows[1] = 3;
  config.row_bytes[1] = 8;
  config.rows[2] = 2;
  config.row_bytes[2] = 8;
  return config;
}

TEST(TileEmulator, Multiplies) {
  struct {
    int8_t a[3][10];    // rows 10 bytes apart
    int8_t b[2][2][4];  // [k / 4][column][k % 4]
    int32_t c[3][2];
  } m = {};
  for (int row = 0; row < 3; ++row) {
    for (int k = 0; k < 10; ++k) m.a[row][k] = static_cast<int8_t>(k < 8 ? (row - 1) * 50 - k : 99);
  }
  for (int k = 0; k < 8; ++k) {
    m.b[k / 4][0][k % 4] = -128;
    m.b[k / 4][1][k % 4] = static_cast<int8_t>(3 * k);
  }
  m.c[1][1] = 1000;
  emulator::allow(&m, sizeof m);
  emulator::configure(small_shapes());
  EXPECT_TRUE(emulator::in_use());
  emulator::load(0, m.c, 8);
  emulator::load(1, m.a, 10);
  emulator::load(2, m.b, 8);
  emulator::multiply(0, 1, 2);
  emulator::store(0, m.c, 8);
  emulator::release();
  EXPECT_FALSE(emulator::in_use());
  for (int row = 0; row < 3; ++row) {
    for (int column = 0; column < 2; ++column) {
      int sum = row == 1 && column == 1 ? 1000 : 0;
      for (int k = 0; k < 8; ++k) sum += ((row - 1) * 50 - k) * (column == 0 ? -128 : 3 * k);
      EXPECT_EQ(m.c[row][column], sum) << row << " " << column;
    }
  }
  emulator::allow(nullptr, 0);
}

TEST(TileEmulatorDeathTest, RefusesMisuse) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto with = [](auto change) {
    TileConfig config = small_shapes();
    change(config);
    emulator::configure(config);
  };
  std::vector<int8_t> memory(24);
  const auto begin = [&] {
    emulator::allow(memory.data(), memory.size());
    emulator::configure(small_shapes());
  };
  EXPECT_DEATH(emulator::zero(0), "configured");
  EXPECT_DEATH(emulator::release(), "configured");
  EXPECT_DEATH((begin(), emulator::release(), emulator::zero(0)), "configured");
  EXPECT_DEATH(with([](TileConfig& c) { c.palette = 0; }), "palette");
  EXPECT_DEATH(with([](TileConfig& c) { c.reserved[13] = 1; }), "byte == 0");
  EXPECT_DEATH(with([](TileConfig& c) { c.rows[2] = 17; }), "kRowsMax");
  EXPECT_DEATH(with([](TileConfig& c) { c.row_bytes[2] = 68; }), "kRowBytesMax");
  EXPECT_DEATH(with([](TileConfig& c) { c.rows[0] = 0; }), "row_bytes == 0");
  EXPECT_DEATH(with([](TileConfig& c) { c.rows[8] = 1, c.row_bytes[8] = 4; }), "kTiles");
  EXPECT_DEATH((begin(), emulator::zero(3)), "rows > 0");
  EXPECT_DEATH((begin(), emulator::load(1, memory.data(), 4)), "stride");
  EXPECT_DEATH((begin(), emulator::load(1, memory.data(), 9)), "memory_bytes");
  EXPECT_DEATH((begin(), emulator::store(1, memory.data() + 1, 8)), "memory_bytes");
  EXPECT_DEATH((begin(), emulator::multiply(0, 1, 1)), "rows != weights");
  EXPECT_DEATH((begin(), emulator::multiply(2, 1, 0)), "c.rows == a.rows");
  EXPECT_DEATH((with([](TileConfig& c) { c.row_bytes[2] = 4; }), emulator::multiply(0, 1, 2)), "b.row_bytes");
  EXPECT_DEATH((with([](TileConfig& c) { c.rows[2] = 3; }), emulator::multiply(0, 1, 2)), "b.rows");
}

}  // namespace
}  // namespace batchwright

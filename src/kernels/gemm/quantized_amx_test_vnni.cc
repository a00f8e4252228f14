// The AMX kernels on emulated tiles: AVX-512 does the rest, so that any machine with VNNI can run them.
#include <immintrin.h>

#include "kernels/gemm/format_kernels.h"
#include "kernels/gemm/panels_amx.h"
#include "kernels/gemm/tile_test_emulator.h"

namespace batchwright {
namespace {

struct EmulatedTiles {
  static void configure(const TileConfig& config) { tile_emulator::configure(config); }
  static void release() { tile_emulator::release(); }
  template <int kTile>
  static void zero() {
    tile_emulator::zero(kTile);
  }
  template <int kTile>
  static void load(const void* from, int64_t stride) {
    tile_emulator::load(kTile, from, stride);
  }
  template <int kTile>
  static void store(void* to, int64_t stride) {
    tile_emulator::store(kTile, to, stride);
  }
  template <int kSum, int kRows, int kWeights>
  static void multiply() {
    tile_emulator::multiply(kSum, kRows, kWeights);
  }
};

}  // namespace

extern const QuantizedFormatKernels kQuantizedAmxEmulated;
const QuantizedFormatKernels kQuantizedAmxEmulated = {
    run_tiles<EmulatedTiles, AmxQ4_0>, run_tiles<EmulatedTiles, AmxQ4_1>, run_tiles<EmulatedTiles, AmxQ5_0>,
    run_tiles<EmulatedTiles, AmxQ5_1>, run_tiles<EmulatedTiles, AmxQ8_0>, run_tiles<EmulatedTiles, AmxQ4_K>,
    run_tiles<EmulatedTiles, AmxQ5_K>, run_tiles<EmulatedTiles, AmxQ6_K>};

}  // namespace batchwright

// Quantised weights with AMX: the kernels of panels_amx.h on the tile instructions of the machine. Linux lets a process
// use them after machine_has(Isa::kAmx) (platform/cpu.cc) has asked.
#include <immintrin.h>

#include "kernels/gemm/format_kernels.h"
#include "kernels/gemm/panels_amx.h"

namespace batchwright {
namespace {

// In assembler, as g++ 12's intrinsics print tile numbers that are template arguments wrongly. "memory" keeps what the
// tiles read and write where it stands; compilers leave the tiles themselves alone.
struct HardwareTiles {
  BATCHWRIGHT_INLINE void configure(const TileConfig& config) {
    asm volatile("ldtilecfg %[config]" : : [config] "m"(config));
  }
  BATCHWRIGHT_INLINE void release() { asm volatile("tilerelease"); }

  template <int kTile>
  BATCHWRIGHT_INLINE void zero() {
    asm volatile("tilezero %%tmm%c[tile]" : : [tile] "i"(kTile));
  }
  template <int kTile>
  BATCHWRIGHT_INLINE void load(const void* from, int64_t stride) {
    asm volatile("tileloadd (%[from],%[stride],1), %%tmm%c[tile]"
                 :
                 : [from] "r"(from), [stride] "r"(stride), [tile] "i"(kTile)
                 : "memory");
  }
  template <int kTile>
  BATCHWRIGHT_INLINE void store(void* to, int64_t stride) {
    asm volatile("tilestored %%tmm%c[tile], (%[to],%[stride],1)"
                 :
                 : [to] "r"(to), [stride] "r"(stride), [tile] "i"(kTile)
                 : "memory");
  }
  // kSum += rows * weights, bytes of both signed. AT&T's order of operands is the reverse.
  template <int kSum, int kRows, int kWeights>
  BATCHWRIGHT_INLINE void multiply() {
    asm volatile("tdpbssd %%tmm%c[weights], %%tmm%c[rows], %%tmm%c[sum]"
                 :
                 : [weights] "i"(kWeights), [rows] "i"(kRows), [sum] "i"(kSum));
  }
};

// Up to here the VNNI kernels, which choose between their own paths. Not measured, as the machines at hand had no AMX:
// by count of instructions a tile of 16 rows costs as much as 5 rows of VNNI, so the change-over is a cautious one.
// gemm_bench ("amx tiles" beside "vnni few" and "vnni tiles") says where it belongs.
constexpr int64_t kVnniRowsMax = 16;

template <class Format, RunFormat QuantizedFormatKernels::*kVnni>
void run(const RawGemm& g) {
  g.rows <= kVnniRowsMax ? (kQuantizedVnni.*kVnni)(g) : run_tiles<HardwareTiles, Format>(g);
}

}  // namespace

using F = QuantizedFormatKernels;
const QuantizedFormatKernels kQuantizedAmx = {run<AmxQ4_0, &F::q4_0>, run<AmxQ4_1, &F::q4_1>, run<AmxQ5_0, &F::q5_0>,
                                              run<AmxQ5_1, &F::q5_1>, run<AmxQ8_0, &F::q8_0>, run<AmxQ4_K, &F::q4_k>,
                                              run<AmxQ5_K, &F::q5_k>, run<AmxQ6_K, &F::q6_k>};
const QuantizedFormatKernels kQuantizedAmxTiles = {
    run_tiles<HardwareTiles, AmxQ4_0>, run_tiles<HardwareTiles, AmxQ4_1>, run_tiles<HardwareTiles, AmxQ5_0>,
    run_tiles<HardwareTiles, AmxQ5_1>, run_tiles<HardwareTiles, AmxQ8_0>, run_tiles<HardwareTiles, AmxQ4_K>,
    run_tiles<HardwareTiles, AmxQ5_K>, run_tiles<HardwareTiles, AmxQ6_K>};

}  // namespace batchwright

// The AMX tile instructions in software, exactly: what each computes, and everything that the hardware would refuse or
// that a kernel has no business to do. Misuse aborts with a message. Each thread has tiles of its own.
//
// Intel 64 and IA-32 Architectures Software Developer's Manual, volume 1, chapter 18, and the pages of LDTILECFG,
// TILELOADD, TILESTORED, TILEZERO, TILERELEASE and TDPBSSD in volume 2.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/gemm/tile_config.h"

namespace batchwright::tile_emulator {

// The memory that tiles may be loaded from and stored to; none at first.
void allow(const void* memory, size_t bytes);
// True while a configuration is loaded.
bool in_use();
// Products since the thread began.
int64_t multiplications();

void configure(const TileConfig& config);
void release();
void zero(int tile);
void load(int tile, const void* from, int64_t stride);
void store(int tile, void* to, int64_t stride);
// sum += rows * weights, bytes of both signed.
void multiply(int sum, int rows, int weights);

}  // namespace batchwright::tile_emulator

// How an engine is set up. None of these changes the bytes of an output.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace batchwright {

// The instruction sets for which kernels exist, weakest first. Each is built on one that stands before it: AVX2 <-
// AVX-VNNI (256 bits, for processors without AVX-512), and AVX2 <- AVX-512 <- its VNNI <- AMX.
enum class Isa { kScalar, kAvx2, kAvxVnni, kAvx512, kVnni, kAmx };

// The element format of the KV cache's pages.
enum class KvFormat { kF16, kF32 };

struct EngineOptions {
  // Worker threads, the caller's included. 0: the CPUs of the affinity mask and the cgroup.
  int threads = 0;

  // "auto", or the name of an instruction set ("scalar", "avx2", "avxvnni", "avx512", "vnni", "amx"). Empty: what the
  // environment variable BATCHWRIGHT_ISA says, else auto: the strongest of the machine but AMX, which must be asked
  // for. A set that the machine lacks is an error.
  std::string isa;

  // Sequences in flight at most.
  int max_batch = 64;

  // Tokens in a step at most (prefill chunks and decode tokens together). Raised to max_batch where it is below. 0:
  // 512, or fewer where Engine::calibrate finds that more gain nothing.
  int max_batch_tokens = 0;

  // Bytes of the whole process at its peak, what it holds before the engine is loaded included. Engine::load fails
  // where they do not suffice. 0: what the cgroup's limit leaves, or no limit where there is none.
  size_t memory_bytes = 0;

  // Of these, what the caller will need beside the engine: KV pages do not take it.
  size_t caller_memory_bytes = 0;

  // Bytes for KV pages: never exceeded. 0: what memory_bytes leaves, or half of the memory that is free on the machine
  // where nothing limits it.
  size_t kv_memory_bytes = 0;

  KvFormat kv_format = KvFormat::kF16;

  // Positions a sequence may have at most. 0: what the model was trained for.
  int context_length = 0;

  // Compute pages of equal token chains once. Off only for measuring and tests.
  bool share_prefixes = true;

  // Compute all prompts before any sequence decodes, instead of both in one step. For measuring each alone.
  bool prefill_first = false;
};

}  // namespace batchwright

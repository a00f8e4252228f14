// How much memory the process will take at its peak, before anything is loaded: by what it is for. The same numbers
// size the KV cache under a limit (EngineOptions::memory_bytes) and are what `plan` says. docs/memory.md compares them
// with real peaks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "batchwright/options.h"
#include "batchwright/status.h"
#include "formats/gguf.h"
#include "model/model_shape.h"

namespace batchwright {

// What of the engine's memory is touched in a job. As it stands: the most that an engine can take beside its KV pages.
struct MemoryUse {
  int64_t positions = 0;    // of the longest sequence; 0: options.context_length
  bool full_logits = true;  // some row is sampled, scored or restricted to a list of answers
  // Bytes of pages that are ever used, as SimulationResult::kv_bytes_touched; 0: none.
  size_t kv_bytes = 0;
  size_t caller_bytes = 0;  // the job's own, as job_memory_bytes()
};

// All in bytes.
struct MemoryPlan {
  size_t program = 0;     // code, libraries, stacks, and what the allocator keeps
  size_t vocabulary = 0;  // with the tokeniser's tables
  size_t weights = 0;
  size_t loading = 0;  // while weights are packed; given back before what follows is taken
  size_t buffers = 0;  // of steps
  size_t kv = 0;       // pages, in the system's huge pages, and the tables that say whose they are
  size_t caller = 0;

  // Of the whole process at its largest: what peak_memory_bytes() will say.
  size_t peak() const;
};

// `options` as the engine gets them: threads, max_batch_tokens and context_length may be left open (0), memory_bytes
// and kv_memory_bytes do not count here. Errors: those of model_memory().
Result<MemoryPlan> plan_memory(const GgufFile& file, const ModelShape& shape, const EngineOptions& options,
                               const MemoryUse& use);

// Tokens of a step where options.max_batch_tokens is 0.
inline constexpr int kDefaultBatchTokens = 512;

// The bytes that KV pages may take: options.kv_memory_bytes where they are given, else what the limit leaves
// (memory_bytes, else the cgroup's), else half of the memory that is free on the machine. kInvalidArgument where the
// limit does not hold all of it, with what would do and which options to change.
Result<size_t> kv_budget(const GgufFile& file, const ModelShape& shape, const EngineOptions& options);

}  // namespace batchwright

// What a job takes of memory beside the engine.
#pragma once

#include <cstddef>
#include <span>

#include "job/row_index.h"
#include "plan/simulator.h"

namespace batchwright {

// At its largest, in bytes: the index; what is held of each row while the rows of a window are put in order; the texts,
// tokens and answers of those that are on their way at once, reckoned as if the longest were that together.
size_t job_memory_bytes(const RowIndex& index, int max_batch);

// The same as it is expected to be, no bound, where the rows' tokens are known.
size_t expected_job_memory_bytes(const RowIndex& index, std::span<const SimulatedRow> rows, int max_batch);

}  // namespace batchwright

// What a job takes of memory beside the engine.
#pragma once

#include <cstddef>

#include "job/row_index.h"

namespace batchwright {

// At its largest, in bytes: the index; what is held of each row while the rows of a window are put in order; the texts,
// tokens and answers of those that are on their way at once, reckoned as if the longest were that together.
size_t job_memory_bytes(const RowIndex& index, int max_batch);

}  // namespace batchwright

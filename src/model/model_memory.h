// What a model takes of memory, from its file's metadata alone: nothing is loaded.
#pragma once

#include <cstddef>
#include <cstdint>

#include "batchwright/status.h"
#include "formats/gguf.h"
#include "model/model_shape.h"

namespace batchwright {

struct ModelMemory {
  size_t weights = 0;       // as they lie packed
  size_t step_buffers = 0;  // for steps of max_rows; all of it is touched when the model is loaded
  size_t full_logits = 0;   // taken by the first step in which a row wants its whole logits
  size_t loading = 0;       // of the file's pages that are held at once while they are packed, at most
};

// kInvalidData where the file lacks a tensor that the buffers' sizes follow from.
Result<ModelMemory> model_memory(const GgufFile& file, const ModelShape& shape, int max_rows, int threads);

// The packed matrices' part of it: of all tensors that can be packed.
size_t packed_matrices_bytes(const GgufFile& file);

// Of the tables of angles once sequences have reached `positions`.
size_t rope_bytes(const ModelShape& shape, int64_t positions);

}  // namespace batchwright

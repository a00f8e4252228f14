#include "model/model.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/format_bytes.h"
#include "base/status_macros.h"
#include "model/decoder.h"
#include "model/kernel_check.h"
#include "model/model_memory.h"
#include "model/weights.h"
#include "platform/cpu.h"

namespace batchwright {

Result<std::unique_ptr<Model>> Model::load(const GgufFile& file, ThreadPool& pool, Isa isa, int max_rows) {
  BATCHWRIGHT_ASSIGN_OR_RETURN(ModelShape shape, read_model_shape(file));
  BATCHWRIGHT_ASSIGN_OR_RETURN(const ModelMemory memory, model_memory(file, shape, max_rows, pool.size()));
  const size_t buffers = memory.step_buffers;
  if (const size_t available = available_memory_bytes(); buffers > available) {
    return resource_exhausted(
        fmt::format("steps of {} tokens need {} of buffers and {} are free; lower max_batch_tokens", max_rows,
                    format_bytes(static_cast<double>(buffers)), format_bytes(static_cast<double>(available))));
  }
  BATCHWRIGHT_ASSIGN_OR_RETURN(ModelWeights weights, load_weights(file, shape, pool));
  std::vector<ElementType> types;
  const auto note = [&](const PackedWeights& w) {
    if (std::find(types.begin(), types.end(), w.type) == types.end()) types.push_back(w.type);
  };
  note(weights.logits_head());
  for (const LayerWeights& layer : weights.layers) {
    for (const Linear* linear : {&layer.q, &layer.k, &layer.v, &layer.output, &layer.gate, &layer.up, &layer.down}) {
      note(linear->weights);
    }
  }
  BATCHWRIGHT_RETURN_IF_ERROR(check_kernels(shape, types, isa));
  return std::unique_ptr<Model>(std::make_unique<Decoder>(std::move(shape), std::move(weights), pool, isa, max_rows));
}

}  // namespace batchwright

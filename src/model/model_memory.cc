#include "model/model_memory.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <string>
#include <string_view>

#include "base/status_macros.h"
#include "kernels/attention/attention.h"
#include "kernels/gemm/gemm.h"
#include "kernels/gemm/pruning.h"
#include "model/decoder.h"

namespace batchwright {
namespace {

constexpr size_t kAlignment = 64;  // of a matrix

// Which forms of activations the matrices of all layers want that read the same input.
struct InputForms {
  bool quantized = false;
  bool floats = false;

  void add(ElementType type) { (uses_quantized_activations(type) ? quantized : floats) = true; }
  size_t bytes(int64_t rows, int64_t k) const {
    return (quantized ? quantized_rows_bytes(rows, k) : 0) +
           (floats ? static_cast<size_t>(rows) * static_cast<size_t>(k) * sizeof(float) : 0);
  }
};

Result<InputForms> forms_of(const GgufFile& file, int layers, std::initializer_list<std::string_view> names) {
  InputForms forms;
  for (int layer = 0; layer < layers; ++layer) {
    for (const std::string_view name : names) {
      BATCHWRIGHT_ASSIGN_OR_RETURN(const GgufTensor* tensor, file.tensor(fmt::format("blk.{}.{}.weight", layer, name)));
      forms.add(tensor->type);
    }
  }
  return forms;
}

}  // namespace

size_t packed_matrices_bytes(const GgufFile& file) {
  size_t total = 0;
  for (const GgufTensor& tensor : file.tensors()) {
    const auto bytes = packed_weights_bytes(tensor.type, tensor.rows(), tensor.ne[0]);
    // What cannot be packed or overflows is refused where it is loaded.
    if (tensor.rows() == 1 || !bytes.ok()) continue;
    size_t with_this = 0;
    if (!__builtin_add_overflow(total, (*bytes + kAlignment - 1) / kAlignment * kAlignment, &with_this)) {
      total = with_this;
    }
  }
  return total;
}

Result<ModelMemory> model_memory(const GgufFile& file, const ModelShape& shape, int max_rows, int threads) {
  ModelMemory memory;
  memory.weights = packed_matrices_bytes(file);
  size_t largest = 0;
  for (const GgufTensor& tensor : file.tensors()) {
    if (tensor.rows() == 1) memory.weights += static_cast<size_t>(tensor.ne[0]) * sizeof(float);
    largest = std::max(largest, tensor.data.size());
  }
  const DecoderBuffers buffers(shape, max_rows);
  BATCHWRIGHT_ASSIGN_OR_RETURN(const GgufTensor* embedding, file.tensor("token_embd.weight"));
  const GgufTensor* output = file.find_tensor("output.weight");
  const ElementType head_type = (output == nullptr ? embedding : output)->type;
  InputForms head;
  head.add(head_type);
  BATCHWRIGHT_ASSIGN_OR_RETURN(const InputForms normed,
                               forms_of(file, shape.layers, {"attn_q", "attn_k", "attn_v", "ffn_gate", "ffn_up"}));
  BATCHWRIGHT_ASSIGN_OR_RETURN(const InputForms attended, forms_of(file, shape.layers, {"attn_output"}));
  BATCHWRIGHT_ASSIGN_OR_RETURN(const InputForms activated, forms_of(file, shape.layers, {"ffn_down"}));
  memory.step_buffers = buffers.shared_floats * sizeof(float) + normed.bytes(max_rows, shape.embedding) +
                        attended.bytes(max_rows, shape.q_width()) + activated.bytes(max_rows, shape.feed_forward) +
                        head.bytes(max_rows, shape.embedding) + head.bytes(kFullRows, shape.embedding) +
                        static_cast<size_t>(threads) * (buffers.worker_floats * sizeof(float) + buffers.worker_scratch);
  memory.full_logits = static_cast<size_t>(kFullRows) * static_cast<size_t>(shape.vocabulary) * sizeof(float);
  // Each worker packs a few panels at a time; the kernel reads ahead a little for each.
  constexpr size_t kHeldByAWorker = size_t{4} << 20;
  memory.loading = std::min(largest, static_cast<size_t>(threads) * kHeldByAWorker);
  return memory;
}

size_t rope_bytes(const ModelShape& shape, int64_t positions) {
  // As reach_positions() lets them grow.
  const auto reached = std::bit_ceil(static_cast<uint64_t>(std::max<int64_t>(positions, kRopePositionsMin)));
  return 2 * reached * static_cast<size_t>(shape.head_dim) * sizeof(float);
}

}  // namespace batchwright

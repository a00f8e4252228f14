// A model's weights, packed once: the file's own pages are let go, so memory holds one copy.
#pragma once

#include <string>
#include <vector>

#include "base/aligned_buffer.h"
#include "batchwright/status.h"
#include "formats/gguf.h"
#include "kernels/gemm/gemm.h"
#include "model/model_shape.h"
#include "platform/huge_buffer.h"
#include "platform/thread_pool.h"

namespace batchwright {

struct Linear {
  PackedWeights weights;
  AlignedBuffer<float> bias;  // empty: none

  const float* bias_or_null() const { return bias.size() == 0 ? nullptr : bias.data(); }
};

struct LayerWeights {
  AlignedBuffer<float> attention_norm;
  AlignedBuffer<float> q_norm, k_norm;  // empty where shape.qk_norm is false
  AlignedBuffer<float> attention_post_norm;
  AlignedBuffer<float> ffn_norm;
  AlignedBuffer<float> ffn_post_norm;
  Linear q, k, v, output;
  Linear gate, up, down;
};

struct ModelWeights {
  HugeBuffer matrices;  // where the packed matrices lie
  PackedWeights embedding;
  PackedWeights head;  // empty where it is tied to the embedding
  AlignedBuffer<float> output_norm;
  std::vector<LayerWeights> layers;
  size_t bytes = 0;
  int64_t parameters = 0;

  const PackedWeights& logits_head() const { return head.n == 0 ? embedding : head; }
};

// Packs every tensor, in parallel. kInvalidData for a tensor that is missing or of another shape than expected.
Result<ModelWeights> load_weights(const GgufFile& file, const ModelShape& shape, ThreadPool& pool);

}  // namespace batchwright

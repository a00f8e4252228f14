#include "model/weights.h"

#include <fmt/format.h>

#include <atomic>
#include <string_view>

#include "base/status_macros.h"
#include "model/model_memory.h"
#include "tensor/dequantize.h"

namespace batchwright {
namespace {

class WeightLoader {
 public:
  WeightLoader(const GgufFile& file, ThreadPool& pool, ModelWeights& out) : file_(file), pool_(pool), out_(out) {
    out_.matrices = HugeBuffer(packed_matrices_bytes(file));
  }

  Status vector(const std::string& name, int64_t n, AlignedBuffer<float>& out) {
    BATCHWRIGHT_ASSIGN_OR_RETURN(const GgufTensor* tensor, shaped(name, n, 1));
    out = AlignedBuffer<float>(static_cast<size_t>(n));
    dequantize_row(tensor->type, tensor->data.data(), n, out.data());
    account(*tensor, static_cast<size_t>(n) * sizeof(float));
    return {};
  }

  Status vector_if_present(const std::string& name, int64_t n, AlignedBuffer<float>& out) {
    return file_.find_tensor(name) == nullptr ? Status() : vector(name, n, out);
  }

  Status matrix(const std::string& name, int64_t n, int64_t k, PackedWeights& out) {
    BATCHWRIGHT_ASSIGN_OR_RETURN(const GgufTensor* tensor, shaped(name, k, n));
    const auto bytes = packed_weights_bytes(tensor->type, n, k);
    if (!bytes.ok()) return bytes.status().with_context(file_.path() + ": " + name);
    auto packed = make_packed_weights(tensor->type, n, k, out_.matrices.take(*bytes));
    if (!packed.ok()) return packed.status().with_context(file_.path() + ": " + name);
    out = std::move(*packed);
    const auto bytes_a_row = static_cast<int64_t>(tensor->data.size()) / n;
    constexpr int64_t kPanelsAtOnce = 16;
    std::atomic<int64_t> next{0};
    pool_.run([&](int) {
      while (true) {
        const int64_t begin = next.fetch_add(kPanelsAtOnce);
        if (begin >= out.panels()) break;
        const int64_t end = std::min(begin + kPanelsAtOnce, out.panels());
        const auto at = static_cast<size_t>(begin * kPanelColumns * bytes_a_row);
        pack_panels(out, tensor->data.data() + at, begin, end);
        // Bytes of the file and packed ones are not held both, however large the matrix is.
        file_.release(*tensor, at, static_cast<size_t>((end - begin) * kPanelColumns * bytes_a_row));
      }
    });
    account(*tensor, out.data.size());
    return {};
  }

  Status linear(const std::string& name, int64_t n, int64_t k, Linear& out) {
    BATCHWRIGHT_RETURN_IF_ERROR(matrix(name + ".weight", n, k, out.weights));
    return vector_if_present(name + ".bias", n, out.bias);
  }

 private:
  Result<const GgufTensor*> shaped(const std::string& name, int64_t ne0, int64_t ne1) {
    BATCHWRIGHT_ASSIGN_OR_RETURN(const GgufTensor* tensor, file_.tensor(name));
    if (tensor->ne[0] != ne0 || tensor->rows() != ne1) {
      return invalid_data(
          fmt::format("{}: {} has the shape {}; expected [{}, {}]", file_.path(), name, tensor->shape(), ne0, ne1));
    }
    return tensor;
  }

  void account(const GgufTensor& tensor, size_t bytes) {
    out_.bytes += bytes;
    out_.parameters += tensor.elements();
    file_.release(tensor);
  }

  const GgufFile& file_;
  ThreadPool& pool_;
  ModelWeights& out_;
};

}  // namespace

Result<ModelWeights> load_weights(const GgufFile& file, const ModelShape& shape, ThreadPool& pool) {
  ModelWeights w;
  WeightLoader load(file, pool, w);
  const int64_t d = shape.embedding;
  const int64_t q = shape.q_width();
  const int64_t kv = shape.kv_width();
  const int64_t f = shape.feed_forward;
  BATCHWRIGHT_RETURN_IF_ERROR(load.matrix("token_embd.weight", shape.vocabulary, d, w.embedding));
  BATCHWRIGHT_RETURN_IF_ERROR(load.vector("output_norm.weight", d, w.output_norm));
  if (file.find_tensor("output.weight") != nullptr) {
    BATCHWRIGHT_RETURN_IF_ERROR(load.matrix("output.weight", shape.vocabulary, d, w.head));
  }
  w.layers.resize(static_cast<size_t>(shape.layers));
  for (int i = 0; i < shape.layers; ++i) {
    LayerWeights& layer = w.layers[static_cast<size_t>(i)];
    const std::string block = fmt::format("blk.{}.", i);
    BATCHWRIGHT_RETURN_IF_ERROR(load.vector(block + "attn_norm.weight", d, layer.attention_norm));
    BATCHWRIGHT_RETURN_IF_ERROR(load.linear(block + "attn_q", q, d, layer.q));
    BATCHWRIGHT_RETURN_IF_ERROR(load.linear(block + "attn_k", kv, d, layer.k));
    BATCHWRIGHT_RETURN_IF_ERROR(load.linear(block + "attn_v", kv, d, layer.v));
    BATCHWRIGHT_RETURN_IF_ERROR(load.linear(block + "attn_output", d, q, layer.output));
    if (shape.qk_norm) {
      BATCHWRIGHT_RETURN_IF_ERROR(load.vector(block + "attn_q_norm.weight", shape.head_dim, layer.q_norm));
      BATCHWRIGHT_RETURN_IF_ERROR(load.vector(block + "attn_k_norm.weight", shape.head_dim, layer.k_norm));
    }
    if (shape.post_norms) {
      BATCHWRIGHT_RETURN_IF_ERROR(load.vector(block + "post_attention_norm.weight", d, layer.attention_post_norm));
      BATCHWRIGHT_RETURN_IF_ERROR(load.vector(block + "post_ffw_norm.weight", d, layer.ffn_post_norm));
    }
    BATCHWRIGHT_RETURN_IF_ERROR(load.vector(block + "ffn_norm.weight", d, layer.ffn_norm));
    BATCHWRIGHT_RETURN_IF_ERROR(load.linear(block + "ffn_gate", f, d, layer.gate));
    BATCHWRIGHT_RETURN_IF_ERROR(load.linear(block + "ffn_up", f, d, layer.up));
    BATCHWRIGHT_RETURN_IF_ERROR(load.linear(block + "ffn_down", d, f, layer.down));
  }
  BATCHWRIGHT_RETURN_IF_ERROR(file.check());
  return w;
}

}  // namespace batchwright

// What a decoder looks like, as plain numbers: one description for every architecture family.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "batchwright/options.h"
#include "batchwright/status.h"
#include "formats/gguf.h"

namespace batchwright {

enum class Activation { kSilu, kGeluTanh };

struct RopeShape {
  double base = 10000.0;
  double scale = 1.0;  // positions are multiplied by it
};

// A decoder block is: norm, q/k/v (biased where the file has biases), norm of q and k heads (where the file has it),
// rope, attention, output, post norm (where the file has it), residual; norm, gate and up, activation, down, post norm,
// residual.
struct ModelShape {
  std::string architecture;
  std::string name;
  int layers = 0;
  int embedding = 0;  // width of the residual stream
  int feed_forward = 0;
  int heads = 0;     // query heads
  int kv_heads = 0;  // divides heads
  int head_dim = 0;
  int vocabulary = 0;
  int context_length = 0;
  float norm_eps = 0;
  float embedding_scale = 1.0F;
  float attention_scale = 1.0F;
  float attention_soft_cap = 0.0F;
  float final_soft_cap = 0.0F;
  Activation activation = Activation::kSilu;
  bool qk_norm = false;
  bool post_norms = false;
  RopeShape rope_full;       // of layers that see all positions
  RopeShape rope_windowed;   // of layers with a window
  std::vector<int> windows;  // one a layer; 0: sees all

  int heads_per_kv() const { return heads / kv_heads; }
  int q_width() const { return heads * head_dim; }
  int kv_width() const { return kv_heads * head_dim; }
};

// Layers of equal reach keep their K and V in the same pages.
struct PageClass {
  int window = 0;
  std::vector<int> layers;
};
std::vector<PageClass> page_classes(const ModelShape& shape);

// Bytes of a page (64 positions, all layers of the class).
size_t page_bytes(const ModelShape& shape, const PageClass& page_class, KvFormat format);

// Bytes of K and V that one sequence of `positions` holds, over all classes.
size_t kv_bytes(const ModelShape& shape, KvFormat format, int64_t positions);

// Reads and checks the metadata. kUnsupported for an architecture that is not known (the known ones are listed),
// kInvalidData for a key that is missing, of the wrong type or out of range; the message names key, value and limit.
Result<ModelShape> read_model_shape(const GgufFile& file);

}  // namespace batchwright

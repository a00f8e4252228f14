#include "model/model_shape.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <string_view>

#include "base/status_macros.h"
#include "kernels/attention/attention.h"
#include "step/step.h"

namespace batchwright {
namespace {

constexpr uint64_t kMaxLayers = 1024;
constexpr uint64_t kMaxWidth = 1 << 20;
constexpr uint64_t kMaxHeads = 4096;
constexpr uint64_t kMaxHeadDim = 256;
constexpr uint64_t kMaxContext = 1 << 24;

// Reads the keys of one architecture: "qwen2.block_count" and so on.
class ShapeReader {
 public:
  ShapeReader(const GgufFile& file, std::string architecture) : file_(file), prefix_(std::move(architecture) + ".") {}

  Status size(std::string_view key, uint64_t most, int& out) const {
    BATCHWRIGHT_ASSIGN_OR_RETURN(const uint64_t value, file_.unsigned_integer_in(name(key), 1, most));
    out = static_cast<int>(value);
    return {};
  }
  Status size_or(std::string_view key, uint64_t most, int otherwise, int& out) const {
    if (has(key)) return size(key, most, out);
    out = otherwise;
    return {};
  }
  Status positive(std::string_view key, double otherwise, double& out) const {
    BATCHWRIGHT_ASSIGN_OR_RETURN(const double value, file_.real_or(name(key), otherwise));
    if (!(value > 0) || !(value < 1e30)) {
      return invalid_data(
          fmt::format("{}: {} is {}; it must be a finite number above 0", file_.path(), name(key), value));
    }
    out = value;
    return {};
  }
  bool has(std::string_view key) const { return file_.has(name(key)); }
  std::string name(std::string_view key) const { return prefix_ + std::string(key); }
  const GgufFile& file() const { return file_; }

 private:
  const GgufFile& file_;
  std::string prefix_;
};

Status fail(const GgufFile& file, const std::string& message) { return invalid_data(file.path() + ": " + message); }

// The keys that all families share.
Status read_common(const ShapeReader& reader, ModelShape& shape) {
  BATCHWRIGHT_RETURN_IF_ERROR(reader.size("block_count", kMaxLayers, shape.layers));
  BATCHWRIGHT_RETURN_IF_ERROR(reader.size("embedding_length", kMaxWidth, shape.embedding));
  BATCHWRIGHT_RETURN_IF_ERROR(reader.size("feed_forward_length", kMaxWidth, shape.feed_forward));
  BATCHWRIGHT_RETURN_IF_ERROR(reader.size("context_length", kMaxContext, shape.context_length));
  BATCHWRIGHT_RETURN_IF_ERROR(reader.size("attention.head_count", kMaxHeads, shape.heads));
  BATCHWRIGHT_RETURN_IF_ERROR(reader.size_or("attention.head_count_kv", kMaxHeads, shape.heads, shape.kv_heads));
  if (shape.heads % shape.kv_heads != 0) {
    return fail(reader.file(), fmt::format("{} = {} is not a multiple of {} = {}", reader.name("attention.head_count"),
                                           shape.heads, reader.name("attention.head_count_kv"), shape.kv_heads));
  }
  if (!reader.has("attention.key_length") && shape.embedding % shape.heads != 0) {
    return fail(reader.file(),
                fmt::format("{} = {} does not divide {} = {}, and there is no {}", reader.name("attention.head_count"),
                            shape.heads, reader.name("embedding_length"), shape.embedding,
                            reader.name("attention.key_length")));
  }
  BATCHWRIGHT_RETURN_IF_ERROR(
      reader.size_or("attention.key_length", kMaxHeadDim, shape.embedding / shape.heads, shape.head_dim));
  int value_length = 0;
  BATCHWRIGHT_RETURN_IF_ERROR(reader.size_or("attention.value_length", kMaxHeadDim, shape.head_dim, value_length));
  if (value_length != shape.head_dim || shape.head_dim % 8 != 0 || shape.head_dim > static_cast<int>(kMaxHeadDim)) {
    return unsupported(
        fmt::format("{}: heads of {} (keys) and {} (values) dimensions; supported are equal ones, a "
                    "multiple of 8, at most {}",
                    reader.file().path(), shape.head_dim, value_length, kMaxHeadDim));
  }
  double eps = 0;
  BATCHWRIGHT_RETURN_IF_ERROR(reader.positive("attention.layer_norm_rms_epsilon", 1e-6, eps));
  shape.norm_eps = static_cast<float>(eps);
  BATCHWRIGHT_RETURN_IF_ERROR(reader.positive("rope.freq_base", 10000.0, shape.rope_full.base));
  int rope_dimensions = 0;
  BATCHWRIGHT_RETURN_IF_ERROR(reader.size_or("rope.dimension_count", kMaxWidth, shape.head_dim, rope_dimensions));
  if (rope_dimensions != shape.head_dim) {
    return unsupported(fmt::format("{}: {} is {}; only rotation of the whole head ({}) is supported",
                                   reader.file().path(), reader.name("rope.dimension_count"), rope_dimensions,
                                   shape.head_dim));
  }
  BATCHWRIGHT_ASSIGN_OR_RETURN(const std::string_view scaling,
                               reader.file().string_or(reader.name("rope.scaling.type"), "none"));
  if (scaling == "linear") {
    double factor = 1;
    BATCHWRIGHT_RETURN_IF_ERROR(reader.positive("rope.scaling.factor", 1.0, factor));
    shape.rope_full.scale = 1.0 / factor;
  } else if (scaling != "none") {
    return unsupported(fmt::format("{}: {} is '{}'; supported are none, linear", reader.file().path(),
                                   reader.name("rope.scaling.type"), scaling));
  }
  shape.rope_windowed = shape.rope_full;
  shape.attention_scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(shape.head_dim)));
  shape.windows.assign(static_cast<size_t>(shape.layers), 0);
  return {};
}

// Qwen2 (Yang et al. 2024): biases on q, k and v, SwiGLU.
Status read_qwen2(const ShapeReader& /*reader*/, ModelShape& shape) {
  shape.activation = Activation::kSilu;
  return {};
}

// Gemma 3 (Kamath et al. 2025): scaled embeddings, norms of q and k heads, norms before and after both halves of a
// block, five windowed layers to one that sees all, each kind with its own rope base.
Status read_gemma3(const ShapeReader& reader, ModelShape& shape) {
  shape.activation = Activation::kGeluTanh;
  shape.qk_norm = true;
  shape.post_norms = true;
  shape.embedding_scale = std::sqrt(static_cast<float>(shape.embedding));
  int window = 0;
  int pattern = 0;
  BATCHWRIGHT_RETURN_IF_ERROR(reader.size("attention.sliding_window", kMaxContext, window));
  BATCHWRIGHT_RETURN_IF_ERROR(reader.size_or("attention.sliding_window_pattern", kMaxLayers, 6, pattern));
  for (int layer = 0; layer < shape.layers; ++layer) {
    shape.windows[static_cast<size_t>(layer)] = (layer + 1) % pattern == 0 ? 0 : window;
  }
  shape.rope_windowed = {10000.0, 1.0};
  BATCHWRIGHT_RETURN_IF_ERROR(reader.positive("rope.freq_base_swa", 10000.0, shape.rope_windowed.base));
  return {};
}

struct Family {
  const char* name;
  Status (*read)(const ShapeReader& reader, ModelShape& shape);
};
constexpr Family kFamilies[] = {{"qwen2", read_qwen2}, {"gemma3", read_gemma3}};

}  // namespace

std::vector<PageClass> page_classes(const ModelShape& shape) {
  std::vector<PageClass> classes;
  for (int layer = 0; layer < shape.layers; ++layer) {
    const int window = shape.windows[static_cast<size_t>(layer)];
    auto it = std::find_if(classes.begin(), classes.end(), [&](const PageClass& c) { return c.window == window; });
    if (it == classes.end()) it = classes.insert(classes.end(), {window, {}});
    it->layers.push_back(layer);
  }
  // Whole reach first: its pages hold the prefix tree together.
  std::stable_sort(classes.begin(), classes.end(),
                   [](const PageClass& a, const PageClass& b) { return (a.window == 0) > (b.window == 0); });
  return classes;
}

size_t page_bytes(const ModelShape& shape, const PageClass& page_class, KvFormat format) {
  return page_class.layers.size() * static_cast<size_t>(shape.kv_heads) * kv_head_block_bytes(shape.head_dim, format);
}

size_t kv_bytes(const ModelShape& shape, KvFormat format, int64_t positions) {
  size_t bytes = 0;
  for (const PageClass& page_class : page_classes(shape)) {
    int64_t pages = blocks_for(positions);
    // A window that begins inside a block touches one more.
    if (page_class.window > 0) pages = std::min<int64_t>(pages, blocks_for(page_class.window) + 1);
    bytes += static_cast<size_t>(pages) * page_bytes(shape, page_class, format);
  }
  return bytes;
}

Result<ModelShape> read_model_shape(const GgufFile& file) {
  BATCHWRIGHT_ASSIGN_OR_RETURN(const std::string_view architecture, file.string("general.architecture"));
  const Family* family =
      std::find_if(std::begin(kFamilies), std::end(kFamilies), [&](const Family& f) { return f.name == architecture; });
  if (family == std::end(kFamilies)) {
    std::string known;
    for (const Family& f : kFamilies) known += (known.empty() ? "" : ", ") + std::string(f.name);
    return unsupported(
        fmt::format("{}: architecture '{}' is not supported; supported are {}", file.path(), architecture, known));
  }
  ModelShape shape;
  shape.architecture = std::string(architecture);
  BATCHWRIGHT_ASSIGN_OR_RETURN(const std::string_view name, file.string_or("general.name", ""));
  shape.name = std::string(name);
  const ShapeReader reader(file, shape.architecture);
  BATCHWRIGHT_RETURN_IF_ERROR(read_common(reader, shape));
  BATCHWRIGHT_RETURN_IF_ERROR(family->read(reader, shape));

  BATCHWRIGHT_ASSIGN_OR_RETURN(const GgufTensor* embedding, file.tensor("token_embd.weight"));
  if (embedding->ne[0] != shape.embedding || embedding->ne[1] > (1 << 24)) {
    return fail(file, fmt::format("token_embd.weight has the shape {}; expected [{}, vocabulary]", embedding->shape(),
                                  shape.embedding));
  }
  shape.vocabulary = static_cast<int>(embedding->ne[1]);
  return shape;
}

}  // namespace batchwright

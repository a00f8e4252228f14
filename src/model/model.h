// Runs steps: the decoder compiled to a flat list of stages over the paged KV.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "batchwright/options.h"
#include "batchwright/status.h"
#include "formats/gguf.h"
#include "kernels/rows/rows.h"
#include "model/model_shape.h"
#include "platform/thread_pool.h"
#include "step/step.h"

namespace batchwright {

// What one stage of the list costs, and its time so far.
struct StageCost {
  const char* name;
  int layer;                   // -1: of no layer
  double multiply_adds_a_row;  // with weights: without attention, which depends on what a row sees
  double weight_bytes;         // read once a step
  int64_t rows;                // so far
  int64_t steps;
  double seconds;  // of worker 0, waiting for the others included
};

struct ForwardResult {
  // One an entry of Step::logits with full == false; unspecified for the others.
  std::vector<ArgMax> argmax;
  // One a row of the step: 1 where a value that should be finite was not. The row's results mean nothing then; other
  // rows are not touched by it.
  std::vector<uint8_t> row_failed;
};

// Takes the whole row of logits (the vocabulary's size) of Step::logits[index]; may change it. Called by several
// workers at once, for different rows.
using FullLogits = std::function<void(int worker, int index, std::span<float> logits)>;

// Rows of an attention group that one worker takes at once, for one KV head.
int attention_rows_per_item(const ModelShape& shape);

class Model {
 public:
  // Packs the weights and checks the selected kernels against the scalar reference. `pool` must outlive the model.
  // max_rows: of a step. kResourceExhausted where the machine's memory does not hold steps of that size.
  static Result<std::unique_ptr<Model>> load(const GgufFile& file, ThreadPool& pool, Isa isa, int max_rows);

  virtual ~Model() = default;

  virtual const ModelShape& shape() const = 0;
  virtual size_t weight_bytes() const = 0;
  // Of the buffers for steps of max_rows rows.
  virtual size_t buffer_bytes() const = 0;
  virtual int64_t parameters() const = 0;

  // Sets up pages[c] pages of each class of page_classes(shape()).
  virtual Status allocate_kv(KvFormat format, std::span<const int32_t> pages) = 0;

  // Runs one step of at most max_rows rows over its pages. The result stays valid until the next call. Each row's bits
  // depend on its own tokens and positions alone.
  virtual const ForwardResult& forward(const Step& step, const FullLogits& full_logits) = 0;

  virtual std::vector<StageCost> stage_costs() const = 0;
};

}  // namespace batchwright

// The one decoder block that all families describe, as stages that all workers walk together.
#pragma once

#include <array>
#include <atomic>
#include <string>
#include <vector>

#include "base/aligned_buffer.h"
#include "kernels/attention/attention.h"
#include "kernels/gemm/gemm.h"
#include "kernels/gemm/pruning.h"
#include "kernels/math/math.h"
#include "model/kv_store.h"
#include "model/model.h"
#include "model/weights.h"

namespace batchwright {

// Columns of the vocabulary whose logits a worker holds at once.
inline constexpr int64_t kPiecePanels = 32;
inline constexpr int64_t kPieceColumns = kPiecePanels * kPanelColumns;
// Rows whose whole logits are held at once; more come in waves.
inline constexpr int64_t kFullRows = 16;

// Positions for which a table of angles is made at least.
inline constexpr int kRopePositionsMin = 1024;

// The sizes of what allocate_buffers() takes, but for the inputs of products, whose forms follow from the weights.
struct DecoderBuffers {
  DecoderBuffers(const ModelShape& shape, int max_rows);

  size_t shared_floats = 0;   // of all workers together
  size_t worker_floats = 0;   // of each one
  size_t worker_scratch = 0;  // of each one, in bytes
};

inline int64_t chunks(int64_t n, int64_t size) { return (n + size - 1) / size; }

// Rows in the form that a matrix product reads: int8 blocks, f32, or both where its matrices differ.
class ProductInput {
 public:
  ProductInput() = default;
  // For the given matrices, all of k inputs.
  ProductInput(std::span<const PackedWeights* const> matrices, int64_t k, int64_t max_rows);

  // Stores row `row`; false where it holds a value that is not finite and the form can tell.
  bool store(const GemmKernels& kernels, int64_t row, const float* x);
  // Stores columns [column_begin, column_begin + columns) of `rows` rows, the first of a strip of four; both counts of
  // columns are multiples of 32 where the form is int8. failed[row] becomes 1 for a row that is not finite.
  void store_tile(const GemmKernels& kernels, int64_t row_begin, int64_t rows, int64_t column_begin, int64_t columns,
                  const float* x, int64_t x_stride, std::vector<uint8_t>& failed);
  // Readies `rows` rows for reading.
  void finish(const GemmKernels& kernels, int64_t rows);
  const void* activations(ElementType weights) const;
  size_t bytes() const { return quantized_.size() + floats_.size() * sizeof(float); }

 private:
  int64_t k_ = 0;
  AlignedBuffer<std::byte> quantized_;
  AlignedBuffer<float> floats_;
};

class Decoder final : public Model {
 public:
  Decoder(ModelShape shape, ModelWeights weights, ThreadPool& pool, Isa isa, int max_rows);

  const ModelShape& shape() const override { return shape_; }
  size_t weight_bytes() const override { return weights_.bytes; }
  size_t buffer_bytes() const override;
  int64_t parameters() const override { return weights_.parameters; }
  Status allocate_kv(KvFormat format, std::span<const int32_t> pages) override;
  const ForwardResult& forward(const Step& step, const FullLogits& full_logits) override;
  std::vector<StageCost> stage_costs() const override;

 private:
  // out[row][first_column + j] of one matrix; several make one stage where they read the same input.
  struct Product {
    const PackedWeights* weights = nullptr;
    const float* bias = nullptr;
    float* out = nullptr;
    int64_t out_stride = 0;
  };

  // A stage is done in rounds with a barrier after each; the items of a round may run in any order on any worker.
  struct Stage {
    const char* name;
    int layer;
    int (Decoder::*rounds)(const Stage& stage) const;  // null: one
    int64_t (Decoder::*items)(const Stage& stage, int round) const;
    void (Decoder::*run)(const Stage& stage, int round, int64_t item, int worker);
    std::array<Product, 3> products{};
    int product_count = 0;
    std::vector<int64_t> item_begins{};  // panels, counted through the products; then their number
    const ProductInput* input = nullptr;
    // Of a fused stage: what follows its products.
    const char* epilogue = nullptr;
    int64_t rows_done = 0;
    int64_t steps_done = 0;
    double seconds = 0;           // of worker 0
    double epilogue_seconds = 0;  // of these
  };

  // Rows [begin, end) of the step.
  struct Rows {
    int64_t begin;
    int64_t end;
  };

  // Rows of one group that meet one KV head.
  struct AttentionPart {
    const AttentionGroup* group;
    int kv_head;
    int first_row;
    int row_count;
  };
  // Parts that don't wait for each other. A worker takes several small ones at once, so that it knows whose pages it
  // needs next.
  struct AttentionRound {
    std::vector<AttentionPart> parts;
    std::vector<size_t> item_begins;  // items are [item_begins[i], item_begins[i + 1]) of the parts
  };

  struct Worker {
    AlignedBuffer<float> rows;         // a strip of the widest
    AlignedBuffer<float> tile;         // gate and up of all rows for a few columns
    AlignedBuffer<std::byte> scratch;  // of the kernels
    AlignedBuffer<float> logits;       // rows + 1 (for pruning) x columns of a piece of the vocabulary
    AlignedBuffer<std::byte> pruned_row;
    std::vector<const void*> blocks;
    std::vector<ArgMax> best;
    std::vector<uint8_t> failed;  // rows
    double epilogue_seconds = 0;
  };

  void compile();
  void compile_layer(int layer);
  void allocate_buffers();
  void add_stage(const char* name, int layer, int64_t (Decoder::*items)(const Stage&, int) const,
                 void (Decoder::*run)(const Stage&, int, int64_t, int),
                 int (Decoder::*rounds)(const Stage&) const = nullptr);
  void add_products(const char* name, int layer, const ProductInput& input, std::initializer_list<Product> products);
  void fuse_gate_up(Stage& stage);
  void prepare(const Step& step);
  void walk(int worker);
  void merge_workers();
  void prepare_pruning();
  int64_t rows_of(const Stage& stage) const;

  int64_t rows_per_item() const;
  int64_t tile_columns() const;
  int64_t row_items(const Stage& stage, int round) const;
  Rows rows_of_item(int64_t item) const;
  int64_t product_items(const Stage& stage, int round) const;
  void plan_attention(const std::vector<AttentionGroup>& groups, AttentionRound& round);
  int64_t part_work(const AttentionPart& part) const;
  const std::vector<AttentionRound>& rounds_of(const Stage& stage) const;
  int attention_rounds(const Stage& stage) const;
  int64_t attention_items(const Stage& stage, int round) const;
  int64_t final_items(const Stage& stage, int round) const;
  int64_t argmax_items(const Stage& stage, int round) const;
  int full_rounds(const Stage& stage) const;
  int64_t full_items(const Stage& stage, int round) const;

  void run_embed(const Stage& stage, int round, int64_t item, int worker);
  void run_attention_norm(const Stage& stage, int round, int64_t item, int worker);
  void run_product(const Stage& stage, int round, int64_t item, int worker);
  void run_rope(const Stage& stage, int round, int64_t item, int worker);
  void run_attention(const Stage& stage, int round, int64_t item, int worker);
  void run_attention_part(int layer, const AttentionPart& part, const AttentionPart* next, int worker);
  void run_attention_output(const Stage& stage, int round, int64_t item, int worker);
  void run_ffn_norm(const Stage& stage, int round, int64_t item, int worker);
  void run_gate_up(const Stage& stage, int round, int64_t item, int worker);
  void run_final_norm(const Stage& stage, int round, int64_t item, int worker);
  void run_argmax(const Stage& stage, int round, int64_t item, int worker);
  bool prunes() const { return pruning_ != nullptr && static_cast<int64_t>(argmax_rows_.size()) >= pruning_->rows_min; }
  void run_full(const Stage& stage, int round, int64_t item, int worker);

  // The first of the rows, as far as they stand side by side in a page; returns the row behind them.
  int64_t store_keys_values(int layer, Rows rows);
  // normed_ of x, to which y is added before if there is a residual.
  void store_normed(Rows rows, const AlignedBuffer<float>& post_norm, const AlignedBuffer<float>& norm, bool residual,
                    Worker& own);
  // x += y of the former sublayer, behind its post norm where there is one.
  void add_residual(int row, const AlignedBuffer<float>& post_norm);
  GemmArgs head_product(const ProductInput& input, int64_t piece, int worker);
  // The product of some of its panels for the step's rows; `out` is the caller's.
  GemmArgs product_args(const Stage& stage, const Product& product, int64_t panel_begin, int64_t panel_end, int worker);
  const LayerWeights& layer_weights(int layer) const { return weights_.layers[static_cast<size_t>(layer)]; }

  ModelShape shape_;
  ModelWeights weights_;
  ThreadPool& pool_;
  const GemmKernels& gemm_;
  const AttentionKernels& attention_;
  const RowKernels& rows_;
  const int max_rows_;
  std::vector<PageClass> page_classes_;
  std::vector<int> class_of_layer_;
  KvStore kv_;
  RopeTable rope_full_;
  RopeTable rope_windowed_;

  const PruningKernels* pruning_ = nullptr;  // null: all logits are computed
  AlignedBuffer<float> column_bounds_;       // [vocabulary in whole panels]
  AlignedBuffer<float> row_bounds_;          // [rows]
  std::vector<std::atomic<float>> floors_;   // [rows]

  std::vector<Stage> stages_;
  std::vector<Worker> workers_;
  std::array<std::atomic<int64_t>, 3> counters_{};

  AlignedBuffer<float> x_;            // [rows][embedding], the residual stream
  AlignedBuffer<float> y_;            // [rows][embedding], what a sublayer adds to it
  AlignedBuffer<float> q_;            // [rows][heads][head_dim]
  AlignedBuffer<float> k_, v_;        // [rows][kv_heads][head_dim]
  AlignedBuffer<float> state_;        // [rows][heads][2 + head_dim]
  AlignedBuffer<float> full_logits_;  // [kFullRows][vocabulary], taken on first use
  ProductInput normed_, attended_, activated_, final_, full_;

  // Of the step under way.
  const Step* step_ = nullptr;
  const FullLogits* consumer_ = nullptr;
  int rows_now_ = 0;
  std::vector<std::vector<AttentionRound>> attention_rounds_;  // [class][level]
  std::vector<int> argmax_rows_;                               // indices into step.logits
  std::vector<int> full_rows_;
  ForwardResult result_;
};

}  // namespace batchwright

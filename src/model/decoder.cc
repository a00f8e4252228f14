#include "model/decoder.h"

#include <algorithm>
#include <bit>
#include <chrono>
#include <limits>
#include <utility>

#include "base/check.h"

namespace batchwright {
namespace {

// A strip of quantised rows.
constexpr int64_t kStrip = 4;
// Rows that a worker takes at once: neighbouring positions' keys lie in the same cache lines.
constexpr int64_t kRowsPerItemMax = 32;
// Columns of gate and up that lie in the cache together, for all rows: whole blocks of quantised activations.
constexpr int64_t kTileColumns = 32;
// Rows of such a tile that are quantised while their activation is in the first-level cache.
constexpr int64_t kActivationRows = 32;

using Clock = std::chrono::steady_clock;

// Cuts `panels` into items that become smaller towards the end, so that the workers finish together: each a part of
// what is left (Polychronopoulos and Kuck 1987, guided self-scheduling), whole units but for the last.
std::vector<int64_t> guided_items(int64_t panels, int64_t unit, int workers) {
  constexpr int64_t kItemPanelsMax = 16;
  std::vector<int64_t> begins = {0};
  while (begins.back() < panels) {
    const int64_t left = panels - begins.back();
    const int64_t share = std::min(kItemPanelsMax, left / (int64_t{2} * workers)) / unit * unit;
    begins.push_back(std::min(panels, begins.back() + std::max(unit, share)));
  }
  return begins;
}

int widest_row(const ModelShape& shape) { return std::max({shape.embedding, shape.q_width(), shape.feed_forward}); }

void reach_positions(RopeTable& table, const RopeShape& shape, int dim, int64_t positions) {
  if (table.positions >= positions) return;
  const auto grown =
      static_cast<int64_t>(std::bit_ceil(static_cast<uint64_t>(std::max<int64_t>(positions, kRopePositionsMin))));
  table = make_rope_table(dim, shape.base, shape.scale, grown);
}

}  // namespace

ProductInput::ProductInput(std::span<const PackedWeights* const> matrices, int64_t k, int64_t max_rows) : k_(k) {
  for (const PackedWeights* matrix : matrices) {
    if (uses_quantized_activations(matrix->type)) {
      if (quantized_.size() == 0) quantized_ = AlignedBuffer<std::byte>(quantized_rows_bytes(max_rows, k));
    } else if (floats_.size() == 0) {
      floats_ = AlignedBuffer<float>(static_cast<size_t>(max_rows * k));
    }
  }
}

bool ProductInput::store(const GemmKernels& kernels, int64_t row, const float* x) {
  if (floats_.size() > 0) std::copy_n(x, k_, floats_.data() + row * k_);
  return quantized_.size() == 0 || kernels.quantize_row(x, k_, row, quantized_.data());
}

void ProductInput::store_tile(const GemmKernels& kernels, int64_t row_begin, int64_t rows, int64_t column_begin,
                              int64_t columns, const float* x, int64_t x_stride, std::vector<uint8_t>& failed) {
  for (int64_t r = 0; floats_.size() > 0 && r < rows; ++r) {
    std::copy_n(x + r * x_stride, columns, floats_.data() + (row_begin + r) * k_ + column_begin);
  }
  if (quantized_.size() == 0) return;
  kernels.quantize_tile({.x = x,
                         .x_stride = x_stride,
                         .row_begin = row_begin,
                         .rows = rows,
                         .column_begin = column_begin,
                         .columns = columns,
                         .k = k_,
                         .quantized = quantized_.data(),
                         .failed = failed.data() + row_begin});
}

void ProductInput::finish(const GemmKernels& kernels, int64_t rows) {
  if (quantized_.size() > 0) kernels.pad_rows(rows, k_, quantized_.data());
}

const void* ProductInput::activations(ElementType weights) const {
  return uses_quantized_activations(weights) ? static_cast<const void*>(quantized_.data()) : floats_.data();
}

Decoder::Decoder(ModelShape shape, ModelWeights weights, ThreadPool& pool, Isa isa, int max_rows)
    : shape_(std::move(shape)),
      weights_(std::move(weights)),
      pool_(pool),
      gemm_(gemm_kernels(isa)),
      attention_(attention_kernels(isa)),
      rows_(row_kernels(isa)),
      max_rows_(max_rows),
      page_classes_(page_classes(shape_)) {
  class_of_layer_.resize(static_cast<size_t>(shape_.layers));
  for (size_t c = 0; c < page_classes_.size(); ++c) {
    for (const int layer : page_classes_[c].layers) class_of_layer_[static_cast<size_t>(layer)] = static_cast<int>(c);
  }
  allocate_buffers();
  prepare_pruning();
  compile();
}

void Decoder::allocate_buffers() {
  const auto floats = [&](int width) {
    return AlignedBuffer<float>(static_cast<size_t>(max_rows_) * static_cast<size_t>(width));
  };
  x_ = floats(shape_.embedding);
  y_ = floats(shape_.embedding);
  q_ = floats(shape_.q_width());
  k_ = floats(shape_.kv_width());
  v_ = floats(shape_.kv_width());
  state_ = floats(shape_.heads * static_cast<int>(attention_state_floats(shape_.head_dim)));

  std::vector<const PackedWeights*> normed;
  std::vector<const PackedWeights*> attended;
  std::vector<const PackedWeights*> activated;
  for (const LayerWeights& layer : weights_.layers) {
    for (const Linear* l : {&layer.q, &layer.k, &layer.v, &layer.gate, &layer.up}) normed.push_back(&l->weights);
    attended.push_back(&layer.output.weights);
    activated.push_back(&layer.down.weights);
  }
  const PackedWeights* head = &weights_.logits_head();
  normed_ = ProductInput(normed, shape_.embedding, max_rows_);
  attended_ = ProductInput(attended, shape_.q_width(), max_rows_);
  activated_ = ProductInput(activated, shape_.feed_forward, max_rows_);
  final_ = ProductInput({&head, 1}, shape_.embedding, max_rows_);
  full_ = ProductInput({&head, 1}, shape_.embedding, kFullRows);

  const int widest = widest_row(shape_);
  const DecoderBuffers sizes(shape_, max_rows_);
  workers_.resize(static_cast<size_t>(pool_.size()));
  for (Worker& worker : workers_) {
    worker.rows = AlignedBuffer<float>(static_cast<size_t>(kStrip * widest));
    worker.tile = AlignedBuffer<float>(static_cast<size_t>(2 * max_rows_ * kTileColumns));
    worker.scratch = AlignedBuffer<std::byte>(sizes.worker_scratch);
    worker.logits = AlignedBuffer<float>(static_cast<size_t>((max_rows_ + 1) * kPieceColumns));
  }
}

DecoderBuffers::DecoderBuffers(const ModelShape& shape, int max_rows) {
  const auto rows = static_cast<size_t>(max_rows);
  const auto widest = static_cast<size_t>(widest_row(shape));
  shared_floats = rows * (static_cast<size_t>(shape.embedding) * 2 + static_cast<size_t>(shape.q_width()) +
                          static_cast<size_t>(shape.kv_width()) * 2 +
                          static_cast<size_t>(shape.heads) * attention_state_floats(shape.head_dim));
  worker_floats = static_cast<size_t>(kStrip) * widest + rows * 2 * static_cast<size_t>(kTileColumns) +
                  (rows + 1) * static_cast<size_t>(kPieceColumns);
  worker_scratch = std::max(gemm_scratch_bytes(max_rows, static_cast<int64_t>(widest)), attention_scratch_bytes());
}

size_t Decoder::buffer_bytes() const {
  size_t floats = 0;
  for (const AlignedBuffer<float>* buffer : {&x_, &y_, &q_, &k_, &v_, &state_}) floats += buffer->size();
  size_t bytes = 0;
  for (const ProductInput* input : {&normed_, &attended_, &activated_, &final_, &full_}) bytes += input->bytes();
  for (const Worker& worker : workers_) {
    floats += worker.rows.size() + worker.tile.size() + worker.logits.size();
    bytes += worker.scratch.size();
  }
  return bytes + floats * sizeof(float);
}

Status Decoder::allocate_kv(KvFormat format, std::span<const int32_t> pages) {
  auto store = KvStore::create(shape_, format, pages);
  if (!store.ok()) return store.status();
  kv_ = std::move(*store);
  return {};
}

// The list of stages

void Decoder::add_stage(const char* name, int layer, int64_t (Decoder::*items)(const Stage&, int) const,
                        void (Decoder::*run)(const Stage&, int, int64_t, int),
                        int (Decoder::*rounds)(const Stage&) const) {
  Stage stage{};
  stage.name = name;
  stage.layer = layer;
  stage.rounds = rounds;
  stage.items = items;
  stage.run = run;
  stages_.push_back(stage);
}

void Decoder::add_products(const char* name, int layer, const ProductInput& input,
                           std::initializer_list<Product> products) {
  add_stage(name, layer, &Decoder::product_items, &Decoder::run_product);
  Stage& stage = stages_.back();
  std::copy(products.begin(), products.end(), stage.products.begin());
  stage.product_count = static_cast<int>(products.size());
  stage.input = &input;
  int64_t panels = 0;
  for (const Product& product : products) panels += product.weights->panels();
  stage.item_begins = guided_items(panels, gemm_.panels_at_once, pool_.size());
}

void Decoder::fuse_gate_up(Stage& stage) {
  stage.run = &Decoder::run_gate_up;
  stage.epilogue = "activation";
  // Whole tiles of one matrix, to which those of the other belong.
  const int64_t unit = std::max(kTileColumns / kPanelColumns, gemm_.panels_at_once);
  stage.item_begins = guided_items(stage.products[0].weights->panels(), unit, pool_.size());
}

void Decoder::compile() {
  add_stage("embed", -1, &Decoder::row_items, &Decoder::run_embed);
  for (int layer = 0; layer < shape_.layers; ++layer) compile_layer(layer);
  add_stage("final norm", -1, &Decoder::final_items, &Decoder::run_final_norm);
  add_stage("argmax", -1, &Decoder::argmax_items, &Decoder::run_argmax);
  add_stage("full logits", -1, &Decoder::full_items, &Decoder::run_full, &Decoder::full_rounds);
}

void Decoder::compile_layer(int layer) {
  const LayerWeights& w = layer_weights(layer);
  const int64_t d = shape_.embedding;
  const auto product = [](const Linear& linear, AlignedBuffer<float>& out, int64_t stride) {
    return Product{&linear.weights, linear.bias_or_null(), out.data(), stride};
  };
  add_stage("attention norm", layer, &Decoder::row_items, &Decoder::run_attention_norm);
  add_products(
      "qkv", layer, normed_,
      {product(w.q, q_, shape_.q_width()), product(w.k, k_, shape_.kv_width()), product(w.v, v_, shape_.kv_width())});
  add_stage("rope", layer, &Decoder::row_items, &Decoder::run_rope);
  add_stage("attention", layer, &Decoder::attention_items, &Decoder::run_attention, &Decoder::attention_rounds);
  add_stage("attention finish", layer, &Decoder::row_items, &Decoder::run_attention_output);
  add_products("output", layer, attended_, {product(w.output, y_, d)});
  add_stage("ffn norm", layer, &Decoder::row_items, &Decoder::run_ffn_norm);
  add_products("gate up", layer, normed_,
               {Product{&w.gate.weights, w.gate.bias_or_null()}, Product{&w.up.weights, w.up.bias_or_null()}});
  fuse_gate_up(stages_.back());
  add_products("down", layer, activated_, {product(w.down, y_, d)});
}

std::vector<StageCost> Decoder::stage_costs() const {
  std::vector<StageCost> costs;
  for (const Stage& stage : stages_) {
    StageCost cost{stage.name, stage.layer, 0, 0, stage.rows_done, stage.steps_done, stage.seconds};
    const auto add = [&](const PackedWeights& w) {
      cost.multiply_adds_a_row += static_cast<double>(w.n) * static_cast<double>(w.k);
      cost.weight_bytes += static_cast<double>(w.data.size());
    };
    for (int i = 0; i < stage.product_count; ++i) add(*stage.products[static_cast<size_t>(i)].weights);
    if (stage.run == &Decoder::run_argmax || stage.run == &Decoder::run_full) add(weights_.logits_head());
    cost.seconds -= stage.epilogue_seconds;
    costs.push_back(cost);
    if (stage.epilogue != nullptr) {
      costs.push_back({stage.epilogue, stage.layer, 0, 0, stage.rows_done, stage.steps_done, stage.epilogue_seconds});
    }
  }
  return costs;
}

// Walking the list

const ForwardResult& Decoder::forward(const Step& step, const FullLogits& full_logits) {
  BATCHWRIGHT_CHECK(step.rows() <= max_rows_);
  consumer_ = &full_logits;
  prepare(step);
  pool_.run([this](int worker) { walk(worker); });
  merge_workers();
  return result_;
}

void Decoder::prepare(const Step& step) {
  step_ = &step;
  rows_now_ = step.rows();
  for (size_t c = 0; c < step.classes.size(); ++c) {
    for (const PageCopy& copy : step.classes[c].copies) kv_.copy(static_cast<int>(c), copy);
  }
  result_.row_failed.assign(static_cast<size_t>(rows_now_), 0);
  result_.argmax.assign(step.logits.size(), {-std::numeric_limits<float>::infinity(), 0});
  argmax_rows_.clear();
  full_rows_.clear();
  for (size_t i = 0; i < step.logits.size(); ++i) {
    (step.logits[i].full ? full_rows_ : argmax_rows_).push_back(static_cast<int>(i));
  }
  if (!full_rows_.empty() && full_logits_.size() == 0) {
    full_logits_ = AlignedBuffer<float>(static_cast<size_t>(kFullRows) * static_cast<size_t>(shape_.vocabulary));
  }
  final_.finish(gemm_, static_cast<int64_t>(argmax_rows_.size()));

  int64_t positions = 0;
  for (const int32_t position : step.positions) positions = std::max<int64_t>(positions, position + 1);
  reach_positions(rope_full_, shape_.rope_full, shape_.head_dim, positions);
  reach_positions(rope_windowed_, shape_.rope_windowed, shape_.head_dim, positions);

  attention_rounds_.resize(page_classes_.size());
  for (size_t c = 0; c < page_classes_.size(); ++c) {
    const auto& levels = step.classes[c].levels;
    attention_rounds_[c].resize(levels.size());
    for (size_t level = 0; level < levels.size(); ++level) plan_attention(levels[level], attention_rounds_[c][level]);
  }
  for (Worker& worker : workers_) {
    worker.best.assign(argmax_rows_.size(),
                       {-std::numeric_limits<float>::infinity(), std::numeric_limits<int64_t>::max()});
    worker.failed.assign(static_cast<size_t>(rows_now_), 0);
  }
  for (auto& floor : floors_) floor.store(-std::numeric_limits<float>::infinity(), std::memory_order_relaxed);
  for (auto& counter : counters_) counter.store(0, std::memory_order_relaxed);
}

void Decoder::walk(int worker) {
  auto begin = worker == 0 ? Clock::now() : Clock::time_point();
  size_t turn = 0;
  for (Stage& stage : stages_) {
    const int rounds = stage.rounds == nullptr ? 1 : (this->*stage.rounds)(stage);
    for (int round = 0; round < rounds; ++round, ++turn) {
      const int64_t items = (this->*stage.items)(stage, round);
      std::atomic<int64_t>& counter = counters_[turn % 3];
      for (int64_t item = counter.fetch_add(1, std::memory_order_relaxed); item < items;
           item = counter.fetch_add(1, std::memory_order_relaxed)) {
        (this->*stage.run)(stage, round, item, worker);
      }
      // Nobody counts with the third counter here: all have left the turn before and none has begun the next.
      if (worker == 0) counters_[(turn + 2) % 3].store(0, std::memory_order_relaxed);
      pool_.barrier().wait();
    }
    if (worker == 0) {
      const auto end = Clock::now();
      stage.seconds += std::chrono::duration<double>(end - begin).count();
      stage.epilogue_seconds += std::exchange(workers_[0].epilogue_seconds, 0);
      stage.rows_done += rows_of(stage);
      stage.steps_done += rows_of(stage) > 0 ? 1 : 0;
      begin = end;
    }
  }
}

int64_t Decoder::rows_of(const Stage& stage) const {
  if (stage.run == &Decoder::run_argmax) return static_cast<int64_t>(argmax_rows_.size());
  if (stage.run == &Decoder::run_full) return static_cast<int64_t>(full_rows_.size());
  return rows_now_;
}

void Decoder::merge_workers() {
  for (const Worker& worker : workers_) {
    for (size_t row = 0; row < worker.failed.size(); ++row) result_.row_failed[row] |= worker.failed[row];
  }
  for (size_t i = 0; i < argmax_rows_.size(); ++i) {
    ArgMax best = workers_[0].best[i];
    for (const Worker& worker : workers_) {
      const ArgMax& other = worker.best[i];
      if (other.value > best.value || (other.value == best.value && other.index < best.index)) best = other;
    }
    result_.argmax[static_cast<size_t>(argmax_rows_[i])] = best;
  }
}

// Stages on rows

int64_t Decoder::rows_per_item() const {
  return std::clamp<int64_t>(rows_now_ / (int64_t{4} * pool_.size()) / kStrip * kStrip, kStrip, kRowsPerItemMax);
}

int64_t Decoder::row_items(const Stage& /*stage*/, int /*round*/) const { return chunks(rows_now_, rows_per_item()); }

Decoder::Rows Decoder::rows_of_item(int64_t item) const {
  return {item * rows_per_item(), std::min<int64_t>(rows_now_, (item + 1) * rows_per_item())};
}

void Decoder::run_embed(const Stage& /*stage*/, int /*round*/, int64_t item, int /*worker*/) {
  const Rows rows = rows_of_item(item);
  for (int64_t row = rows.begin; row < rows.end; ++row) {
    float* x = x_.data() + row * shape_.embedding;
    unpack_row(weights_.embedding, step_->tokens[static_cast<size_t>(row)], x);
    if (shape_.embedding_scale != 1.0F) rows_.scale(x, shape_.embedding_scale, shape_.embedding);
  }
}

void Decoder::add_residual(int row, const AlignedBuffer<float>& post_norm) {
  const int64_t d = shape_.embedding;
  float* x = x_.data() + row * d;
  float* y = y_.data() + row * d;
  if (post_norm.size() > 0) rows_.rms_norm(y, post_norm.data(), shape_.norm_eps, d, y);
  rows_.add(x, y, d);
}

void Decoder::store_normed(Rows rows, const AlignedBuffer<float>& post_norm, const AlignedBuffer<float>& norm,
                           bool residual, Worker& own) {
  const int64_t d = shape_.embedding;
  for (int64_t first = rows.begin; first < rows.end; first += kStrip) {
    const int64_t count = std::min(kStrip, rows.end - first);
    for (int64_t row = first; row < first + count; ++row) {
      if (residual) add_residual(static_cast<int>(row), post_norm);
      rows_.rms_norm(x_.data() + row * d, norm.data(), shape_.norm_eps, d, own.rows.data() + (row - first) * d);
    }
    normed_.store_tile(gemm_, first, count, 0, d, own.rows.data(), d, own.failed);
  }
}

void Decoder::run_attention_norm(const Stage& stage, int /*round*/, int64_t item, int worker) {
  store_normed(rows_of_item(item), layer_weights(std::max(0, stage.layer - 1)).ffn_post_norm,
               layer_weights(stage.layer).attention_norm, stage.layer > 0, workers_[static_cast<size_t>(worker)]);
}

void Decoder::run_rope(const Stage& stage, int /*round*/, int64_t item, int /*worker*/) {
  const LayerWeights& w = layer_weights(stage.layer);
  const int dim = shape_.head_dim;
  const RopeTable& rope = shape_.windows[static_cast<size_t>(stage.layer)] == 0 ? rope_full_ : rope_windowed_;
  const Rows rows = rows_of_item(item);
  for (int64_t row = rows.begin; row < rows.end; ++row) {
    const int position = step_->positions[static_cast<size_t>(row)];
    const float* cos = rope.cos_at(position);
    const float* sin = rope.sin_at(position);
    const auto turn = [&](float* head, const AlignedBuffer<float>& norm) {
      if (norm.size() > 0) rows_.rms_norm(head, norm.data(), shape_.norm_eps, dim, head);
      rows_.rope(head, cos, sin, dim);
    };
    for (int head = 0; head < shape_.heads; ++head) {
      turn(q_.data() + row * shape_.q_width() + head * dim, w.q_norm);
      const auto state = static_cast<size_t>(row * shape_.heads + head) * attention_state_floats(dim);
      state_[state] = 0;
      state_[state + 1] = 0;  // l = 0: no block yet
    }
    for (int head = 0; head < shape_.kv_heads; ++head) {
      turn(k_.data() + row * shape_.kv_width() + head * dim, w.k_norm);
    }
  }
  for (int64_t row = rows.begin; row < rows.end;) row = store_keys_values(stage.layer, {row, rows.end});
}

int64_t Decoder::store_keys_values(int layer, Rows rows) {
  const int page_class = class_of_layer_[static_cast<size_t>(layer)];
  const std::vector<PageId>& pages = step_->classes[static_cast<size_t>(page_class)].write_pages;
  const auto first = static_cast<size_t>(rows.begin);
  int count = 1;
  for (size_t next = first + 1; next < static_cast<size_t>(rows.end); ++next, ++count) {
    if (pages[next] != pages[first] || step_->positions[next] != step_->positions[first] + count) break;
  }
  for (int head = 0; head < shape_.kv_heads; ++head) {
    const int64_t at = rows.begin * shape_.kv_width() + int64_t{head} * shape_.head_dim;
    attention_.store(kv_.format(), k_.data() + at, v_.data() + at, shape_.kv_width(), count, shape_.head_dim,
                     step_->positions[first] % kPagePositions, kv_.block(page_class, pages[first], layer, head));
  }
  return rows.begin + count;
}

void Decoder::run_attention_output(const Stage& /*stage*/, int /*round*/, int64_t item, int worker) {
  const int64_t width = shape_.q_width();
  const Rows rows = rows_of_item(item);
  Worker& own = workers_[static_cast<size_t>(worker)];
  for (int64_t first = rows.begin; first < rows.end; first += kStrip) {
    const int64_t count = std::min(kStrip, rows.end - first);
    const float* state =
        state_.data() + static_cast<size_t>(first * shape_.heads) * attention_state_floats(shape_.head_dim);
    attention_.finish(state, static_cast<int>(count) * shape_.heads, shape_.head_dim, own.rows.data());
    attended_.store_tile(gemm_, first, count, 0, width, own.rows.data(), width, own.failed);
  }
}

void Decoder::run_ffn_norm(const Stage& stage, int /*round*/, int64_t item, int worker) {
  const LayerWeights& w = layer_weights(stage.layer);
  store_normed(rows_of_item(item), w.attention_post_norm, w.ffn_norm, true, workers_[static_cast<size_t>(worker)]);
}

// Matrix products

int64_t Decoder::product_items(const Stage& stage, int /*round*/) const {
  return static_cast<int64_t>(stage.item_begins.size()) - 1;
}

void Decoder::run_product(const Stage& stage, int /*round*/, int64_t item, int worker) {
  const int64_t item_begin = stage.item_begins[static_cast<size_t>(item)];
  const int64_t item_end = stage.item_begins[static_cast<size_t>(item) + 1];
  int64_t first = 0;
  for (const Product& product : std::span(stage.products).first(static_cast<size_t>(stage.product_count))) {
    const int64_t panels = product.weights->panels();
    const int64_t begin = std::max<int64_t>(item_begin - first, 0);
    const int64_t end = std::min(item_end - first, panels);
    first += panels;
    if (begin >= end) continue;
    GemmArgs args = product_args(stage, product, begin, end, worker);
    args.out = product.out;
    args.out_stride = product.out_stride;
    gemm_.run(args);
  }
}

GemmArgs Decoder::product_args(const Stage& stage, const Product& product, int64_t panel_begin, int64_t panel_end,
                               int worker) {
  GemmArgs args;
  args.weights = product.weights;
  args.panel_begin = panel_begin;
  args.panel_end = panel_end;
  args.activations = stage.input->activations(product.weights->type);
  args.rows = rows_now_;
  args.bias = product.bias;
  args.scratch = workers_[static_cast<size_t>(worker)].scratch.data();
  return args;
}

// Few rows have wider tiles, so that the weights of each matrix are read in long runs.
int64_t Decoder::tile_columns() const {
  constexpr int64_t kWidest = 8;
  return kTileColumns * std::clamp<int64_t>(std::min<int64_t>(max_rows_, kActivationRows) / rows_now_, 1, kWidest);
}

// Both products of a tile of columns, and their activation while they are in the cache.
void Decoder::run_gate_up(const Stage& stage, int /*round*/, int64_t item, int worker) {
  Worker& own = workers_[static_cast<size_t>(worker)];
  const auto activate = shape_.activation == Activation::kSilu ? rows_.silu_mul : rows_.gelu_mul;
  const int64_t begin_panel = stage.item_begins[static_cast<size_t>(item)];
  const int64_t end_panel = stage.item_begins[static_cast<size_t>(item) + 1];
  const int64_t width = std::min<int64_t>(shape_.feed_forward, end_panel * kPanelColumns);
  const int64_t tile = tile_columns();
  for (int64_t column = begin_panel * kPanelColumns; column < width; column += tile) {
    const int64_t columns = std::min(tile, width - column);
    float* gate = own.tile.data();
    float* up = gate + rows_now_ * columns;
    for (const auto& [product, out] : {std::pair(&stage.products[0], gate), std::pair(&stage.products[1], up)}) {
      GemmArgs args =
          product_args(stage, *product, column / kPanelColumns, chunks(column + columns, kPanelColumns), worker);
      args.out = out;
      args.out_stride = columns;
      args.out_first_column = column;
      gemm_.run(args);
    }
    const auto begin = Clock::now();
    for (int64_t row = 0; row < rows_now_; row += kActivationRows) {
      const int64_t rows = std::min(kActivationRows, rows_now_ - row);
      float* out = gate + row * columns;
      activate(out, up + row * columns, rows * columns, out);
      activated_.store_tile(gemm_, row, rows, column, columns, out, columns, own.failed);
    }
    own.epilogue_seconds += std::chrono::duration<double>(Clock::now() - begin).count();
  }
}

}  // namespace batchwright

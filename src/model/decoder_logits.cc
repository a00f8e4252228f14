// The last stages of a step: the final norm, the argmax of greedy rows, and whole rows of logits for all others.
#include <algorithm>

#include "model/decoder.h"

namespace batchwright {
namespace {

// The rounds of a wave of whole rows; in the third they are consumed.
constexpr int kFullNorm = 0;
constexpr int kFullProduct = 1;

}  // namespace

void Decoder::prepare_pruning() {
  const PackedWeights& head = weights_.logits_head();
  // A capped logit does not tell neighbours apart that the product does.
  if (shape_.final_soft_cap > 0) return;
  pruning_ = pruning_kernels(gemm_.isa, head.type, head.k);
  if (pruning_ == nullptr) return;
  column_bounds_ = AlignedBuffer<float>(static_cast<size_t>(head.panels() * kPanelColumns));
  row_bounds_ = AlignedBuffer<float>(static_cast<size_t>(max_rows_));
  for (Worker& worker : workers_) worker.pruned_row = AlignedBuffer<std::byte>(quantized_rows_bytes(1, head.k));
  floors_ = std::vector<std::atomic<float>>(static_cast<size_t>(max_rows_));
  std::atomic<int64_t> next{0};
  pool_.run([&](int) {
    for (int64_t begin = next.fetch_add(kPiecePanels); begin < head.panels(); begin = next.fetch_add(kPiecePanels)) {
      pruning_->column_bounds(head, begin, std::min(begin + kPiecePanels, head.panels()), column_bounds_.data());
    }
  });
}

int64_t Decoder::final_items(const Stage& /*stage*/, int /*round*/) const {
  return static_cast<int64_t>(argmax_rows_.size());
}

void Decoder::run_final_norm(const Stage& /*stage*/, int /*round*/, int64_t item, int worker) {
  const int row = step_->logits[static_cast<size_t>(argmax_rows_[static_cast<size_t>(item)])].row;
  Worker& own = workers_[static_cast<size_t>(worker)];
  float* normed = own.rows.data();
  add_residual(row, layer_weights(shape_.layers - 1).ffn_post_norm);
  rows_.rms_norm(x_.data() + int64_t{row} * shape_.embedding, weights_.output_norm.data(), shape_.norm_eps,
                 shape_.embedding, normed);
  if (!final_.store(gemm_, item, normed)) own.failed[static_cast<size_t>(row)] = 1;
  if (prunes()) {
    const PackedWeights& head = weights_.logits_head();
    row_bounds_[static_cast<size_t>(item)] = pruning_->row_bound(final_.activations(head.type), head.k, item);
  }
}

// A piece of the vocabulary; rows and out are the caller's.
GemmArgs Decoder::head_product(const ProductInput& input, int64_t piece, int worker) {
  const PackedWeights& head = weights_.logits_head();
  GemmArgs args;
  args.weights = &head;
  args.panel_begin = piece * kPiecePanels;
  args.panel_end = std::min(args.panel_begin + kPiecePanels, head.panels());
  args.activations = input.activations(head.type);
  args.scratch = workers_[static_cast<size_t>(worker)].scratch.data();
  return args;
}

int64_t Decoder::argmax_items(const Stage& /*stage*/, int /*round*/) const {
  return argmax_rows_.empty() ? 0 : chunks(weights_.logits_head().panels(), kPiecePanels);
}

void Decoder::run_argmax(const Stage& /*stage*/, int /*round*/, int64_t item, int worker) {
  const PackedWeights& head = weights_.logits_head();
  Worker& own = workers_[static_cast<size_t>(worker)];
  GemmArgs args = head_product(final_, item, worker);
  args.rows = static_cast<int64_t>(argmax_rows_.size());
  args.out = own.logits.data();
  args.out_stride = kPieceColumns;
  args.out_first_column = item * kPieceColumns;
  if (prunes()) {
    pruning_->argmax({.gemm = args,
                      .column_bounds = column_bounds_.data(),
                      .row_bounds = row_bounds_.data(),
                      .floors = floors_.data(),
                      .row = own.pruned_row.data(),
                      .best = own.best.data()});
    return;
  }
  gemm_.run(args);
  const int64_t columns = std::min(head.n, (item + 1) * kPieceColumns) - item * kPieceColumns;
  for (size_t i = 0; i < argmax_rows_.size(); ++i) {
    float* logits = own.logits.data() + static_cast<int64_t>(i) * kPieceColumns;
    if (shape_.final_soft_cap > 0) rows_.soft_cap(logits, shape_.final_soft_cap, columns);
    ArgMax found = rows_.argmax(logits, columns);
    found.index += item * kPieceColumns;
    ArgMax& best = own.best[i];
    if (found.value > best.value || (found.value == best.value && found.index < best.index)) best = found;
  }
}

int Decoder::full_rounds(const Stage& /*stage*/) const {
  return 3 * static_cast<int>(chunks(static_cast<int64_t>(full_rows_.size()), kFullRows));
}

int64_t Decoder::full_items(const Stage& /*stage*/, int round) const {
  if (round % 3 == kFullProduct) return chunks(weights_.logits_head().panels(), kPiecePanels);
  return std::min<int64_t>(kFullRows, static_cast<int64_t>(full_rows_.size()) - round / 3 * kFullRows);
}

void Decoder::run_full(const Stage& stage, int round, int64_t item, int worker) {
  Worker& own = workers_[static_cast<size_t>(worker)];
  const int64_t first = round / 3 * kFullRows;
  if (round % 3 == kFullProduct) {
    GemmArgs args = head_product(full_, item, worker);
    args.rows = full_items(stage, round - 1);
    args.out = full_logits_.data();
    args.out_stride = shape_.vocabulary;
    gemm_.run(args);
    return;
  }
  const int index = full_rows_[static_cast<size_t>(first + item)];
  const int row = step_->logits[static_cast<size_t>(index)].row;
  if (round % 3 == kFullNorm) {
    if (item == 0) full_.finish(gemm_, full_items(stage, round));
    add_residual(row, layer_weights(shape_.layers - 1).ffn_post_norm);
    rows_.rms_norm(x_.data() + int64_t{row} * shape_.embedding, weights_.output_norm.data(), shape_.norm_eps,
                   shape_.embedding, own.rows.data());
    if (!full_.store(gemm_, item, own.rows.data())) own.failed[static_cast<size_t>(row)] = 1;
    return;
  }
  float* logits = full_logits_.data() + item * shape_.vocabulary;
  if (shape_.final_soft_cap > 0) rows_.soft_cap(logits, shape_.final_soft_cap, shape_.vocabulary);
  (*consumer_)(worker, index, {logits, static_cast<size_t>(shape_.vocabulary)});
}

}  // namespace batchwright

#include "kernels/gemm/pruning.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>

#include "base/check.h"
#include "kernels/gemm/activations.h"
#include "kernels/gemm/format_kernels.h"
#include "kernels/gemm/layout.h"

namespace batchwright {
namespace {

constexpr int64_t kBlocksMax = 2048;
constexpr int64_t kRowsMin = kStripRows + 1;
constexpr int64_t kRangeColumnsMax = 1024;
constexpr double kSlack = 1 + 0x1p-10;
constexpr double kSubnormalRoom = 0x1p-50;
constexpr double kRowBoundMax = 0x1p60;

void column_bounds(const PackedWeights& weights, int64_t panel_begin, int64_t panel_end, float* bounds) {
  const int64_t blocks = weights.k / 32;
  const double rounding = 1500 * static_cast<double>(blocks + 8) * 0x1p-24;
  const size_t panel_bytes = packed_panel_bytes(weights.type, weights.k);
  for (int64_t p = panel_begin; p < panel_end; ++p) {
    std::array<float, kPanelColumns> rest;    // |d r|^2
    std::array<float, kPanelColumns> scales;  // D^2
    rough_norms_q8_0_avx2(weights.data.data() + static_cast<size_t>(p) * panel_bytes, blocks, rest.data(),
                          scales.data());
    for (size_t c = 0; c < kPanelColumns; ++c) {
      const double bound = std::sqrt(double{rest[c]}) + std::sqrt(double{scales[c]}) * (1.0 / 15 + rounding);
      bounds[p * kPanelColumns + static_cast<int64_t>(c)] = static_cast<float>(kSlack * bound + kSubnormalRoom);
    }
  }
}

float row_bound(const void* activations, int64_t k, int64_t row) {
  const StripBlock* strip = static_cast<const StripBlock*>(activations) + row / kStripRows * (k / 32);
  const auto lane = static_cast<size_t>(row % kStripRows);
  double squares = 0;
  for (int64_t b = 0; b < k / 32; ++b) {
    int32_t sum = 0;
    for (const auto& group : strip[b].q) {
      for (const int8_t q : group[lane]) sum += q * q;
    }
    squares += double{strip[b].d[lane]} * double{strip[b].d[lane]} * sum;
  }
  const double bound = kSlack * std::sqrt(squares) + kSubnormalRoom;
  return bound <= kRowBoundMax ? static_cast<float>(bound) : std::numeric_limits<float>::infinity();
}

void raise(std::atomic<float>& floor, float value) {
  float now = floor.load(std::memory_order_relaxed);
  while (now < value && !floor.compare_exchange_weak(now, value, std::memory_order_relaxed)) {
  }
}

// The argmax of one row within a range of panels.
class RowSearch {
 public:
  RowSearch(const PrunedArgs& args, const GemmKernels& kernels, const RowKernels& rows, int64_t row)
      : args_(args),
        run_(kernels.run),
        rows_(rows),
        row_(row),
        first_(args.gemm.out_first_column),
        columns_(std::min(args.gemm.weights->n, args.gemm.panel_end * kPanelColumns) - first_),
        rough_(args.gemm.out + row * args.gemm.out_stride),
        bounds_(args.column_bounds + first_),
        floor_(args.floors[row].load(std::memory_order_relaxed)),
        found_{-kInfinity, first_} {}

  void run() {
    // Nothing is known of the row: a column that is likely near the top makes a floor.
    if (floor_ == -kInfinity) finish(rows_.argmax(rough_, columns_).index / kPanelColumns);
    std::array<int32_t, kRangeColumnsMax> left;
    const int count = rough_reaching_avx2(rough_, bounds_, args_.row_bounds[row_], floor_, columns_, left.data());
    for (int i = 0; i < count; ++i) {
      const int64_t column = left[static_cast<size_t>(i)];
      if (column / kPanelColumns == last_panel_) continue;
      if (!(std::fma(args_.row_bounds[row_], bounds_[column], rough_[column]) < floor_)) {
        finish(column / kPanelColumns);
      }
    }
    if (panels_finished_ > 0) raise(args_.floors[row_], floor_);
    ArgMax& best = args_.best[row_];
    if (found_.value > best.value || (found_.value == best.value && found_.index < best.index)) best = found_;
  }
  int64_t panels_finished() const { return panels_finished_; }

 private:
  static constexpr float kInfinity = std::numeric_limits<float>::infinity();

  // Computes the columns of a panel of the range in full: one column alone would take as long.
  void finish(int64_t panel) {
    if (panels_finished_++ == 0) copy_row();
    last_panel_ = panel;
    GemmArgs args = args_.gemm;
    args.panel_begin += panel;
    args.panel_end = args.panel_begin + 1;
    args.activations = args_.row;
    args.rows = 1;
    args.out = args_.gemm.out + args_.gemm.rows * args_.gemm.out_stride;
    run_(args);
    const int64_t begin = panel * kPanelColumns;
    const ArgMax best = rows_.argmax(args.out + begin, std::min<int64_t>(kPanelColumns, columns_ - begin));
    const int64_t column = first_ + begin + best.index;
    // first_ stands for "nothing greater than -infinity": its index is the lowest, so that no -infinity replaces it.
    if (best.value > found_.value || (best.value == found_.value && column < found_.index))
      found_ = {best.value, column};
    floor_ = std::max(floor_, best.value);
  }

  // To the first lane of a strip of its own.
  void copy_row() {
    const int64_t blocks = args_.gemm.weights->k / 32;
    const auto* from = static_cast<const StripBlock*>(args_.gemm.activations) + row_ / kStripRows * blocks;
    auto* to = static_cast<StripBlock*>(args_.row);
    const auto lane = static_cast<size_t>(row_ % kStripRows);
    for (int64_t b = 0; b < blocks; ++b) {
      for (size_t g = 0; g < kGroups; ++g) std::memcpy(to[b].q[g][0], from[b].q[g][lane], sizeof to[b].q[g][0]);
      std::memcpy(to[b].sum16[0], from[b].sum16[lane], sizeof to[b].sum16[0]);
      for (size_t half = 0; half < 2; ++half) {
        std::memcpy(to[b].sum32[half][0], from[b].sum32[half][lane], sizeof to[b].sum32[half][0]);
      }
      to[b].d[0] = from[b].d[lane];
      to[b].d_sum[0] = from[b].d_sum[lane];
    }
  }

  const PrunedArgs& args_;
  void (*run_)(const GemmArgs&);
  const RowKernels& rows_;
  const int64_t row_;
  const int64_t first_;
  const int64_t columns_;
  const float* rough_;
  const float* bounds_;
  float floor_;
  ArgMax found_;
  int64_t last_panel_ = -1;
  int64_t panels_finished_ = 0;
};

template <Isa kIsa>
int64_t argmax(const PrunedArgs& args) {
  const GemmArgs& gemm = args.gemm;
  const PackedWeights& weights = *gemm.weights;
  const int64_t first = gemm.panel_begin * kPanelColumns;
  BATCHWRIGHT_CHECK(gemm.bias == nullptr && gemm.out_first_column == first);
  BATCHWRIGHT_CHECK(gemm.panel_end - gemm.panel_begin <= kRangeColumnsMax / kPanelColumns);
  run_rough_q8_0_avx2({.panels = weights.data.data(),
                       .panel_bytes = packed_panel_bytes(weights.type, weights.k),
                       .n = weights.n,
                       .k = weights.k,
                       .panel_begin = gemm.panel_begin,
                       .panel_end = gemm.panel_end,
                       .activations = gemm.activations,
                       .rows = gemm.rows,
                       .bias = nullptr,
                       .out = gemm.out,
                       .out_stride = gemm.out_stride,
                       .out_first_column = first,
                       .scratch = gemm.scratch});
  int64_t finished = 0;
  for (int64_t row = 0; row < gemm.rows; ++row) {
    RowSearch search(args, gemm_kernels(kIsa), row_kernels(kIsa), row);
    search.run();
    finished += search.panels_finished();
  }
  return finished;
}

const PruningKernels kTable[] = {
    {Isa::kAvx2, column_bounds, row_bound, argmax<Isa::kAvx2>, kRowsMin},
    {Isa::kAvx512, column_bounds, row_bound, argmax<Isa::kAvx512>, kRowsMin},
};

}  // namespace

const PruningKernels* pruning_kernels(Isa isa, ElementType type, int64_t k) {
  if (type != ElementType::kQ8_0 || k / 32 > kBlocksMax) return nullptr;
  for (const PruningKernels& kernels : kTable) {
    if (kernels.isa == gemm_kernels(isa).isa) return &kernels;
  }
  return nullptr;
}

}  // namespace batchwright

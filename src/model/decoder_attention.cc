// Attention in a step: which rows and heads a worker takes together, and in which order.
#include <algorithm>

#include "model/decoder.h"

namespace batchwright {
namespace {

// Queries that share the conversion of a block, and that a worker takes at once.
constexpr int kQueriesPerItem = 128;
// Parts of attention are taken together up to so many queries times pages, while that leaves each worker so many items.
constexpr int64_t kPartsWork = 64;
constexpr int64_t kItemsPerWorker = 4;

}  // namespace

int attention_rows_per_item(const ModelShape& shape) { return std::max(1, kQueriesPerItem / shape.heads_per_kv()); }

void Decoder::plan_attention(const std::vector<AttentionGroup>& groups, AttentionRound& round) {
  const int rows_per_part = attention_rows_per_item(shape_);
  round.parts.clear();
  int64_t work = 0;  // queries and pages that they meet
  for (const AttentionGroup& group : groups) {
    const int rows = static_cast<int>(group.rows.size());
    for (Worker& worker : workers_) {
      if (worker.blocks.size() < group.pages.size()) worker.blocks.resize(group.pages.size());
    }
    for (int head = 0; head < shape_.kv_heads; ++head) {
      for (int row = 0; row < rows; row += rows_per_part) {
        round.parts.push_back({&group, head, row, std::min(rows_per_part, rows - row)});
        work += part_work(round.parts.back());
      }
    }
  }
  const int64_t enough = std::min(kPartsWork, work / (kItemsPerWorker * pool_.size()));
  round.item_begins.assign(1, 0);
  work = 0;
  for (size_t part = 0; part < round.parts.size(); ++part) {
    work += part_work(round.parts[part]);
    if (work < enough && part + 1 < round.parts.size()) continue;
    round.item_begins.push_back(part + 1);
    work = 0;
  }
}

int64_t Decoder::part_work(const AttentionPart& part) const {
  return int64_t{part.row_count} * shape_.heads_per_kv() * static_cast<int64_t>(part.group->pages.size());
}

const std::vector<Decoder::AttentionRound>& Decoder::rounds_of(const Stage& stage) const {
  return attention_rounds_[static_cast<size_t>(class_of_layer_[static_cast<size_t>(stage.layer)])];
}

int Decoder::attention_rounds(const Stage& stage) const { return static_cast<int>(rounds_of(stage).size()); }

int64_t Decoder::attention_items(const Stage& stage, int round) const {
  return static_cast<int64_t>(rounds_of(stage)[static_cast<size_t>(round)].item_begins.size()) - 1;
}

void Decoder::run_attention(const Stage& stage, int round, int64_t item, int worker) {
  const AttentionRound& work = rounds_of(stage)[static_cast<size_t>(round)];
  const size_t end = work.item_begins[static_cast<size_t>(item) + 1];
  for (size_t part = work.item_begins[static_cast<size_t>(item)]; part < end; ++part) {
    run_attention_part(stage.layer, work.parts[part], part + 1 < end ? &work.parts[part + 1] : nullptr, worker);
  }
}

void Decoder::run_attention_part(int layer, const AttentionPart& part, const AttentionPart* next, int worker) {
  const int page_class = class_of_layer_[static_cast<size_t>(layer)];
  Worker& own = workers_[static_cast<size_t>(worker)];
  const std::vector<PageId>& pages = part.group->pages;
  for (size_t i = 0; i < pages.size(); ++i) {
    own.blocks[i] = kv_.block(page_class, pages[i], layer, part.kv_head);
  }
  AttentionArgs args;
  args.format = kv_.format();
  args.dim = shape_.head_dim;
  args.scale = shape_.attention_scale;
  args.soft_cap = shape_.attention_soft_cap;
  args.window = shape_.windows[static_cast<size_t>(layer)];
  args.rows =
      std::span(part.group->rows).subspan(static_cast<size_t>(part.first_row), static_cast<size_t>(part.row_count));
  args.positions = step_->positions.data();
  args.head_begin = part.kv_head * shape_.heads_per_kv();
  args.head_count = shape_.heads_per_kv();
  args.q = q_.data();
  args.q_stride = shape_.q_width();
  args.blocks = std::span<const void* const>(own.blocks.data(), pages.size());
  args.first_block = part.group->first_block;
  if (next != nullptr) args.after = kv_.block(page_class, next->group->pages.front(), layer, next->kv_head);
  args.state = state_.data();
  args.state_heads = shape_.heads;
  args.scratch = own.scratch.data();
  attention_.run(args);
}

}  // namespace batchwright

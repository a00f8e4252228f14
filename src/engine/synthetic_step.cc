#include "engine/synthetic_step.h"

#include <algorithm>

#include "base/check.h"
#include "base/random.h"
#include "step/attention_groups.h"

namespace batchwright {
namespace {

// Of a run's blocks those that it has alone.
int own_blocks(const SyntheticShape& shape) {
  return std::max(1, blocks_for(shape.first_position + shape.tokens_a_run) - shape.shared_blocks);
}

// Which of the table's blocks a run has as its `block`th. The last ones of short tables are shared all the same; runs
// that then write to one page do it at different places of it.
int place(const SyntheticShape& shape, int run, int block, int blocks) {
  return (block < shape.shared_blocks ? block : run * own_blocks(shape) + block) % blocks;
}

}  // namespace

Step make_synthetic_step(const SyntheticShape& shape, const PageCache& cache, const BlockTable& table,
                         int vocabulary_size) {
  const int blocks = table.blocks();
  BATCHWRIGHT_CHECK(blocks > 0);
  Step step;
  SplitMix64 random(1);
  step.classes.resize(static_cast<size_t>(cache.classes()));
  for (int run = 0; run < shape.runs; ++run) {
    const int lap = shape.tokens_a_run == 1 ? run * own_blocks(shape) / blocks % kPagePositions : 0;
    step.runs.push_back({run, shape.first_position + lap, step.rows(), shape.tokens_a_run});
    for (int i = 0; i < shape.tokens_a_run; ++i) {
      const int position = shape.first_position + lap + i;
      step.tokens.push_back(static_cast<TokenId>(random.below(static_cast<uint64_t>(vocabulary_size))));
      step.positions.push_back(position);
      for (int c = 0; c < cache.classes(); ++c) {
        step.classes[static_cast<size_t>(c)].write_pages.push_back(
            table.page(c, place(shape, run, position / kPagePositions, blocks)));
      }
    }
  }
  for (int row = step.rows() - std::min(shape.logits, step.rows()); row < step.rows(); ++row) {
    step.logits.push_back({row, row / shape.tokens_a_run, shape.full_logits});
  }
  for (int c = 0; c < cache.classes(); ++c) {
    const int window = cache.spec(c).window;
    std::vector<std::vector<PageId>> pages;
    std::vector<RunPages> runs;
    pages.reserve(step.runs.size());
    for (const Run& run : step.runs) {
      const int first_block = window == 0 ? 0 : std::max(0, run.first_position - window + 1) / kPagePositions;
      std::vector<PageId>& list = pages.emplace_back();
      for (int block = first_block; block < blocks_for(run.first_position + run.count); ++block) {
        list.push_back(table.page(c, place(shape, static_cast<int>(run.sequence), block, blocks)));
      }
      runs.push_back({run.first_row, run.count, first_block, list});
    }
    AttentionGrouper().group(runs, step.classes[static_cast<size_t>(c)].levels);
  }
  return step;
}

}  // namespace batchwright

// Steps for measuring: they cost what real ones of their shape do and mean nothing.
#pragma once

#include <vector>

#include "cache/page_cache.h"
#include "step/step.h"

namespace batchwright {

// Sequences of equal shape. Their rows see `first_position` earlier positions, of which the first `shared_blocks` pages
// are the same for all; the other pages differ as far as there are enough of them.
struct SyntheticShape {
  int runs = 1;
  int tokens_a_run = 1;
  int first_position = 0;
  int shared_blocks = 0;
  int logits = 0;  // of the last rows
  bool full_logits = false;

  int tokens() const { return runs * tokens_a_run; }
};

// The rows stand on the pages of `table`, which must have at least one block.
Step make_synthetic_step(const SyntheticShape& shape, const PageCache& cache, const BlockTable& table,
                         int vocabulary_size);

}  // namespace batchwright

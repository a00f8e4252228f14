// With how many tokens neighbours in a job's order begin alike, beyond whole pages: of those the scheduler copies the
// beginnings.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "batchwright/request.h"

namespace batchwright {

struct CommonBeginningsOptions {
  int neighbours = 64;        // rows that may run at once: any of them may begin alike
  size_t sample_rows = 4096;  // rows that are looked at
};

// Of rows in the order in which they run, by place.
struct OrderedPrompts {
  // With how many tokens a row may have some in common; 0 of one that shares nothing, and does not count as a row.
  std::function<uint32_t(size_t)> tokens;
  // The prompt itself, called once at most for each; empty: it could not be made.
  std::function<std::vector<TokenId>(size_t)> prompt;
};

// Adds to common_tokens[i], which are whole pages (or 0), what row i shares beyond them with any of the rows just
// before: exactly where the rows are no more than sample_rows. Of more some stretches of the order are looked at; what
// is found between rows under a node of the prefix tree stands for the others under it, in turn, and where too little
// is, that of nodes as deep.
void refine_common_tokens(std::span<uint32_t> common_tokens, const CommonBeginningsOptions& options,
                          const OrderedPrompts& prompts);

}  // namespace batchwright

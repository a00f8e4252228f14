// With how many tokens neighbours in a job's order begin alike, beyond whole pages: of those the scheduler copies the
// beginnings.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "batchwright/request.h"
#include "plan/simulator.h"

namespace batchwright {

struct CommonBeginningsOptions {
  int neighbours = 64;        // rows that may run at once: any of them may begin alike
  size_t sample_rows = 4096;  // rows that are looked at
};

// With which both begin.
uint32_t common_tokens(std::span<const TokenId> a, std::span<const TokenId> b);

// Adds to common_tokens, which are whole pages (or 0), what rows share beyond them with any of the rows just before:
// exactly where the rows are no more than sample_rows. Of larger jobs some stretches of the order are looked at; what
// is found between rows under a node of the prefix tree stands for the others under it, in turn, and where too little
// is, that of nodes as deep. `prompt(i)` makes the prompt of rows[i] again; empty: it could not.
void refine_common_tokens(std::span<SimulatedRow> rows, const CommonBeginningsOptions& options,
                          const std::function<std::vector<TokenId>(size_t)>& prompt);

}  // namespace batchwright

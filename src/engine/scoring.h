// The log-probabilities of a text's own tokens.
#pragma once

#include <span>
#include <vector>

#include "batchwright/status.h"
#include "decode/logprobs.h"
#include "model/model.h"
#include "schedule/scheduler.h"

namespace batchwright {

// Engine::score() for tokens that were checked: at least two, 1 <= first < tokens.size(). Nothing else may be in the
// scheduler. kInternal where the model gives what is no number.
Result<std::vector<float>> score_tokens(Model& model, Scheduler& scheduler, const RowKernels& kernels,
                                        std::span<const TokenId> tokens, int first);

}  // namespace batchwright

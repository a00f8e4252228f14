#pragma once

#include <span>

#include "batchwright/status.h"

namespace batchwright::decode {

// Fails (kInvalidData) where a logit is NaN or +inf: the model's arithmetic broke down, and nothing drawn from such a
// row would mean anything.
Status check_logits(std::span<const float> logits);

}  // namespace batchwright::decode

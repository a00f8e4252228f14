#include <fmt/format.h>

#include "base/status_macros.h"
#include "decode/sampler.h"

namespace batchwright {
namespace {

// Written so that NaN fails.
Status check_range(const char* field, float value, float lowest, float highest) {
  if (value >= lowest && value <= highest) return {};
  return invalid_argument(fmt::format("{} is {}; it may be {} to {}", field, value, lowest, highest));
}

Status check_positive(const char* field, float value, float highest) {
  if (value > 0.0F && value <= highest) return {};
  return invalid_argument(fmt::format("{} is {}; it has to be above 0 and may be at most {}", field, value, highest));
}

}  // namespace

Status validate_sampling(const SamplingParams& params, int vocabulary_size) {
  BATCHWRIGHT_RETURN_IF_ERROR(check_range("temperature", params.temperature, 0, 100));
  if (params.top_k < 0) {
    return invalid_argument(fmt::format("top_k is {}; it has to be at least 1, or 0 to keep all", params.top_k));
  }
  BATCHWRIGHT_RETURN_IF_ERROR(check_positive("top_p", params.top_p, 1));
  BATCHWRIGHT_RETURN_IF_ERROR(check_range("min_p", params.min_p, 0, 1));
  BATCHWRIGHT_RETURN_IF_ERROR(check_positive("repetition_penalty", params.repetition_penalty, 100));
  BATCHWRIGHT_RETURN_IF_ERROR(check_range("presence_penalty", params.presence_penalty, -2, 2));
  BATCHWRIGHT_RETURN_IF_ERROR(check_range("frequency_penalty", params.frequency_penalty, -2, 2));
  TokenId previous = -1;
  for (const auto& [token, bias] : params.logit_bias) {
    if (token < 0 || token >= vocabulary_size) {
      return invalid_argument(
          fmt::format("logit_bias names token {}; the model has tokens 0 to {}", token, vocabulary_size - 1));
    }
    if (token <= previous) {
      return invalid_argument(fmt::format("logit_bias names token {} after {}; ids have to ascend", token, previous));
    }
    if (!(bias >= -100.0F && bias <= 100.0F)) {
      return invalid_argument(fmt::format("logit_bias of token {} is {}; it may be -100 to 100", token, bias));
    }
    previous = token;
  }
  return {};
}

}  // namespace batchwright

#include "engine/scoring.h"

#include <cstdint>
#include <utility>

#include "base/check.h"
#include "decode/logprobs.h"

namespace batchwright {
namespace {

// What the first thing that went wrong in a step was.
Status failure_of(const ForwardResult& result, std::vector<Status>& rows) {
  for (const uint8_t failed : result.row_failed) {
    if (failed != 0) return internal_error("the model gave a value that is not finite for this text");
  }
  for (Status& row : rows) {
    if (!row.ok()) return std::move(row);
  }
  return {};
}

}  // namespace

Result<std::vector<float>> score_tokens(Model& model, Scheduler& scheduler, const RowKernels& kernels,
                                        std::span<const TokenId> tokens, int first) {
  std::vector<float> logprobs(tokens.size(), 0.0F);
  SequenceSpec spec;
  spec.prompt.assign(tokens.begin(), tokens.end() - 1);
  spec.full_logits = true;
  spec.prompt_logits_from = first - 1;
  const auto last = static_cast<int64_t>(tokens.size()) - 2;
  const int64_t sequence = scheduler.add(std::move(spec));
  Status failure;
  for (bool ended = false; !ended && failure.ok();) {
    const Step& step = scheduler.plan();
    BATCHWRIGHT_CHECK(step.rows() > 0);
    ended = step.positions.back() == last;
    std::vector<Status> statuses(step.logits.size());
    const ForwardResult& result = model.forward(step, [&](int /*worker*/, int index, std::span<float> logits) {
      const LogitsRow& row = step.logits[static_cast<size_t>(index)];
      const auto target = static_cast<size_t>(step.positions[static_cast<size_t>(row.row)]) + 1;
      auto logprob = target_logprob(logits, tokens[target], kernels);
      statuses[static_cast<size_t>(index)] = logprob.status();
      if (logprob.ok()) logprobs[target] = *logprob;
    });
    failure = failure_of(result, statuses);
    scheduler.commit();
  }
  scheduler.remove(sequence);
  if (!failure.ok()) return failure;
  return logprobs;
}

}  // namespace batchwright

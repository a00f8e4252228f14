#include "plan/advice.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "base/check.h"
#include "base/format_bytes.h"
#include "step/step.h"

namespace batchwright {
namespace {

// Of the time: less is not worth a sentence.
constexpr double kWorthSaying = 0.05;
// Above this the range is wide because answers may be so long.
constexpr double kWideRange = 2.5;

std::string percent(double share) { return fmt::format("{:.0f}%", 100 * share); }

double kv_bytes(const SimulationOptions& options) {
  double bytes = 0;
  for (size_t c = 0; c < options.page_classes.size(); ++c) {
    bytes += static_cast<double>(options.page_classes[c].pages) * static_cast<double>(options.page_bytes[c]);
  }
  return bytes;
}

class Adviser {
 public:
  explicit Adviser(const AdviceInput& input)
      : input_(input), before_(run(input.options).value_or(SimulationResult())) {}

  std::vector<Advice> all() {
    bad_rows();
    if (before_.seconds > 0) {
      max_batch();
      kv_memory();
      shared_beginnings();
    }
    max_tokens();
    return std::move(advice_);
  }

 private:
  // Nothing where the caller stopped it.
  std::optional<SimulationResult> run(const SimulationOptions& options) const {
    SimulationResult result = simulate(input_.rows, options, *input_.model, input_.stop);
    if (result.stopped) return std::nullopt;
    return result;
  }

  // Of the time before, how much less (above 0) or more it would take.
  std::optional<double> saved(const SimulationOptions& options) const {
    const auto after = run(options);
    if (!after) return std::nullopt;
    return 1 - after->seconds / before_.seconds;
  }

  void bad_rows() {
    if (input_.rows_bad == 0) return;
    advice_.push_back({"bad_rows",
                       fmt::format("{} of {} rows are wrong and would end in the errors' file; the first are named",
                                   input_.rows_bad, input_.rows_total),
                       {{"rows", static_cast<double>(input_.rows_bad)}}});
  }

  // More sequences where these keep steps small; fewer, where the memory they need is what is short.
  void max_batch() {
    const int batch = input_.options.max_batch;
    const int knee = input_.model->knee(std::max(batch, input_.options.max_batch_tokens));
    if (before_.limited_seconds(StepLimit::kMaxBatch) < kWorthSaying * before_.seconds) return;
    SimulationOptions more = input_.options;
    more.max_batch *= 2;
    more.max_batch_tokens = std::max(more.max_batch_tokens, more.max_batch);
    more.requests_ahead *= 2;
    const auto gain = saved(more);
    if (!gain) return;
    const std::vector<std::pair<std::string, double>> figures = {{"max_batch", static_cast<double>(more.max_batch)},
                                                                 {"seconds_saved", *gain * input_.seconds_expected},
                                                                 {"knee_tokens", static_cast<double>(knee)}};
    if (*gain >= kWorthSaying) {
      advice_.push_back({"max_batch",
                         fmt::format("--max-batch {} would save about {} of the time: steps on this machine get "
                                     "cheaper by the token up to some {} tokens",
                                     more.max_batch, percent(*gain), knee),
                         figures});
    } else if (batch >= knee) {
      advice_.push_back(
          {"max_batch",
           fmt::format("a larger --max-batch would gain little: beyond some {} tokens a step's time grows "
                       "with its tokens on this machine",
                       knee),
           figures});
    }
  }

  void kv_memory() {
    const double bytes = kv_bytes(input_.options);
    if (before_.limited_seconds(StepLimit::kKvMemory) >= kWorthSaying * before_.seconds) {
      const auto gain = saved(with_kv_memory(input_.options, 2, input_.rows));
      if (gain && *gain >= kWorthSaying) {
        advice_.push_back({"kv_memory",
                           fmt::format("twice the KV memory ({}) would save about {} of the time",
                                       format_bytes(2 * bytes), percent(*gain)),
                           {{"kv_memory_bytes", 2 * bytes}, {"seconds_saved", *gain * input_.seconds_expected}}});
      }
      return;
    }
    const SimulationOptions half = with_kv_memory(input_.options, 0.5, input_.rows);
    const auto gain = saved(half);
    if (gain && *gain > -0.01) {
      // As little as was ever held does not cost anything either.
      advice_.push_back(
          {"kv_memory",
           fmt::format("half the KV memory ({}) would be as fast: sequences hold {} at "
                       "most",
                       format_bytes(kv_bytes(half)), format_bytes(static_cast<double>(before_.kv_bytes_held_max))),
           {{"kv_memory_bytes", kv_bytes(half)},
            {"kv_bytes_held_max", static_cast<double>(before_.kv_bytes_held_max)},
            {"seconds_saved", *gain * input_.seconds_expected}}});
    } else if (gain && *gain <= -kWorthSaying) {
      advice_.push_back({"kv_memory",
                         fmt::format("half the KV memory ({}) would take about {} longer", format_bytes(kv_bytes(half)),
                                     percent(-*gain)),
                         {{"kv_memory_bytes", kv_bytes(half)}, {"seconds_saved", *gain * input_.seconds_expected}}});
    }
  }

  void shared_beginnings() {
    if (!input_.options.share_prefixes || before_.prompt_tokens_computed >= before_.prompt_tokens) return;
    SimulationOptions alone = input_.options;
    alone.share_prefixes = false;
    const auto gain = saved(alone);
    if (!gain || *gain > -kWorthSaying) return;
    const double worth = -*gain * input_.seconds_expected;
    advice_.push_back(
        {"shared_beginnings",
         fmt::format("what rows begin with in common is computed once; without that the job would take {:.1f} times "
                     "as long",
                     1 - *gain),
         {{"seconds_saved", worth}, {"times", 1 - *gain}}});
  }

  void max_tokens() {
    if (input_.free_answers_max_tokens == 0 || input_.seconds_low <= 0) return;
    const double range = input_.seconds_high / input_.seconds_low;
    if (range < kWideRange) return;
    advice_.push_back(
        {"max_tokens",
         fmt::format("the time is uncertain by a factor of {:.1f} because answers may have {:.0f} tokens: "
                     "a lower max_tokens, or --expected-tokens if their mean is known, narrows it; "
                     "or run some rows first (run -o FILE --limit 64), then plan the others (plan -o FILE)",
                     range, input_.free_answers_max_tokens),
         {{"times", range}, {"max_tokens", input_.free_answers_max_tokens}}});
  }

  const AdviceInput& input_;
  const SimulationResult before_;
  std::vector<Advice> advice_;
};

}  // namespace

SimulationOptions with_kv_memory(const SimulationOptions& options, double factor, std::span<const SimulatedRow> rows) {
  int64_t longest = 0;
  for (const SimulatedRow& row : rows) {
    longest = std::max<int64_t>(
        longest, int64_t{row.prompt_tokens} + std::max<uint32_t>(row.max_tokens, row.scored_path_tokens));
  }
  SimulationOptions changed = options;
  for (PageClassSpec& spec : changed.page_classes) {
    int64_t least = blocks_for(longest) + 1;
    if (spec.window > 0) least = std::min<int64_t>(least, blocks_for(spec.window + options.max_batch_tokens) + 1);
    const auto wanted = static_cast<int64_t>(factor * spec.pages);
    // What there is holds the longest: fewer pages only above that.
    spec.pages = static_cast<int32_t>(factor < 1 ? std::min<int64_t>(spec.pages, std::max(wanted, least)) : wanted);
  }
  return changed;
}

std::vector<Advice> give_advice(const AdviceInput& input) {
  BATCHWRIGHT_CHECK(input.model != nullptr);
  return Adviser(input).all();
}

}  // namespace batchwright

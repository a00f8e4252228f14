#include "plan/step_columns.h"

#include <algorithm>
#include <cmath>

namespace batchwright {
namespace {

// Fine enough for a job of a quarter of a second.
constexpr double kFirstColumnSeconds = 0.001;

}  // namespace

StepColumn& StepColumn::operator+=(const StepColumn& more) {
  busy_seconds += more.busy_seconds;
  budget_seconds += more.budget_seconds;
  decode_seconds += more.decode_seconds;
  prompt_seconds += more.prompt_seconds;
  prompt_tokens_computed += more.prompt_tokens_computed;
  prompt_tokens += more.prompt_tokens;
  kv_bytes_max = std::max(kv_bytes_max, more.kv_bytes_max);
  return *this;
}

StepColumns::StepColumns(size_t columns_max)
    : columns_max_(std::max<size_t>(columns_max, 2)), column_seconds_(kFirstColumnSeconds) {}

void StepColumns::add(const StepSample& step) {
  // Beyond this a column's number would lose its meaning.
  constexpr double kSecondsMax = 1e12;
  if (!(step.seconds > 0) || !(std::abs(step.begin_seconds) < kSecondsMax) || !(step.seconds < kSecondsMax)) return;
  if (steps_++ == 0) origin_ = step.begin_seconds;
  const int64_t tokens = step.decode_tokens + step.prompt_tokens_computed;
  tokens_ += tokens;
  if (step.token_budget > 0) filled_ += static_cast<double>(tokens) / static_cast<double>(step.token_budget);
  const double begin = std::max(step.begin_seconds - origin_, 0.0);
  const double end = begin + step.seconds;
  seconds_ = std::max(seconds_, end);
  while (end > column_seconds_ * static_cast<double>(columns_max_)) widen();

  const auto first = std::min(static_cast<size_t>(begin / column_seconds_), columns_max_ - 1);
  const auto last = std::min(static_cast<size_t>(end / column_seconds_), columns_max_ - 1);
  for (size_t i = first; i <= last; ++i) {
    const double left = std::max(begin, column_seconds_ * static_cast<double>(i));
    const double right = i == last ? end : std::min(end, column_seconds_ * static_cast<double>(i + 1));
    const double overlap = std::max(0.0, right - left);
    if (overlap <= 0) continue;
    if (columns_.size() <= i) columns_.resize(i + 1);
    const double share = overlap / step.seconds;
    columns_[i] += {overlap,
                    overlap * static_cast<double>(step.token_budget),
                    overlap * static_cast<double>(step.decode_tokens),
                    overlap * static_cast<double>(step.prompt_tokens_computed),
                    share * static_cast<double>(step.prompt_tokens_computed),
                    share * static_cast<double>(step.prompt_tokens),
                    step.kv_bytes};
  }
}

void StepColumns::widen() {
  column_seconds_ *= 2;
  for (size_t i = 0; 2 * i < columns_.size(); ++i) {
    StepColumn both = columns_[2 * i];
    if (2 * i + 1 < columns_.size()) both += columns_[2 * i + 1];
    columns_[i] = both;
  }
  columns_.resize((columns_.size() + 1) / 2);
}

StepColumn StepColumns::total() const {
  StepColumn sum;
  for (const StepColumn& column : columns_) sum += column;
  return sum;
}

}  // namespace batchwright

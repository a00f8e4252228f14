#include "engine/step_costs.h"

#include <algorithm>
#include <utility>

#include "base/status_macros.h"
#include "platform/posix_file_system.h"

namespace batchwright {

Status StepCosts::calibrate(Model& model, PageCache& cache, const std::string& key, const CalibrationLimits& limits,
                            const CalibrationOptions& options) {
  const std::vector<StageCost> before = model.stage_costs();
  Status status = learn(model, cache, key, limits, options);
  const std::vector<StageCost> after = model.stage_costs();
  spent_.resize(after.size());
  for (size_t i = 0; i < after.size(); ++i) {
    spent_[i].seconds += after[i].seconds - before[i].seconds;
    spent_[i].rows += after[i].rows - before[i].rows;
    spent_[i].steps += after[i].steps - before[i].steps;
  }
  return status;
}

Status StepCosts::learn(Model& model, PageCache& cache, const std::string& key, const CalibrationLimits& limits,
                        const CalibrationOptions& options) {
  const auto files = posix_file_system();
  const CalibrationStore store(*files, options.cache_folder);
  kept_ = {};
  if (!options.anew) {
    if (auto kept = store.load(key)) {
      model_ = std::move(kept);
      decides_ = true;
      kept_ = {options.cache_folder, key};
      return {};
    }
    // Not even the question is worth it.
    if (options.tokens < 32 * kProbeTokens) return {};
    BATCHWRIGHT_ASSIGN_OR_RETURN(const double seconds_a_token, measure_token_seconds(model, cache, limits));
    if (options.tokens * seconds_a_token <= options.seconds_worth) return {};
  }
  if (options.measuring) options.measuring();
  BATCHWRIGHT_ASSIGN_OR_RETURN(Calibration calibration, measure_cost_model(model, cache, limits));
  model_ = std::move(calibration.model);
  // What was measured beside other programs will do for this run, with the correction that each step brings.
  decides_ = calibration.steady() || options.accept_unsteady;
  const Status saved = decides_ ? store.save(key, *model_) : Status();
  if (decides_ && saved.ok()) kept_ = {options.cache_folder, key};
  if (options.measured) {
    options.measured(!decides_                      ? "other programs used the machine meanwhile"
                     : options.cache_folder.empty() ? "there is no folder for it"
                                                    : saved.message());
  }
  return saved;
}

double StepCosts::check(double predicted, double seconds) {
  const double expected = check_.corrected(predicted);
  check_.record(predicted, seconds);
  if (!kept_.key.empty()) follow();
  return expected;
}

// Where a file can't be written or removed now, the next job comes to the same question.
void StepCosts::follow() {
  const bool is_wrong = check_.is_in_doubt();
  if (!is_wrong && check_.seconds() < next_write_) return;
  const auto files = posix_file_system();
  const CalibrationStore store(*files, kept_.folder);
  if (is_wrong) {
    // The next job measures anew.
    (void)store.remove(kept_.key);
    kept_ = {};
    return;
  }
  next_write_ = 2 * check_.seconds();
  CostModel now = *model_;
  now.factor = check_.followed(now.factor);
  (void)store.save(kept_.key, now);
}

std::vector<StageStats> StepCosts::stage_stats(const Model& model) const {
  std::vector<StageStats> all;
  std::vector<StageCost> costs = model.stage_costs();
  for (size_t i = 0; i < spent_.size(); ++i) {
    costs[i].seconds -= spent_[i].seconds;
    costs[i].rows -= spent_[i].rows;
    costs[i].steps -= spent_[i].steps;
  }
  for (const StageCost& cost : costs) {
    auto it = std::find_if(all.begin(), all.end(), [&](const StageStats& s) { return s.name == cost.name; });
    if (it == all.end()) it = all.insert(all.end(), StageStats{cost.name});
    it->seconds += cost.seconds;
    it->multiply_adds += cost.multiply_adds_a_row * static_cast<double>(cost.rows);
    it->weight_bytes += cost.weight_bytes * static_cast<double>(cost.steps);
  }
  return all;
}

}  // namespace batchwright

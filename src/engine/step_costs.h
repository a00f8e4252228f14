// What the engine knows of its steps' costs: the cost model of this machine, how well it does, and what was spent on
// it.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "batchwright/engine.h"
#include "cache/page_cache.h"
#include "engine/calibration.h"
#include "model/model.h"
#include "schedule/cost_model.h"
#include "step/step.h"

namespace batchwright {

// Not thread-safe.
class StepCosts {
 public:
  // Takes what is kept of `key` (calibration_key) or measures, as Engine::calibrate() says. `cache` must be idle. An
  // error says why nothing was learned or kept.
  Status calibrate(Model& model, PageCache& cache, const std::string& key, const CalibrationLimits& limits,
                   const CalibrationOptions& options);

  // Null before anything was learned.
  const CostModel* model() const { return model_ ? &*model_ : nullptr; }
  // Whether what was learned is good enough to decide by (Calibration::steady).
  bool decides() const { return decides_; }

  // Of the step, by the model alone; 0 without one.
  double predict(const Step& step) const { return model_ ? model_->seconds(step) : 0; }
  // The step for which predict() gave `predicted` took `seconds`. Gives what was to be expected after the steps before.
  // What is kept follows (CostModel::factor), and is removed where it turns out to be wrong (CostCheck::is_in_doubt).
  double check(double predicted, double seconds);
  const CostCheck& checked() const { return check_; }

  // What the model's stages took, without the steps that measured.
  std::vector<StageStats> stage_stats(const Model& model) const;

 private:
  Status learn(Model& model, PageCache& cache, const std::string& key, const CalibrationLimits& limits,
               const CalibrationOptions& options);
  void follow();

  // What was kept is written anew after so many seconds of steps, then each time they have doubled.
  static constexpr double kFirstWriteSeconds = 1;

  struct Kept {
    std::string folder;
    std::string key;
  };

  std::optional<CostModel> model_;
  Kept kept_;  // empty where the model is not kept
  double next_write_ = kFirstWriteSeconds;
  bool decides_ = false;
  CostCheck check_;
  std::vector<StageCost> spent_;  // by steps that were no requests'
};

}  // namespace batchwright

// What a job will take, by simulating it: docs/planning.md. The keys of its JSON are described in
// docs/formats/plan-json.md.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/json_writer.h"
#include "plan/advice.h"
#include "plan/length_prior.h"
#include "plan/simulator.h"
#include "schedule/cost_model.h"

namespace batchwright {

// low and high bound four cases in five.
template <class Number>
struct PlanRange {
  Number low = 0;
  Number expected = 0;
  Number high = 0;
};

struct JobPlan {
  int64_t rows = 0;
  int64_t rows_done = 0;  // of these, by earlier runs: what follows is of the others
  int64_t rows_bad = 0;
  int64_t prompt_tokens = 0;
  int64_t prompt_tokens_to_compute = 0;
  PlanRange<int64_t> generated_tokens;
  size_t peak_memory_bytes = 0;
  size_t kv_memory_bytes = 0;
  PlanRange<double> seconds;
  double multiply_adds = 0;
  std::string limited_by;
  std::vector<Advice> advice;

  double rows_per_hour() const {
    return seconds.expected > 0 ? 3600 * static_cast<double>(rows - rows_done) / seconds.expected : 0;
  }
};

struct JobPlanInput {
  // In the order in which they run; their answers as RowOutlook (job/row_outlook.h) has them. They are changed.
  std::span<SimulatedRow> rows;
  const std::vector<bool>* ends_freely = nullptr;  // of each
  SimulationOptions options;
  const CostModel* model = nullptr;
  const AnswerLengths* learnt = nullptr;  // lengths of answers that are known; null: none
  double order_seconds = 0;               // that come before the first step
  std::function<bool()> stop;
};

// What the simulations say: all but rows_done, memory, multiply_adds and the advice of bad rows. `expected` is the
// middle simulation.
struct SimulatedPlan {
  JobPlan plan;
  SimulationResult expected;
  bool stopped = false;
};
SimulatedPlan simulate_plan(const JobPlanInput& input, int64_t rows_total, int64_t rows_bad);

// Of matrix products with weights: what a token costs in all layers, and a row of logits.
struct ModelWork {
  double multiply_adds_a_token = 0;
  double multiply_adds_a_logits_row = 0;
};
double multiply_adds(const ModelWork& work, std::span<const SimulatedRow> rows, int64_t prompt_tokens_computed);

void append_plan(JsonWriter& out, const JobPlan& plan);

}  // namespace batchwright

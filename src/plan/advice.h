// What would make a job cheaper, or its plan surer: only what is true of this job and worth doing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "plan/simulator.h"
#include "schedule/cost_model.h"

namespace batchwright {

struct Advice {
  // "max_batch", "kv_memory", "shared_beginnings", "bad_rows" or "max_tokens".
  std::string kind;
  std::string message;  // a sentence for people
  std::vector<std::pair<std::string, double>> figures;
};

// What advice is given about. All refer to the same order of rows.
struct AdviceInput {
  // Some of the job's rows as the expected simulation has them, at the end of which nothing is known: few enough to be
  // simulated several times.
  std::span<const SimulatedRow> rows;
  SimulationOptions options;
  const CostModel* model = nullptr;
  double seconds_expected = 0;  // of the whole job
  double seconds_low = 0;
  double seconds_high = 0;
  int64_t rows_total = 0;
  int64_t rows_bad = 0;
  double free_answers_max_tokens = 0;  // the mean of max_tokens over answers that end freely; 0: there are none
  std::function<bool()> stop;
};

std::vector<Advice> give_advice(const AdviceInput& input);

// The options with the pages of another size of the KV cache, in proportion; never fewer than the longest of the rows
// needs by itself.
SimulationOptions with_kv_memory(const SimulationOptions& options, double factor, std::span<const SimulatedRow> rows);

}  // namespace batchwright

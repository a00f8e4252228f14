#include "plan/job_plan.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <thread>
#include <utility>

#include "base/check.h"

namespace batchwright {
namespace {

// Steps are predicted as well as the machine is steady: with this for the run as a whole, four times in five.
constexpr double kMachineRange = 1.1;
// Rows that are simulated, by what they take: a million steps are some ten seconds.
constexpr double kStepsMax = 400'000;
constexpr double kAdviceSteps = 20'000;

// New tokens of a row's sequences, and those that they generate.
struct RowTokens {
  double computed = 0;
  double generated = 0;
};

RowTokens tokens_of(const SimulatedRow& row) {
  const double own = row.prompt_tokens - double{1} * std::min(row.common_tokens, row.prompt_tokens);
  return {own + double{1} * row.scored_paths * row.scored_path_tokens, double{1} * row.choices * row.answer_tokens};
}

double steps_of(const SimulatedRow& row, const SimulationOptions& options) {
  const RowTokens tokens = tokens_of(row);
  return tokens.computed / options.max_batch_tokens +
         double{1} * row.choices * std::min(row.answer_runs, row.answer_tokens) / options.max_batch;
}

// Stretches of the order, evenly apart. In depth-first order two rows have in common what all between them have.
std::vector<SimulatedRow> thin_rows(std::span<const SimulatedRow> rows, double share) {
  constexpr size_t kStretches = 32;
  const size_t length = std::max<size_t>(1, static_cast<size_t>(share * static_cast<double>(rows.size()) / kStretches));
  std::vector<SimulatedRow> kept;
  uint32_t common = UINT32_MAX;
  for (size_t i = 0; i < rows.size(); ++i) {
    common = std::min(common, rows[i].common_tokens);
    const size_t stretch = i * kStretches / rows.size();
    if (i - (stretch * rows.size() + kStretches - 1) / kStretches >= length) continue;
    kept.push_back(rows[i]);
    kept.back().common_tokens = common;
    common = UINT32_MAX;
  }
  return kept;
}

RowTokens sum_of(std::span<const SimulatedRow> rows) {
  RowTokens sum;
  for (const SimulatedRow& row : rows) {
    const RowTokens tokens = tokens_of(row);
    sum.computed += tokens.computed;
    sum.generated += tokens.generated;
  }
  return sum;
}

// Some rows, and what they stand for.
struct Sample {
  std::vector<SimulatedRow> rows;  // empty: all
  double computed_scale = 1;
  double generated_scale = 1;
};

Sample sample_of(std::span<const SimulatedRow> rows, const SimulationOptions& options, double steps_max) {
  double steps = 0;
  for (const SimulatedRow& row : rows) steps += steps_of(row, options);
  Sample sample;
  if (steps <= steps_max) return sample;
  sample.rows = thin_rows(rows, steps_max / steps);
  const RowTokens all = sum_of(rows);
  const RowTokens some = sum_of(sample.rows);
  sample.computed_scale = some.computed > 0 ? all.computed / some.computed : 1;
  sample.generated_scale = some.generated > 0 ? all.generated / some.generated : 1;
  return sample;
}

struct Scaled {
  SimulationResult result;
  double seconds = 0;
  int64_t prompt_tokens_computed = 0;
  int64_t generated_tokens = 0;
};

int64_t scaled(int64_t count, double factor) { return std::llround(static_cast<double>(count) * factor); }

Scaled simulate_all(std::span<const SimulatedRow> rows, const JobPlanInput& input) {
  const Sample sample = sample_of(rows, input.options, kStepsMax);
  const std::span<const SimulatedRow> simulated = sample.rows.empty() ? rows : sample.rows;
  Scaled out;
  out.result = simulate(simulated, input.options, *input.model, input.stop);
  const double tokens = static_cast<double>(out.result.prompt_tokens_computed + out.result.generated_tokens);
  out.prompt_tokens_computed = scaled(out.result.prompt_tokens_computed, sample.computed_scale);
  out.generated_tokens = scaled(out.result.generated_tokens, sample.generated_scale);
  const double all_tokens = static_cast<double>(out.prompt_tokens_computed + out.generated_tokens);
  out.seconds = out.result.seconds * (sample.rows.empty() || tokens == 0 ? 1 : all_tokens / tokens);
  return out;
}

void set_answers(std::span<SimulatedRow> rows, const std::vector<uint32_t>& least, const JobPlanInput& input,
                 LengthScenario scenario) {
  const LengthPrior prior(input.learnt);
  for (size_t i = 0; i < rows.size(); ++i) {
    if (!(*input.ends_freely)[i]) continue;
    const AnswerBounds bounds{least[i], rows[i].max_tokens, false, rows[i].group};
    rows[i].answer_tokens = prior.answer_tokens(bounds, scenario, i);
    rows[i].answer_runs = rows[i].answer_tokens;
  }
}

std::string limit_name(const SimulationResult& result) {
  constexpr std::array<std::pair<StepLimit, const char*>, 4> kNames = {{{StepLimit::kMaxBatch, "max_batch"},
                                                                        {StepLimit::kMaxTokens, "max_batch_tokens"},
                                                                        {StepLimit::kKvMemory, "kv_memory"},
                                                                        {StepLimit::kNothing, "rows"}}};
  const auto* const most = std::max_element(kNames.begin(), kNames.end(), [&](const auto& a, const auto& b) {
    return result.limited_seconds(a.first) < result.limited_seconds(b.first);
  });
  return result.limited_seconds(most->first) > 0 ? most->second : "nothing";
}

// Both do their part by chance: logarithms add up as the sides of a right angle.
double with_machine_range(double expected, double outer, bool is_low) {
  if (expected <= 0 || outer <= 0) return expected;
  const double lengths = std::log(outer / expected);
  const double both = std::hypot(lengths, std::log(kMachineRange));
  return expected * std::exp(is_low ? -both : both);
}

}  // namespace

SimulatedPlan simulate_plan(const JobPlanInput& input, int64_t rows_total, int64_t rows_bad) {
  BATCHWRIGHT_CHECK(input.model != nullptr && input.ends_freely != nullptr);
  BATCHWRIGHT_CHECK(input.ends_freely->size() == input.rows.size());
  SimulatedPlan out;
  JobPlan& plan = out.plan;
  plan.rows = rows_total;
  plan.rows_bad = rows_bad;
  std::vector<uint32_t> least(input.rows.size());
  double free_rows = 0;
  double free_max_tokens = 0;
  for (size_t i = 0; i < input.rows.size(); ++i) {
    const SimulatedRow& row = input.rows[i];
    plan.prompt_tokens += int64_t{row.prompt_tokens} * row.choices;
    least[i] = row.answer_tokens;
    if (!(*input.ends_freely)[i]) continue;
    ++free_rows;
    free_max_tokens += row.max_tokens;
  }
  const auto run = [&](LengthScenario scenario) {
    set_answers(input.rows, least, input, scenario);
    return simulate_all(input.rows, input);
  };
  Scaled low;
  Scaled high;
  if (free_rows > 0) {
    low = run(LengthScenario::kLow);
    high = run(LengthScenario::kHigh);
  }
  Scaled expected = run(LengthScenario::kExpected);
  if (free_rows == 0) {
    low.seconds = high.seconds = expected.seconds;
    low.generated_tokens = high.generated_tokens = expected.generated_tokens;
  }
  out.stopped = low.result.stopped || high.result.stopped || expected.result.stopped;
  plan.prompt_tokens_to_compute = expected.prompt_tokens_computed;
  plan.generated_tokens = {low.generated_tokens, expected.generated_tokens, high.generated_tokens};
  plan.seconds = {input.order_seconds + with_machine_range(expected.seconds, low.seconds, true),
                  input.order_seconds + expected.seconds,
                  input.order_seconds + with_machine_range(expected.seconds, high.seconds, false)};
  plan.limited_by = limit_name(expected.result);
  if (!out.stopped) {
    const Sample sample = sample_of(input.rows, input.options, kAdviceSteps);
    AdviceInput advice;
    advice.rows = sample.rows.empty() ? std::span<const SimulatedRow>(input.rows) : sample.rows;
    advice.options = input.options;
    advice.model = input.model;
    advice.seconds_expected = expected.seconds;
    advice.seconds_low = plan.seconds.low;
    advice.seconds_high = plan.seconds.high;
    advice.rows_total = rows_total;
    advice.rows_bad = rows_bad;
    advice.free_answers_max_tokens = free_rows > 0 ? free_max_tokens / free_rows : 0;
    advice.stop = input.stop;
    plan.advice = give_advice(advice);
  }
  out.expected = std::move(expected.result);
  return out;
}

double multiply_adds(const ModelWork& work, std::span<const SimulatedRow> rows, int64_t prompt_tokens_computed) {
  auto tokens = static_cast<double>(prompt_tokens_computed);
  double logits = 0;
  for (const SimulatedRow& row : rows) {
    const double paths = double{1} * row.scored_paths * row.scored_path_tokens;
    // The last token generated never goes through the model.
    tokens += double{1} * row.choices * (std::max<uint32_t>(row.answer_tokens, 1) - 1) + paths;
    logits += double{1} * row.choices * row.answer_runs + paths + (row.is_shared ? 0 : row.prompt_tokens);
  }
  return tokens * work.multiply_adds_a_token + logits * work.multiply_adds_a_logits_row;
}

void append_plan(JsonWriter& out, const JobPlan& plan) {
  const auto range = [&](const char* name, const auto& values) {
    out.key(name);
    out.begin_object();
    out.member("low", values.low);
    out.member("expected", values.expected);
    out.member("high", values.high);
    out.end_object();
  };
  out.begin_object();
  out.member("rows", plan.rows);
  out.member("rows_done", plan.rows_done);
  out.member("rows_bad", plan.rows_bad);
  out.member("prompt_tokens", plan.prompt_tokens);
  out.member("prompt_tokens_to_compute", plan.prompt_tokens_to_compute);
  range("generated_tokens", plan.generated_tokens);
  out.member("peak_memory_bytes", static_cast<int64_t>(plan.peak_memory_bytes));
  out.member("kv_memory_bytes", static_cast<int64_t>(plan.kv_memory_bytes));
  range("seconds", plan.seconds);
  out.member("rows_per_hour", plan.rows_per_hour());
  out.member("multiply_adds", plan.multiply_adds);
  out.member("limited_by", plan.limited_by);
  out.key("advice");
  out.begin_array();
  for (const Advice& advice : plan.advice) {
    out.begin_object();
    out.member("kind", advice.kind);
    out.member("message", advice.message);
    for (const auto& [name, value] : advice.figures) out.member(name, value);
    out.end_object();
  }
  out.end_array();
  out.end_object();
}

}  // namespace batchwright

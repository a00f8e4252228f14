#include "plan/simulator.h"

#include <algorithm>
#include <memory>
#include <unordered_map>
#include <utility>

#include "base/check.h"
#include "schedule/answer_lengths.h"
#include "schedule/scheduler.h"

namespace batchwright {
namespace {

constexpr int64_t kStepsBetweenStops = 256;

int as_int(uint32_t count) { return static_cast<int>(count); }

// Texts that begin alike as the rows say, and nowhere else: each row, and each of its sequences, brings a token of its
// own for all that it has alone.
class TextMaker {
 public:
  TokenId own_token() { return static_cast<TokenId>(next_own_++ & INT32_MAX); }

  std::vector<TokenId> prompt(const SimulatedRow& row) {
    const TokenId own = own_token();
    const size_t length = std::max<uint32_t>(row.prompt_tokens, 1);
    if (!row.is_shared) return std::vector<TokenId>(length, own);
    last_.resize(std::min<size_t>({row.common_tokens, last_.size(), length}));
    last_.resize(length, own);
    return last_;
  }

 private:
  std::vector<TokenId> last_;
  uint32_t next_own_ = 0;
};

SchedulerOptions scheduler_options(const SimulationOptions& options) {
  SchedulerOptions scheduling;
  scheduling.max_batch = options.max_batch;
  scheduling.max_batch_tokens = options.max_batch_tokens;
  scheduling.share_prefixes = options.share_prefixes;
  return scheduling;
}

class Simulation {
 public:
  Simulation(std::span<const SimulatedRow> rows, const SimulationOptions& options, const CostModel& model)
      : rows_(rows),
        options_(options),
        model_(model),
        cache_(options.page_classes),
        scheduler_(scheduler_options(options), cache_) {
    BATCHWRIGHT_CHECK(options.page_bytes.size() == options.page_classes.size());
    options_.max_batch_tokens = std::max(options_.max_batch_tokens, options_.max_batch);
  }

  SimulationResult run(const std::function<bool()>& stop);

 private:
  struct RowState {
    const SimulatedRow* row = nullptr;
    std::vector<TokenId> prompt;
    int64_t first_step = 0;
    uint64_t number = 0;  // of all that are submitted, from 1
    int open = 0;         // sequences under way
    int paths_open = 0;
    int paths_started = 0;
    bool is_paused = false;
  };
  struct SequenceState {
    RowState* row = nullptr;
    TokenId token = 0;  // of its answer
    bool is_path = false;
    uint32_t runs = 0;  // forward passes that gave it tokens
    int reached = 0;    // positions that were computed or found so far
  };

  void submit(const SimulatedRow& row);
  int expected_tokens(const RowState& state, int generated) const;
  void start_choice(RowState& state, int choice);
  void start_paths(RowState& state);
  void end_if_done(RowState& state);
  void step();
  void count_step(const Step& step, double seconds);
  void note_pauses();
  bool hand_on(int64_t sequence, SequenceState& s);
  void collect(const Step& step);
  StepLimit limit() const;
  size_t bytes(int32_t (PageCache::*pages)(int) const) const;
  void finish();

  std::span<const SimulatedRow> rows_;
  SimulationOptions options_;
  const CostModel& model_;
  PageCache cache_;
  Scheduler scheduler_;
  TextMaker texts_;
  AnswerLengths lengths_;
  std::unordered_map<const SimulatedRow*, std::unique_ptr<RowState>> in_flight_;
  std::unordered_map<int64_t, SequenceState> sequences_;
  std::vector<TokenId> appended_;
  double running_ = 0;
  uint64_t submitted_ = 0;
  SimulationResult result_;
};

SimulationResult Simulation::run(const std::function<bool()>& stop) {
  size_t next = 0;
  while (true) {
    while (next < rows_.size() && static_cast<int>(in_flight_.size()) < options_.requests_ahead) submit(rows_[next++]);
    if (in_flight_.empty() && next == rows_.size()) break;
    if (stop && result_.steps % kStepsBetweenStops == 0 && stop()) {
      result_.stopped = true;
      break;
    }
    if (!in_flight_.empty()) step();
  }
  finish();
  return std::move(result_);
}

// Rows

void Simulation::submit(const SimulatedRow& row) {
  auto state = std::make_unique<RowState>();
  RowState& kept = *state;
  kept.row = &row;
  kept.prompt = texts_.prompt(row);
  kept.first_step = result_.steps;
  kept.number = ++submitted_;
  in_flight_.emplace(&row, std::move(state));
  for (int choice = 0; choice < row.choices; ++choice) start_choice(kept, choice);
  start_paths(kept);
  end_if_done(kept);
}

int Simulation::expected_tokens(const RowState& state, int generated) const {
  const SimulatedRow& row = *state.row;
  switch (options_.admission) {
    case Admission::kPastFuture:
      return lengths_.expected(row.group, as_int(row.max_tokens), state.number, generated);
    case Admission::kReserveMax:
      return as_int(row.max_tokens);
    case Admission::kPromptOnly:
      return 0;
    case Admission::kOracle:
      return as_int(row.answer_tokens);
  }
  return 0;
}

void Simulation::start_choice(RowState& state, int choice) {
  const SimulatedRow& row = *state.row;
  const bool is_scored = !row.is_shared && choice == 0;
  if (std::min(row.answer_runs, row.answer_tokens) == 0 && !is_scored) {
    result_.generated_tokens += row.answer_tokens;
    return;
  }
  SequenceSpec spec;
  spec.prompt = state.prompt;
  spec.full_logits = row.full_logits;
  spec.prompt_logits_from = is_scored ? 0 : -1;
  const bool is_last = choice + 1 == row.choices && row.scored_paths == 0;
  spec.reused_tokens = as_int(is_last ? row.reused_tokens : row.prompt_tokens);
  spec.expected_tokens = expected_tokens(state, 0);
  spec.expected_beyond = [this, &state](int generated) { return expected_tokens(state, generated); };
  spec.most_tokens = as_int(row.max_tokens);
  sequences_.emplace(scheduler_.add(std::move(spec)), SequenceState{&state, texts_.own_token()});
  ++state.open;
  result_.prompt_tokens += row.prompt_tokens;
}

void Simulation::start_paths(RowState& state) {
  const SimulatedRow& row = *state.row;
  while (state.paths_started < row.scored_paths && state.paths_open < options_.max_batch) {
    SequenceSpec spec;
    spec.prompt = state.prompt;
    spec.prompt.insert(spec.prompt.end(), std::max<size_t>(row.scored_path_tokens, 1), texts_.own_token());
    spec.answer_tokens = static_cast<int>(spec.prompt.size() - state.prompt.size());
    spec.full_logits = true;
    spec.prompt_logits_from = static_cast<int>(state.prompt.size());
    ++state.paths_started;
    spec.reused_tokens = as_int(state.paths_started == row.scored_paths ? row.reused_tokens : row.prompt_tokens);
    sequences_.emplace(scheduler_.add(std::move(spec)), SequenceState{&state, 0, true});
    ++state.open;
    ++state.paths_open;
  }
}

void Simulation::end_if_done(RowState& state) {
  if (state.open > 0) return;
  for (int choice = 0; choice < state.row->choices; ++choice) {
    lengths_.record(state.row->group, as_int(state.row->answer_tokens));
  }
  ++result_.rows_ended;
  result_.rows_paused += state.is_paused ? 1 : 0;
  result_.row_steps_max = std::max(result_.row_steps_max, result_.steps - state.first_step);
  in_flight_.erase(state.row);
}

// Steps

void Simulation::step() {
  const Step& step = scheduler_.plan();
  BATCHWRIGHT_CHECK(step.rows() > 0);
  note_pauses();
  count_step(step, model_.seconds(step));
  scheduler_.commit();
  collect(step);
}

void Simulation::note_pauses() {
  for (const int64_t sequence : scheduler_.preempted()) sequences_.at(sequence).row->is_paused = true;
}

void Simulation::count_step(const Step& step, double seconds) {
  StepSample sample;
  sample.begin_seconds = result_.seconds;
  sample.seconds = seconds;
  sample.token_budget = options_.max_batch_tokens;
  for (const Run& run : step.runs) {
    SequenceState& s = sequences_.at(run.sequence);
    const auto prompt = static_cast<int>(s.row->prompt.size());
    const int computed = std::clamp(prompt - run.first_position, 0, run.count);
    sample.prompt_tokens_computed += computed;
    sample.decode_tokens += run.count - computed;
    if (s.is_path) continue;  // its prompt is that of the choices
    const int from = std::min(s.reached, prompt);
    s.reached = std::max(s.reached, run.first_position + run.count);
    sample.prompt_tokens += std::min(s.reached, prompt) - from;
  }
  sample.kv_bytes = bytes(&PageCache::held);
  ++result_.steps;
  result_.seconds += seconds;
  result_.prompt_tokens_computed += sample.prompt_tokens_computed;
  result_.kv_bytes_held_max = std::max(result_.kv_bytes_held_max, sample.kv_bytes);
  result_.seconds_by_limit[static_cast<size_t>(limit())] += seconds;
  running_ += scheduler_.running();
  result_.columns.add(sample);
}

StepLimit Simulation::limit() const {
  if (scheduler_.out_of_pages()) return StepLimit::kKvMemory;
  if (scheduler_.waiting() > 0 && scheduler_.running() >= options_.max_batch) return StepLimit::kMaxBatch;
  if (scheduler_.out_of_tokens()) return StepLimit::kMaxTokens;
  return StepLimit::kNothing;
}

size_t Simulation::bytes(int32_t (PageCache::*pages)(int) const) const {
  size_t sum = 0;
  for (int c = 0; c < cache_.classes(); ++c) {
    sum += static_cast<size_t>((cache_.*pages)(c)) * options_.page_bytes[static_cast<size_t>(c)];
  }
  return sum;
}

void Simulation::collect(const Step& step) {
  for (const LogitsRow& logits : step.logits) {
    const auto it = sequences_.find(logits.sequence);
    if (it == sequences_.end()) continue;
    SequenceState& s = it->second;
    RowState& row = *s.row;
    const auto prompt = static_cast<int>(row.prompt.size());
    const int next = step.positions[static_cast<size_t>(logits.row)] + 1;
    if (s.is_path) {
      if (next < prompt + std::max<int>(row.row->scored_path_tokens, 1)) continue;
    } else if (next < prompt || !hand_on(logits.sequence, s)) {
      continue;
    }
    --row.open;
    const bool was_path = s.is_path;
    scheduler_.remove(logits.sequence);
    sequences_.erase(it);
    if (was_path) {
      --row.paths_open;
      start_paths(row);
    }
    end_if_done(row);
  }
}

// The tokens of a forward pass, by equal shares of the whole answer; true where the choice has ended with them.
bool Simulation::hand_on(int64_t sequence, SequenceState& s) {
  const uint64_t tokens = s.row->row->answer_tokens;
  const uint64_t runs = std::min<uint64_t>(s.row->row->answer_runs, tokens);
  if (runs == 0) {
    result_.generated_tokens += static_cast<int64_t>(tokens);
    return true;
  }
  const uint64_t before = tokens * s.runs / runs;
  const uint64_t after = tokens * ++s.runs / runs;
  result_.generated_tokens += static_cast<int64_t>(after - before);
  if (s.runs == runs) return true;
  appended_.assign(after - before, s.token);
  scheduler_.append(sequence, appended_);
  return false;
}

void Simulation::finish() {
  result_.preemptions = scheduler_.preemptions();
  result_.kv_bytes_touched = bytes(&PageCache::touched);
  result_.mean_fill = result_.columns.mean_fill();
  result_.mean_batch = result_.steps > 0 ? running_ / static_cast<double>(result_.steps) : 0;
}

}  // namespace

SimulationResult simulate(std::span<const SimulatedRow> rows, const SimulationOptions& options, const CostModel& model,
                          const std::function<bool()>& stop) {
  return Simulation(rows, options, model).run(stop);
}

}  // namespace batchwright

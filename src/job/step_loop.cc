#include "job/step_loop.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <new>
#include <set>
#include <utility>

#include "base/check.h"
#include "base/out_of_memory.h"
#include "base/status_macros.h"
#include "engine/answer_work.h"

namespace batchwright {
namespace {

using std::chrono::milliseconds;

constexpr size_t kIgnoredNamesMax = 64;
constexpr size_t kIgnoredNameBytesMax = 64;

// How often the time left is computed anew.
constexpr double kEstimateSeconds = 0.5;

}  // namespace

StepLoop::StepLoop(Engine& engine, RowFeeder& feeder, ResultWriter& writer, const JobEnvironment& environment,
                   JobObserver* observer, const RowCounts& counts, Admission admission)
    : engine_(engine),
      feeder_(feeder),
      writer_(writer),
      environment_(environment),
      observer_(observer),
      counts_(counts),
      admission_(admission),
      requests_ahead_(requests_ahead(engine.options().max_batch)),
      start_seconds_(environment.seconds()),
      start_stats_(engine.stats()),
      time_left_(counts.total - counts.resumed_ok - counts.resumed_failed, engine.options().max_batch) {}

void StepLoop::learn(const std::vector<FinishedAnswer>& answers) {
  for (const FinishedAnswer& answer : answers) {
    answer_lengths_.record(answer.group, answer.tokens);
    time_left_.learn(answer.tokens, answer.tokens_max);
  }
}

Status StepLoop::run() {
  try {
    const Status status = loop();
    cancel_all();
    return status;
  } catch (const std::bad_alloc&) {
    // As where a step of it fails.
    in_flight_.clear();
    return out_of_memory();
  }
}

Status StepLoop::loop() {
  while (true) {
    if (writer_.failed()) return {};  // the writer's own status says why
    if (!draining_ && environment_.stop_requested()) begin_drain();
    if (draining_ && (in_flight_.empty() || environment_.seconds() >= drain_end_seconds_)) {
      return interrupted("stopped on request");
    }
    if (!draining_) submit_rows();
    if (!in_flight_.empty()) {
      BATCHWRIGHT_RETURN_IF_ERROR(step());
    } else if (feeder_.finished()) {
      return feeder_.status();
    }
    report_progress();
  }
}

void StepLoop::submit_rows() {
  idle_input_ = false;
  while (static_cast<int64_t>(in_flight_.size()) < requests_ahead_) {
    // With nothing to compute there is time to wait; but a request to stop must be seen.
    auto fed = feeder_.next(milliseconds(in_flight_.empty() ? 50 : 0));
    if (!fed) {
      idle_input_ = !feeder_.finished();
      return;
    }
    accept(std::move(*fed));
    if (writer_.failed()) return;
  }
}

void StepLoop::accept(FedRow fed) {
  if (time_left_.wants_plan()) time_left_.plan(feeder_.work_planned());
  count_ignored(fed.ignored_fields);
  if (auto* const error = std::get_if<RequestError>(&fed.outcome)) {
    time_left_.begin_wrong();
    writer_.push({std::move(fed.name), {}, std::move(*error)});
    return;
  }
  if (next_id_ == 1) {
    // Now the rows are planned. Without a cost model the job runs all the same.
    CalibrationOptions calibration;
    calibration.cache_folder = environment_.cache_folder;
    calibration.tokens = static_cast<double>(feeder_.prompt_tokens_planned());
    calibration.anew = environment_.calibrate_anew;
    calibration.measuring = [this] {
      if (observer_ != nullptr) observer_->measuring();
    };
    calibration.measured = [this](const std::string& why_not_kept) {
      if (observer_ != nullptr) observer_->measured(why_not_kept);
    };
    (void)engine_.calibrate(calibration);
  }
  auto& prepared = std::get<PreparedRequest>(fed.outcome);
  const uint64_t id = next_id_++;
  prepared.request.id = id;
  const Request& request = prepared.request;
  const uint32_t group = answer_group(request);
  expect_tokens(prepared.request, group);
  time_left_.begin(id,
                   row_load(request.prompt.size(), 0, static_cast<uint32_t>(request.n),
                            answer_tokens_max(request, engine_.options().context_length)),
                   needs_full_logits(request, engine_.vocabulary()));
  in_flight_.emplace(id, InFlight{std::move(fed.name), std::move(prepared.shape), request.n, group});
  engine_.submit(std::move(prepared.request));
}

void StepLoop::expect_tokens(Request& request, uint32_t group) const {
  switch (admission_) {
    case Admission::kOracle:
    case Admission::kPastFuture:
      request.expected_beyond = [this, group, id = request.id, max = request.max_tokens](int generated) {
        return answer_lengths_.expected(group, max, id, generated);
      };
      request.expected_tokens = request.expected_beyond(0);
      break;
    case Admission::kReserveMax:
      request.expected_tokens = request.max_tokens;
      break;
    case Admission::kPromptOnly:
      request.expected_tokens = 0;
      break;
  }
}

Status StepLoop::step() {
  auto stepped = engine_.step();
  if (!stepped.ok()) {
    // It may have stopped anywhere: it is asked for nothing any more.
    in_flight_.clear();
    return stepped.status();
  }
  std::vector<Completion> done = *std::move(stepped);
  if (observer_ != nullptr) observer_->stepped(engine_);
  const StepLimit limit = engine_.stats().last_step_limit;
  limited_by_.count_step(limit, idle_input_, feeder_.finished());
  time_left_.stepped(engine_.last_step(), limit, engine_.cost_model(), environment_.seconds());
  for (Completion& completion : done) {
    const auto found = in_flight_.find(completion.id);
    if (found == in_flight_.end()) {
      return internal_error(fmt::format("the engine gave back request {}, which is not under way", completion.id));
    }
    end(found->second, completion);
    writer_.push({std::move(found->second.name), std::move(found->second.shape), std::move(completion)});
    in_flight_.erase(found);
  }
  if (engine_.active() != static_cast<int64_t>(in_flight_.size())) {
    return internal_error(fmt::format("the engine has {} active requests where {} were submitted and not given back",
                                      engine_.active(), in_flight_.size()));
  }
  return {};
}

void StepLoop::end(const InFlight& row, const Completion& completion) {
  std::vector<int> generated;
  for (const Choice& choice : completion.choices) generated.push_back(choice.generated_tokens);
  for (const int tokens : generated) answer_lengths_.record(row.answer_group, tokens);
  time_left_.end(completion.id, generated);
  prompt_tokens_done_ += int64_t{completion.prompt_tokens} * row.choices;
  prompt_tokens_done_computed_ += completion.prompt_tokens_computed;
}

void StepLoop::begin_drain() {
  draining_ = true;
  drain_end_seconds_ = environment_.seconds() + kDrainSeconds;
  // Those that have not begun, the youngest, would only take time from those that have.
  int64_t waiting = engine_.stats().sequences_waiting;
  while (waiting > 0 && !in_flight_.empty()) {
    const auto youngest = std::prev(in_flight_.end());
    waiting -= youngest->second.choices;
    if (waiting < 0) break;
    engine_.cancel(youngest->first);
    in_flight_.erase(youngest);
  }
}

void StepLoop::cancel_all() {
  for (const auto& [id, row] : in_flight_) engine_.cancel(id);
  in_flight_.clear();
}

void StepLoop::count_ignored(const std::vector<std::string>& names) {
  std::set<std::string> distinct;
  for (const std::string& name : names) {
    if (distinct.size() < kIgnoredNamesMax) distinct.insert(name.substr(0, kIgnoredNameBytesMax));
  }
  for (const std::string& name : distinct) {
    const auto found = ignored_fields_.find(name);
    if (found != ignored_fields_.end()) {
      ++found->second;
    } else {
      ++ignored_fields_[ignored_fields_.size() < kIgnoredNamesMax ? name : "(others)"];
    }
  }
}

EngineStats StepLoop::stats() const {
  EngineStats now = engine_.stats();
  now.steps -= start_stats_.steps;
  now.prompt_tokens -= start_stats_.prompt_tokens;
  now.prompt_tokens_computed -= start_stats_.prompt_tokens_computed;
  now.generated_tokens -= start_stats_.generated_tokens;
  now.preemptions -= start_stats_.preemptions;
  now.steps_filled -= start_stats_.steps_filled;
  now.seconds_prefill -= start_stats_.seconds_prefill;
  now.seconds_decode -= start_stats_.seconds_decode;
  return now;
}

// Below 0: not known yet. In between it only passes.
double StepLoop::seconds_left(double now) {
  if (seconds_left_ < 0 || now - estimated_seconds_ >= kEstimateSeconds) {
    time_left_.plan(feeder_.work_planned());
    seconds_left_ = time_left_.seconds();
    estimated_seconds_ = now;
  }
  return seconds_left_ < 0 ? -1 : std::max(0.0, seconds_left_ - (now - estimated_seconds_));
}

void StepLoop::report_progress() {
  if (observer_ == nullptr) return;
  JobProgress progress;
  const ReportedRows reported = writer_.reported();
  progress.rows_total = counts_.total;
  progress.rows_resumed = counts_.resumed_ok + counts_.resumed_failed;
  progress.rows_ok = counts_.resumed_ok + reported.ok;
  progress.rows_failed = counts_.resumed_failed + reported.failed;
  progress.rows_planned = feeder_.rows_planned();
  const double now = environment_.seconds();
  progress.seconds = now - start_seconds_;
  progress.seconds_left = seconds_left(now);
  progress.prompt_tokens = prompt_tokens_done_;
  progress.prompt_tokens_computed = prompt_tokens_done_computed_;
  progress.engine = stats();
  progress.draining = draining_;
  observer_->progressed(progress);
}

}  // namespace batchwright

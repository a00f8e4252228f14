#include "job/report.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/json.h"
#include "batchwright/version.h"

namespace batchwright {
namespace {

double rate(double count, double seconds) { return seconds > 0 ? count / seconds : 0; }

}  // namespace

void JobReport::add(const JournalSummary& earlier) {
  rows_ok += earlier.rows[static_cast<size_t>(ResultKind::kAnswer)];
  rows_failed += earlier.rows[static_cast<size_t>(ResultKind::kError)];
  prompt_tokens += earlier.prompt_tokens;
  prompt_tokens_computed += earlier.prompt_tokens_computed;
  generated_tokens += earlier.generated_tokens;
  const AttemptProgress progress = earlier.progress();
  seconds += progress.seconds;
  steps += progress.steps;
  steps_filled += progress.steps_filled;
  preemptions += progress.preemptions;
}

void append_report(JsonWriter& out, const JobReport& r) {
  out.begin_object();
  out.member("outcome", r.outcome);
  if (!r.error.empty()) out.member("error", r.error);
  out.member("rows_total", r.rows_total);
  out.member("rows_ok", r.rows_ok);
  out.member("rows_failed", r.rows_failed);
  out.member("rows_resumed", r.rows_resumed);
  out.member("attempts", r.attempts);
  out.member("prompt_tokens", r.prompt_tokens);
  out.member("prompt_tokens_computed", r.prompt_tokens_computed);
  out.member("prompt_tokens_distinct", r.prompt_tokens_distinct);
  out.member("generated_tokens", r.generated_tokens);
  out.member("steps", r.steps);
  out.member("mean_fill", mean_fill(r.steps, r.steps_filled));
  out.member("preemptions", r.preemptions);
  out.member("seconds", r.seconds);
  out.member("seconds_load", r.seconds_load);
  out.member("tokens_per_second_prompt", rate(static_cast<double>(r.prompt_tokens), r.seconds));
  out.member("tokens_per_second_generated", rate(static_cast<double>(r.generated_tokens), r.seconds));
  out.member("rows_per_hour", rate(3600.0 * static_cast<double>(r.rows_ok + r.rows_failed), r.seconds));
  out.member("peak_memory_bytes", static_cast<uint64_t>(r.peak_memory_bytes));
  out.member("kv_memory_bytes", static_cast<uint64_t>(r.kv_memory_bytes));
  out.member("kv_touched_bytes", static_cast<uint64_t>(r.kv_touched_bytes));
  out.member("isa", r.isa);
  out.member("threads", r.threads);
  out.member("batchwright_version", kVersion);
  out.member("numerics_version", kNumericsVersion);
  out.member("model", r.model);
  out.member("model_hash", r.model_hash);
  out.member("limited_by", r.limited_by);
  if (r.cost_model_error) out.member("cost_model_error", *r.cost_model_error);
  out.key("ignored_fields");
  out.begin_object();
  for (const auto& [name, count] : r.ignored_fields) out.member(name, count);
  out.end_object();
  out.end_object();
}

std::string report_text(const JobReport& report) {
  std::string compact;
  JsonWriter out(compact);
  append_report(out, report);
  const auto value = parse_json(compact);
  return (value.ok() ? to_json(*value, JsonFormat::python(2)) : compact) + "\n";
}

void LimitedBy::count_step(StepLimit limit, bool idle_input, bool idle_rows) {
  switch (limit) {
    case StepLimit::kKvMemory:
      ++kv_memory_;
      return;
    case StepLimit::kMaxBatch:
      ++max_batch_;
      return;
    case StepLimit::kMaxTokens:
      ++max_batch_tokens_;
      return;
    case StepLimit::kNothing:
      break;
  }
  if (idle_input) {
    ++reading_;
  } else if (idle_rows) {
    ++rows_;
  }
}

std::string LimitedBy::name() const {
  const std::array<std::pair<int64_t, const char*>, 5> causes = {{{max_batch_, "max_batch"},
                                                                  {max_batch_tokens_, "max_batch_tokens"},
                                                                  {kv_memory_, "kv_memory"},
                                                                  {reading_, "reading"},
                                                                  {rows_, "rows"}}};
  const auto most =
      std::max_element(causes.begin(), causes.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  return most->first > 0 ? most->second : "nothing";
}

}  // namespace batchwright

#include "plan/step_trace.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <initializer_list>
#include <string_view>
#include <utility>

#include "base/json_writer.h"
#include "base/status_macros.h"

namespace batchwright {
namespace {

constexpr size_t kFlushBytes = size_t{1} << 16;
constexpr double kFlushSeconds = 1;
constexpr std::string_view kEnd = "\n]\n";
constexpr double kMebibyte = 1 << 20;

int64_t nanoseconds_of(double seconds) { return std::llround(seconds * 1e9); }

// Times are in microseconds, as the format wants them.
std::string microseconds(int64_t nanoseconds) {
  return fmt::format("{}.{:03}", nanoseconds / 1000, nanoseconds % 1000);
}

// An event without its arguments and its end, behind a comma.
void begin_event(JsonWriter& out, std::string_view name, std::string_view phase, int64_t nanoseconds) {
  out.begin_object();
  out.member("name", name);
  out.member("ph", phase);
  out.member("pid", 1);
  out.member("tid", 1);
  out.key("ts");
  out.raw(microseconds(nanoseconds));
}

// A span of time. Those within another one are shown below it.
void begin_span(JsonWriter& out, std::string_view name, std::string_view category, int64_t begin, int64_t end) {
  begin_event(out, name, "X", begin);
  out.key("dur");
  out.raw(microseconds(end - begin));
  out.member("cat", category);
}

void add_span(std::string& text, std::string_view name, std::string_view category, int64_t begin, int64_t end) {
  text += ",\n";
  JsonWriter out(text);
  begin_span(out, name, category, begin, end);
  out.end_object();
}

struct CounterValue {
  const char* name;
  double value;
};

// A track of its own; several values are stacked.
void add_counter(std::string& text, std::string_view name, int64_t nanoseconds,
                 std::initializer_list<CounterValue> values) {
  text += ",\n";
  JsonWriter out(text);
  begin_event(out, name, "C", nanoseconds);
  out.key("args");
  out.begin_object();
  for (const CounterValue& value : values) out.member(value.name, value.value);
  out.end_object();
  out.end_object();
}

void add_name(std::string& text, const char* what, const char* name) {
  JsonWriter out(text);
  begin_event(out, what, "M", 0);
  out.key("args");
  out.begin_object();
  out.member("name", name);
  out.end_object();
  out.end_object();
}

const char* kind_of(const StepRecord& step) {
  if (step.prompt_tokens_computed == 0) return "decode";
  return step.decode_tokens == 0 ? "prefill" : "decode and prefill";
}

void write_arguments(JsonWriter& out, const StepRecord& step) {
  out.key("args");
  out.begin_object();
  out.member("step", step.step);
  out.member("tokens", step.tokens());
  out.member("token_budget", step.token_budget);
  out.member("decode_tokens", step.decode_tokens);
  out.member("prompt_tokens_computed", step.prompt_tokens_computed);
  out.member("prompt_tokens_shared", step.prompt_tokens_shared);
  out.member("prompt_tokens", step.prompt_tokens);
  out.member("generated_tokens", step.generated_tokens);
  out.member("logits_rows", step.logits_rows);
  out.member("sequences_running", step.sequences_running);
  out.member("sequences_waiting", step.sequences_waiting);
  out.member("kv_pages_used", step.kv_pages_used);
  out.member("kv_pages_total", step.kv_pages_total);
  out.member("kv_bytes_used", static_cast<uint64_t>(step.kv_bytes_used));
  out.member("kv_bytes_total", static_cast<uint64_t>(step.kv_bytes_total));
  out.member("preemptions", step.preemptions);
  out.end_object();
}

}  // namespace

Result<std::unique_ptr<StepTrace>> StepTrace::create(FileSystem& files, const std::string& path) {
  BATCHWRIGHT_ASSIGN_OR_RETURN(auto file, files.create(path, CreateMode::kReplace));
  std::unique_ptr<StepTrace> trace(new StepTrace(std::move(file)));
  trace->buffer_ = "[\n";
  add_name(trace->buffer_, "process_name", "batchwright");
  trace->buffer_ += ",\n";
  add_name(trace->buffer_, "thread_name", "steps");
  trace->flush();
  return trace;
}

StepTrace::~StepTrace() { (void)close(); }

void StepTrace::add(const StepRecord& step, std::vector<StageStats> stages) {
  if (!status_.ok() || file_ == nullptr) return;
  const int64_t begin = nanoseconds_of(step.begin_seconds);
  const int64_t planned = nanoseconds_of(step.begin_seconds + step.seconds_plan);
  const int64_t computed = nanoseconds_of(step.begin_seconds + step.seconds_plan + step.seconds_forward);
  const int64_t end = std::max(computed, nanoseconds_of(step.begin_seconds + step.seconds));
  buffer_ += ",\n";
  {
    JsonWriter out(buffer_);
    begin_span(out, kind_of(step), "step", begin, end);
    write_arguments(out, step);
    out.end_object();
  }
  add_span(buffer_, "plan", "phase", begin, planned);
  add_span(buffer_, "forward", "phase", planned, computed);
  add_stages(stages, planned, computed);
  add_span(buffer_, "hand on", "phase", computed, end);
  add_counters(step, begin);
  stages_ = std::move(stages);
  end_nanoseconds_ = end;
  const double now = step.begin_seconds + step.seconds;
  if (buffer_.size() >= kFlushBytes || now >= flushed_seconds_ + kFlushSeconds) {
    flush();
    flushed_seconds_ = now;
  }
}

// A stage comes once a layer; what it took in all layers stands as one span, one stage behind the other.
void StepTrace::add_stages(const std::vector<StageStats>& stages, int64_t begin, int64_t end) {
  double seconds = 0;
  int64_t at = begin;
  for (size_t i = 0; i < stages.size(); ++i) {
    const bool known = i < stages_.size() && stages_[i].name == stages[i].name;
    seconds += std::max(0.0, stages[i].seconds - (known ? stages_[i].seconds : 0));
    const int64_t next = std::min(end, begin + nanoseconds_of(seconds));
    if (next > at) add_span(buffer_, stages[i].name, "stage", at, next);
    at = std::max(at, next);
  }
}

void StepTrace::add_counters(const StepRecord& step, int64_t nanoseconds) {
  add_counter(buffer_, "tokens of a step", nanoseconds,
              {{"decode", static_cast<double>(step.decode_tokens)},
               {"prompt", static_cast<double>(step.prompt_tokens_computed)}});
  add_counter(buffer_, "prompt tokens found in shared pages", nanoseconds,
              {{"tokens", static_cast<double>(step.prompt_tokens_shared)}});
  add_counter(buffer_, "KV memory, MiB", nanoseconds, {{"used", static_cast<double>(step.kv_bytes_used) / kMebibyte}});
  add_counter(buffer_, "sequences", nanoseconds,
              {{"running", static_cast<double>(step.sequences_running)},
               {"waiting", static_cast<double>(step.sequences_waiting)}});
}

// The old end goes, and the new one comes with what is between them.
void StepTrace::flush() {
  if (!status_.ok()) return;
  if (written_bytes_ > 0) status_ = file_->truncate(written_bytes_);
  const uint64_t bytes = buffer_.size();
  buffer_ += kEnd;
  if (status_.ok()) status_ = file_->append(buffer_);
  buffer_.clear();
  if (status_.ok()) {
    written_bytes_ += bytes;
  } else if (file_->truncate(written_bytes_).ok()) {
    (void)file_->append(written_bytes_ > 0 ? kEnd : "[\n]\n");
  }
}

Status StepTrace::close() {
  if (file_ == nullptr) return status_;
  // Counters keep their last value for ever otherwise.
  if (end_nanoseconds_ > 0) add_counters({}, end_nanoseconds_);
  flush();
  const Status closed = file_->close();
  if (status_.ok()) status_ = closed;
  file_.reset();
  return status_;
}

}  // namespace batchwright

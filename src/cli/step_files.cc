#include "cli/step_files.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <system_error>
#include <utility>

#include "base/status_macros.h"
#include "plan/chart.h"

namespace batchwright {
namespace {

// The same for two names of one file, as far as the file system tells.
std::string place_of(const std::string& path) {
  std::error_code error;
  const std::filesystem::path place = std::filesystem::weakly_canonical(path, error);
  return error ? path : place.string();
}

StepSample sample_of(const StepRecord& step) {
  StepSample sample;
  sample.begin_seconds = step.begin_seconds;
  sample.seconds = step.seconds;
  sample.token_budget = step.token_budget;
  sample.decode_tokens = step.decode_tokens;
  sample.prompt_tokens_computed = step.prompt_tokens_computed;
  sample.prompt_tokens = step.prompt_tokens;
  sample.kv_bytes = step.kv_bytes_used;
  return sample;
}

}  // namespace

Status check_new_file(const char* option, const std::string& path, const std::vector<std::string>& taken) {
  if (path == "-") return invalid_argument(fmt::format("{} is -; it needs a file", option));
  const std::string place = place_of(path);
  for (const std::string& other : taken) {
    if (place_of(other) == place) {
      return invalid_argument(fmt::format("{} is {}, which has another use in this run: {}", option, path, other));
    }
  }
  const std::filesystem::path folder = std::filesystem::path(place).parent_path();
  std::error_code error;
  if (!folder.empty() && !std::filesystem::is_directory(folder, error)) {
    return not_found(fmt::format("{} is {}; there is no folder {}", option, path, folder.string()));
  }
  return {};
}

Status check_new_whole_file(const char* option, const std::string& path, const std::vector<std::string>& taken) {
  BATCHWRIGHT_RETURN_IF_ERROR(check_new_file(option, path, taken));
  std::error_code error;
  if (std::filesystem::exists(path, error) && !std::filesystem::is_regular_file(path, error)) {
    return invalid_argument(fmt::format("{} is {}, which is not a file", option, path));
  }
  return {};
}

void StepFiles::add_to(CLI::App& command, bool chart) {
  command.add_option("--trace", trace_path_, "Write what each step held and took, for Perfetto or chrome://tracing");
  if (!chart) return;
  command.add_option("--chart", chart_path_, "Draw the steps over time, as SVG: tokens, KV memory, sharing");
}

Status StepFiles::check(std::vector<std::string> taken) const {
  if (!trace_path_.empty()) {
    BATCHWRIGHT_RETURN_IF_ERROR(check_new_file("--trace", trace_path_, taken));
    taken.push_back(trace_path_);
  }
  return chart_path_.empty() ? Status() : check_new_whole_file("--chart", chart_path_, taken);
}

Status StepFiles::begin(const Engine& engine) {
  last_step_ = engine.last_step().step;
  if (trace_path_.empty()) return {};
  BATCHWRIGHT_ASSIGN_OR_RETURN(trace_, StepTrace::create(files_, trace_path_));
  trace_->leave_out(engine.stage_stats());
  return {};
}

void StepFiles::stepped(const Engine& engine) {
  if (trace_ == nullptr && chart_path_.empty()) return;
  const StepRecord step = engine.last_step();
  if (step.step == last_step_) return;
  last_step_ = step.step;
  if (trace_ != nullptr) trace_->add(step, engine.stage_stats());
  if (!chart_path_.empty()) columns_.add(sample_of(step));
}

std::vector<std::string> StepFiles::end(const Engine& engine, const std::string& title) {
  std::vector<std::string> failures;
  const auto note = [&](const char* what, const Status& status) {
    if (!status.ok()) failures.push_back(fmt::format("the {} is not whole: {}", what, status.message()));
  };
  if (trace_ != nullptr) note("trace", trace_->close());
  if (!chart_path_.empty()) {
    ChartText text;
    text.title = title;
    text.subtitle = fmt::format("{}, {} threads", engine.options().isa, engine.options().threads);
    text.kv_bytes_total = engine.stats().kv_memory_bytes;
    note("chart", write_file_atomically(files_, chart_path_, chart_svg(columns_, text)));
  }
  return failures;
}

}  // namespace batchwright

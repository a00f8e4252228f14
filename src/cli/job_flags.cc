#include "cli/job_flags.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdint>
#include <string_view>
#include <vector>

#include "base/status_macros.h"
#include "job/input_file.h"

namespace batchwright {
namespace {

bool is_date(const std::string& text) {
  constexpr std::string_view kShape = "dddd-dd-ddTdd:dd:dd";
  if (text.size() != 10 && text.size() != kShape.size()) return false;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool digit = text[i] >= '0' && text[i] <= '9';
    if (kShape[i] == 'd' ? !digit : text[i] != kShape[i]) return false;
  }
  return true;
}

}  // namespace

void JobFlags::add_files(CLI::App& command) {
  command.add_option("JOB", job.input, "The rows: JSON Lines, CSV or TSV, also .gz or .zst; - is standard input")
      ->required();
  command.add_option("-m,--model", job.model_path, "The model, a GGUF file")->required();
  command.add_flag("--file-order", job.file_order,
                   "Run the rows as they stand in the file (default: what they share once)");
  command.add_option("--limit", job.limit, "Only the first N rows")->check(CLI::Range(int64_t{1}, INT64_MAX));
}

void JobFlags::add_to(CLI::App& command) {
  add_tables(command);
  engine_.add_to(command, true);
  command.add_flag("--no-share", no_share_, "Compute equal beginnings of prompts each time; for measuring");
  add_defaults(command);
  add_limits(command);
}

void JobFlags::add_tables(CLI::App& command) {
  const std::string group = "For rows of a table";
  command.add_option("--prompt", job.format.prompt, "The message, as 'Classify: {title}' with columns in braces")
      ->group(group);
  command.add_option("--system", job.format.system, "The system message, with columns in the same way")->group(group);
  command.add_option("--url", url_, "/v1/chat/completions (default) or /v1/completions")
      ->check(CLI::IsMember({"/v1/chat/completions", "/v1/completions"}))
      ->group(group);
  command.add_option("--id", job.format.id_column, "The column that holds custom_id (default: row-N)")->group(group);
  command.add_option("--carry", job.format.carry, "Columns to repeat beside the answers, as title,date")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->group(group);
  command.add_option("--input-format", input_format_, "jsonl, csv or tsv (default: by the name's end)")
      ->check(CLI::IsMember({"jsonl", "csv", "tsv"}))
      ->group(group);
}

void JobFlags::add_defaults(CLI::App& command) {
  const std::string group = "For rows that do not say otherwise";
  SamplingParams& s = job.defaults.sampling;
  command.add_option("--max-tokens", max_tokens_, "Tokens to generate (default: the rest of the context; prompts: 16)")
      ->check(CLI::Range(1, INT32_MAX))
      ->group(group);
  command.add_option("--temperature", s.temperature, "0 is greedy")
      ->check(CLI::Range(0.0, 100.0))
      ->capture_default_str()
      ->group(group);
  command.add_option("--top-p", s.top_p, "Likeliest tokens up to this probability")
      ->check(CLI::Range(1e-6, 1.0))
      ->capture_default_str()
      ->group(group);
  command.add_option("--top-k", s.top_k, "So many likeliest tokens; 0: all")
      ->check(CLI::Range(0, INT32_MAX))
      ->capture_default_str()
      ->group(group);
  command.add_option("--min-p", s.min_p, "Tokens at least so likely, compared with the likeliest")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str()
      ->group(group);
  command.add_option("--repetition-penalty", s.repetition_penalty, "1 is off")
      ->check(CLI::Range(1e-6, 100.0))
      ->capture_default_str()
      ->group(group);
  command.add_option("--presence-penalty", s.presence_penalty, "Against tokens that were generated before")
      ->check(CLI::Range(-2.0, 2.0))
      ->capture_default_str()
      ->group(group);
  command.add_option("--frequency-penalty", s.frequency_penalty, "The same, once for each time")
      ->check(CLI::Range(-2.0, 2.0))
      ->capture_default_str()
      ->group(group);
  command.add_option("--seed", s.seed, "Mixed with each row's custom_id")->capture_default_str()->group(group);
  command.add_option("--stop", job.defaults.stop_strings, "Ends a row's text; may be given several times")
      ->allow_extra_args(false)
      ->group(group);
  command.add_flag("--ignore-eos", job.defaults.ignore_eos, "Do not end at the model's end-of-text tokens")
      ->group(group);
  command.add_option("--choice", job.defaults.choice, "The answer is one of these: a,b,c; may be given several times")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->group(group);
  command.add_flag("--choice-logprobs", job.defaults.choice_logprobs, "The probability of each of these beside it")
      ->group(group);
  command.add_option("--chat-template", template_path, "A file with a chat template instead of the model's")
      ->group(group);
  command.add_option("--date", job.date, "What templates that ask for the date get, as 2026-01-31")->group(group);
  command.add_flag("--created", job.stamp_created, "\"created\" is the time of the start instead of 0")->group(group);
}

void JobFlags::add_limits(CLI::App& command) {
  for (const LimitEntry& limit : limit_table()) {
    command.add_option(limit.option, job.limits.*limit.field, limit.what)
        ->check(CLI::Range(limit.lowest, limit.highest))
        ->capture_default_str()
        ->group("Limits on rows");
  }
}

// The rest of the options' checks, and what follows from them.
Status JobFlags::check(FileSystem& files) {
  if (!job.date.empty() && !is_date(job.date)) {
    return invalid_argument(
        fmt::format("--date is \"{}\"; it must be like 2026-01-31 or 2026-01-31T23:59:00", job.date));
  }
  for (const std::string& stop : job.defaults.stop_strings) {
    if (stop.empty()) return invalid_argument("--stop is empty; it needs at least one character");
  }
  const std::vector<std::string>& choice = job.defaults.choice;
  for (auto it = choice.begin(); it != choice.end(); ++it) {
    if (it->empty()) return invalid_argument("--choice names an empty string; each needs at least one character");
    if (std::find(choice.begin(), it, *it) != it)
      return invalid_argument(fmt::format("--choice names \"{}\" twice", *it));
  }
  if (max_tokens_ > 0) job.defaults.max_tokens = max_tokens_;
  job.format.kind = input_format_ == "csv"     ? RowFileKind::kCsv
                    : input_format_ == "tsv"   ? RowFileKind::kTsv
                    : input_format_ == "jsonl" ? RowFileKind::kJsonLines
                                               : row_file_kind(job.input);
  if (url_ == "/v1/completions") job.format.endpoint = Endpoint::kCompletions;
  // Before standard input is consumed.
  BATCHWRIGHT_RETURN_IF_ERROR(files.open_read(job.model_path).status());
  if (!template_path.empty()) {
    BATCHWRIGHT_ASSIGN_OR_RETURN(job.chat_template, read_whole_file(files, template_path, uint64_t{1} << 20));
    if (job.chat_template.empty()) return invalid_argument(template_path + ": is empty");
  }
  return {};
}

Result<EngineOptions> JobFlags::resolve(FileSystem& files) {
  BATCHWRIGHT_ASSIGN_OR_RETURN(EngineOptions options, engine_.options());
  options.share_prefixes = !no_share_;
  job.context_length = options.context_length;
  BATCHWRIGHT_RETURN_IF_ERROR(check(files));
  return options;
}

std::string JobFlags::chart_title() const {
  const auto name = [](const std::string& path) { return path.substr(path.rfind('/') + 1); };
  return fmt::format("{} with {}", name(input_name(job.input)), name(job.model_path));
}

}  // namespace batchwright

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <ctime>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/file_system.h"
#include "base/hash.h"
#include "base/json_writer.h"
#include "base/status_macros.h"
#include "batchwright/engine.h"
#include "cli/command.h"
#include "cli/exit_code.h"
#include "cli/help.h"
#include "cli/job_prompt_encoder.h"
#include "cli/progress.h"
#include "cli/step_files.h"
#include "cli/stop_signal.h"
#include "engine/calibration.h"
#include "job/job.h"
#include "platform/cpu.h"
#include "platform/posix_file_system.h"

namespace batchwright {
namespace {

double steady_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

bool is_date(const std::string& text) {
  constexpr std::string_view kShape = "dddd-dd-ddTdd:dd:dd";
  if (text.size() != 10 && text.size() != kShape.size()) return false;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool digit = text[i] >= '0' && text[i] <= '9';
    if (kShape[i] == 'd' ? !digit : text[i] != kShape[i]) return false;
  }
  return true;
}

// A word as a shell must be given it.
std::string quoted(const std::string& word) {
  constexpr std::string_view kPlain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=./,:@%";
  if (!word.empty() && word.find_first_not_of(kPlain) == std::string::npos) return word;
  std::string out = "'";
  for (const char c : word) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

// The command that goes on with what this one began.
std::string resuming_command(const std::vector<std::string>& words) {
  std::string out;
  for (const std::string& word : words) {
    if (word == "--overwrite" || word == "--restart" || word == "--retry-failed" || word == "--resume") continue;
    out += quoted(word) + ' ';
  }
  return out + "--resume";
}

// All that looks at a run's steps.
class RunObserver : public JobObserver {
 public:
  RunObserver(ProgressPrinter& printer, StepFiles& step_files) : printer_(printer), step_files_(step_files) {}
  void stepped(const Engine& engine) override { step_files_.stepped(engine); }
  void progressed(const JobProgress& progress) override { printer_.progressed(progress); }

 private:
  ProgressPrinter& printer_;
  StepFiles& step_files_;
};

class RunCommand : public Command {
 public:
  RunCommand(CLI::App& app, std::vector<std::string> command_line);
  int run() override;

 private:
  void add_files(CLI::App& command);
  void add_starts(CLI::App& command);
  void add_tables(CLI::App& command);
  void add_defaults(CLI::App& command);
  void add_limits(CLI::App& command);

  Result<JobOutcome> run_job();
  Status check_options();
  std::vector<std::string> files_in_use() const;
  std::string chart_title() const;
  bool speaks() const { return !quiet_ && !json_; }
  int fail(const Status& status) const;
  void print_notes(const Job& job) const;
  void print_note_event(const std::string& message) const;
  void print_summary(const JobReport& report) const;
  void print_event(const char* event, const JobReport& report, int code) const;

  const std::vector<std::string> command_line_;
  std::unique_ptr<FileSystem> files_ = posix_file_system();
  JobOptions job_;
  bool was_finished_ = false;
  bool resume_ = false;
  bool restart_ = false;
  bool overwrite_ = false;
  int sync_milliseconds_ = 200;
  std::string input_format_;
  std::string url_;
  EngineFlags engine_;
  StepFiles step_files_{*files_};
  bool no_share_ = false;
  bool quiet_ = false;
  bool json_ = false;
  std::string template_path_;
  int max_tokens_ = 0;
};

RunCommand::RunCommand(CLI::App& app, std::vector<std::string> command_line) : command_line_(std::move(command_line)) {
  CLI::App& command = *app.add_subcommand("run", "Answer every row of a job");
  set_examples(
      command,
      "  batchwright run rows.jsonl -m model.gguf -o answers.jsonl\n"
      "  batchwright run rows.jsonl.gz -m model.gguf -o answers.jsonl --ordered --temperature 0 --max-tokens 64\n"
      "  batchwright run mails.csv -m model.gguf -o sorted.csv --prompt 'Subject: {subject}' --choice spam,other\n"
      "  head -n 20 rows.jsonl | batchwright run - -m model.gguf -o -\n"
      "\n"
      "A row is a line of JSON: {\"custom_id\": \"a\", \"method\": \"POST\", \"url\": \"/v1/chat/completions\",\n"
      "\"body\": {\"messages\": [{\"role\": \"user\", \"content\": \"Hello\"}]}}, or the body alone, or\n"
      "{\"prompt\": \"Once upon a time\"}; or a record of a table, with --prompt. Rows that fail go to\n"
      "OUTPUT.errors.jsonl, a report to OUTPUT.report.json. What ended too early, by Ctrl-C, a crash or a\n"
      "full disk, goes on with the same command. Exit code: 0 all rows are fine, 3 some failed, 2 usage,\n"
      "65 bad input, 66 no such file, 74 reading or writing failed, 75 interrupted, 1 another error.");
  add_files(command);
  add_starts(command);
  add_tables(command);
  engine_.add_to(command, true);
  command.add_flag("--no-share", no_share_, "Compute equal beginnings of prompts each time; for measuring");
  add_defaults(command);
  add_limits(command);
}

void RunCommand::add_files(CLI::App& command) {
  command.add_option("JOB", job_.input, "The rows: JSON Lines, CSV or TSV, also .gz or .zst; - is standard input")
      ->required();
  command.add_option("-m,--model", job_.model_path, "The model, a GGUF file")->required();
  command
      .add_option("-o,--output", job_.output,
                  "The answers, a table where it ends in .csv; - is standard output, failed rows included")
      ->required();
  command.add_flag("--ordered", job_.ordered, "Answers in the order of the rows");
  command.add_flag("--file-order", job_.file_order,
                   "Run the rows as they stand in the file (default: what they share once)");
  command.add_option("--limit", job_.limit, "Only the first N rows")->check(CLI::Range(int64_t{1}, INT64_MAX));
  command.add_option("--report", job_.report, "Where the report goes (default: OUTPUT.report.json)");
  step_files_.add_to(command, true);
  command.add_flag("--quiet", quiet_, "Print errors only");
  command.add_flag("--json", json_, "Print progress as JSON Lines");
}

void RunCommand::add_starts(CLI::App& command) {
  const std::string group = "What an earlier run left";
  CLI::Option* const resume =
      command.add_flag("--resume", resume_, "Go on with an unfinished job; an error where there is none")->group(group);
  CLI::Option* const restart =
      command.add_flag("--restart", restart_, "Move the files of earlier runs aside and start over")->group(group);
  command.add_flag("--overwrite", overwrite_, "Replace output that is there, unless it is this job unfinished")
      ->group(group)
      ->excludes(resume)
      ->excludes(restart);
  resume->excludes(restart);
  command.add_flag("--retry-failed", job_.retry_failed, "Run rows that failed again; limits may be higher now")
      ->group(group)
      ->excludes(restart);
  command
      .add_option("--sync-interval", sync_milliseconds_,
                  "Milliseconds between two writes to the disk: what a crash may make to be computed again")
      ->check(CLI::Range(0, 60'000))
      ->capture_default_str()
      ->group(group);
}

void RunCommand::add_tables(CLI::App& command) {
  const std::string group = "For rows of a table";
  command.add_option("--prompt", job_.format.prompt, "The message, as 'Classify: {title}' with columns in braces")
      ->group(group);
  command.add_option("--system", job_.format.system, "The system message, with columns in the same way")->group(group);
  command.add_option("--url", url_, "/v1/chat/completions (default) or /v1/completions")
      ->check(CLI::IsMember({"/v1/chat/completions", "/v1/completions"}))
      ->group(group);
  command.add_option("--id", job_.format.id_column, "The column that holds custom_id (default: row-N)")->group(group);
  command.add_option("--carry", job_.format.carry, "Columns to repeat beside the answers, as title,date")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->group(group);
  command.add_option("--input-format", input_format_, "jsonl, csv or tsv (default: by the name's end)")
      ->check(CLI::IsMember({"jsonl", "csv", "tsv"}))
      ->group(group);
}

void RunCommand::add_defaults(CLI::App& command) {
  const std::string group = "For rows that do not say otherwise";
  SamplingParams& s = job_.defaults.sampling;
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
  command.add_option("--stop", job_.defaults.stop_strings, "Ends a row's text; may be given several times")
      ->allow_extra_args(false)
      ->group(group);
  command.add_flag("--ignore-eos", job_.defaults.ignore_eos, "Do not end at the model's end-of-text tokens")
      ->group(group);
  command.add_option("--choice", job_.defaults.choice, "The answer is one of these: a,b,c; may be given several times")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->group(group);
  command.add_flag("--choice-logprobs", job_.defaults.choice_logprobs, "The probability of each of these beside it")
      ->group(group);
  command.add_option("--chat-template", template_path_, "A file with a chat template instead of the model's")
      ->group(group);
  command.add_option("--date", job_.date, "What templates that ask for the date get, as 2026-01-31")->group(group);
  command.add_flag("--created", job_.stamp_created, "\"created\" is the time of the start instead of 0")->group(group);
}

void RunCommand::add_limits(CLI::App& command) {
  for (const LimitEntry& limit : limit_table()) {
    command.add_option(limit.option, job_.limits.*limit.field, limit.what)
        ->check(CLI::Range(limit.lowest, limit.highest))
        ->capture_default_str()
        ->group("Limits on rows");
  }
}

// The rest of the options' checks, and what follows from them.
Status RunCommand::check_options() {
  if (!job_.date.empty() && !is_date(job_.date)) {
    return invalid_argument(
        fmt::format("--date is \"{}\"; it must be like 2026-01-31 or 2026-01-31T23:59:00", job_.date));
  }
  for (const std::string& stop : job_.defaults.stop_strings) {
    if (stop.empty()) return invalid_argument("--stop is empty; it needs at least one character");
  }
  const std::vector<std::string>& choice = job_.defaults.choice;
  for (auto it = choice.begin(); it != choice.end(); ++it) {
    if (it->empty()) return invalid_argument("--choice names an empty string; each needs at least one character");
    if (std::find(choice.begin(), it, *it) != it)
      return invalid_argument(fmt::format("--choice names \"{}\" twice", *it));
  }
  if (max_tokens_ > 0) job_.defaults.max_tokens = max_tokens_;
  if (restart_) job_.start = JobStart::kRestart;
  if (resume_) job_.start = JobStart::kResume;
  if (overwrite_) job_.start = JobStart::kOverwrite;
  job_.sync_seconds = sync_milliseconds_ / 1000.0;
  job_.format.kind = input_format_ == "csv"     ? RowFileKind::kCsv
                     : input_format_ == "tsv"   ? RowFileKind::kTsv
                     : input_format_ == "jsonl" ? RowFileKind::kJsonLines
                                                : row_file_kind(job_.input);
  if (url_ == "/v1/completions") job_.format.endpoint = Endpoint::kCompletions;
  // Before standard input is consumed.
  BATCHWRIGHT_RETURN_IF_ERROR(files_->open_read(job_.model_path).status());
  if (!template_path_.empty()) {
    BATCHWRIGHT_ASSIGN_OR_RETURN(job_.chat_template, read_whole_file(*files_, template_path_, uint64_t{1} << 20));
    if (job_.chat_template.empty()) return invalid_argument(template_path_ + ": is empty");
  }
  return {};
}

// What neither a trace nor a chart may take the place of.
std::vector<std::string> RunCommand::files_in_use() const {
  std::vector<std::string> paths = {job_.model_path};
  if (job_.input != "-") paths.push_back(job_.input);
  if (!template_path_.empty()) paths.push_back(template_path_);
  if (!job_.report.empty()) paths.push_back(job_.report);
  if (job_.output != "-") {
    const std::vector<std::string> own = JobFiles(job_.output).all();
    paths.insert(paths.end(), own.begin(), own.end());
  }
  return paths;
}

std::string RunCommand::chart_title() const {
  const auto name = [](const std::string& path) { return path.substr(path.rfind('/') + 1); };
  return fmt::format("{} with {}", job_.input == "-" ? "standard input" : name(job_.input), name(job_.model_path));
}

Result<JobOutcome> RunCommand::run_job() {
  BATCHWRIGHT_ASSIGN_OR_RETURN(EngineOptions engine_options, engine_.options());
  engine_options.share_prefixes = !no_share_;
  job_.context_length = engine_options.context_length;
  BATCHWRIGHT_RETURN_IF_ERROR(check_options());
  BATCHWRIGHT_RETURN_IF_ERROR(step_files_.check(files_in_use()));
  JobEnvironment environment;
  environment.seconds = steady_seconds;
  environment.unix_time = [] { return static_cast<int64_t>(std::time(nullptr)); };
  environment.stop_requested = stop_signalled;
  environment.peak_memory_bytes = peak_memory_bytes;
  environment.cache_folder = default_cache_folder();
  environment.model_hash = [this]() -> Result<std::string> {
    BATCHWRIGHT_ASSIGN_OR_RETURN(const Hash128 hash, hash_file(*files_, job_.model_path));
    return hash.hex();
  };
  BATCHWRIGHT_ASSIGN_OR_RETURN(const auto job, Job::open(*files_, job_, std::move(environment)));
  print_notes(*job);
  if (job->finished()) {
    was_finished_ = true;
    return JobOutcome{{}, *job->finished()};
  }
  if (speaks()) fmt::print(stderr, "{} rows; loading {}\n", job->rows_total(), job_.model_path);
  const double load_start = steady_seconds();
  BATCHWRIGHT_ASSIGN_OR_RETURN(const auto engine, Engine::load(job_.model_path, engine_options));
  const auto encoder = job_prompt_encoder(*engine, {.limits = job_.limits,
                                                    .date = job_.date,
                                                    .chat_template = job_.chat_template,
                                                    .template_origin = template_path_});
  const double seconds_load = steady_seconds() - load_start;
  BATCHWRIGHT_RETURN_IF_ERROR(step_files_.begin(*engine));
  ProgressPrinter printer(choose_progress_style(quiet_, json_), peak_memory_bytes);
  RunObserver observer(printer, step_files_);
  JobOutcome outcome = job->run(*engine, *encoder, seconds_load, &observer);
  printer.finish();
  for (const std::string& failure : step_files_.end(*engine, chart_title())) {
    json_ ? print_note_event(failure) : fmt::print(stderr, "batchwright: {}\n", failure);
  }
  return outcome;
}

int RunCommand::run() {
  watch_stop_signals();
  const auto outcome = run_job();
  if (!outcome.ok()) return fail(outcome.status());
  const JobReport& report = outcome->report;
  // Refused after all: the model is another.
  if (report.outcome.empty()) return fail(outcome->status);
  int code = exit_code(outcome->status);
  if (code == kExitOk && report.rows_failed > 0) code = kExitRowsFailed;
  if (json_) {
    print_event("end", report, code);
  } else {
    if (!outcome->status.ok()) (void)print_error(outcome->status);
    if (!quiet_) print_summary(report);
  }
  return code;
}

void RunCommand::print_notes(const Job& job) const {
  for (const std::string& note : job.notes()) {
    if (speaks()) fmt::print(stderr, "{}\n", note);
    if (json_) print_note_event(note);
  }
}

void RunCommand::print_note_event(const std::string& message) const {
  std::string text;
  JsonWriter out(text);
  out.begin_object();
  out.member("event", "note");
  out.member("message", message);
  out.end_object();
  fmt::print(stderr, "{}\n", text);
}

int RunCommand::fail(const Status& status) const {
  if (!json_) return print_error(status);
  std::string text;
  JsonWriter out(text);
  out.begin_object();
  out.member("event", "error");
  out.member("message", status.message());
  out.member("exit_code", exit_code(status));
  out.end_object();
  fmt::print(stderr, "{}\n", text);
  return exit_code(status);
}

void RunCommand::print_event(const char* event, const JobReport& report, int code) const {
  std::string text;
  JsonWriter out(text);
  out.begin_object();
  out.member("event", event);
  out.member("exit_code", code);
  out.key("report");
  append_report(out, report);
  out.end_object();
  fmt::print(stderr, "{}\n", text);
}

void RunCommand::print_summary(const JobReport& report) const {
  if (was_finished_) {
    fmt::print(stderr, "this job is complete: {} ok, {} failed; nothing was done\n", report.rows_ok,
               report.rows_failed);
  } else {
    const int64_t done = report.rows_ok + report.rows_failed;
    const double seconds = report.seconds > 0 ? report.seconds : 1e-9;
    fmt::print(stderr, "{} of {} rows: {} ok, {} failed, in {:.1f} s (and {:.1f} s to load the model)\n", done,
               report.rows_total, report.rows_ok, report.rows_failed, report.seconds, report.seconds_load);
    if (report.attempts > 1) {
      fmt::print(stderr, "this was run {} of the job; {} rows were done before it\n", report.attempts,
                 report.rows_resumed);
    }
    fmt::print(stderr, "{} prompt tokens ({} computed), {} generated: {:.0f} + {:.0f} tokens/s; {} at most\n",
               report.prompt_tokens, report.prompt_tokens_computed, report.generated_tokens,
               static_cast<double>(report.prompt_tokens) / seconds,
               static_cast<double>(report.generated_tokens) / seconds,
               format_bytes(static_cast<double>(report.peak_memory_bytes)));
    fmt::print(stderr, "{} steps, {:.0f}% full on average\n", report.steps,
               100 * mean_fill(report.steps, report.steps_filled));
    for (const auto& [name, count] : report.ignored_fields) {
      fmt::print(stderr, "field {} was ignored in {} rows\n", name, count);
    }
  }
  if (job_.output == "-") return;
  if (report.outcome == "complete") {
    fmt::print(stderr, "answers: {}\n", job_.output);
    if (report.rows_failed > 0) fmt::print(stderr, "failed rows: {}\n", errors_path(job_.output));
    return;
  }
  if (report.rows_ok > 0) fmt::print(stderr, "what is done: {}.partial\n", job_.output);
  fmt::print(stderr, "to go on: {}\n", resuming_command(command_line_));
}

}  // namespace

std::unique_ptr<Command> add_run_command(CLI::App& app, std::vector<std::string> command_line) {
  return std::make_unique<RunCommand>(app, std::move(command_line));
}

}  // namespace batchwright

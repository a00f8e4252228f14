#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <ctime>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/file_system.h"
#include "base/format_bytes.h"
#include "base/hash.h"
#include "base/json_writer.h"
#include "base/status_macros.h"
#include "batchwright/engine.h"
#include "cli/command.h"
#include "cli/exit_code.h"
#include "cli/help.h"
#include "cli/job_flags.h"
#include "cli/job_prompt_encoder.h"
#include "cli/plan_job.h"
#include "cli/progress.h"
#include "cli/step_files.h"
#include "cli/stop_signal.h"
#include "engine/calibration.h"
#include "job/input_file.h"
#include "job/job.h"
#include "platform/cpu.h"
#include "platform/posix_file_system.h"

namespace batchwright {
namespace {

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
  void measuring() override { printer_.measuring(); }
  void measured(const std::string& why_not_kept) override { printer_.measured(why_not_kept); }

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

  Result<JobOutcome> run_job();
  int plan();
  std::vector<std::string> files_in_use() const;
  bool speaks() const { return !quiet_ && !json_; }
  void print_notes(const Job& job) const;
  void print_summary(const JobReport& report) const;
  void print_event(const char* event, const JobReport& report, int code) const;

  const std::vector<std::string> command_line_;
  std::unique_ptr<FileSystem> files_ = posix_file_system();
  JobFlags flags_;
  JobOptions& job_ = flags_.job;
  PlanFlags plan_;
  bool dry_run_ = false;
  bool was_finished_ = false;
  bool resume_ = false;
  bool restart_ = false;
  bool overwrite_ = false;
  int sync_milliseconds_ = 200;
  bool recalibrate_ = false;
  std::string admission_ = "past-future";
  StepFiles step_files_{*files_};
  bool quiet_ = false;
  bool json_ = false;
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
  flags_.add_to(command);
  plan_.add_to(command, "With --dry-run");
}

void RunCommand::add_files(CLI::App& command) {
  flags_.add_files(command);
  command.add_option("-o,--output", job_.output,
                     "The answers, a table where it ends in .csv; - is standard output, failed rows included");
  command.add_flag("--dry-run", dry_run_, "Only check the rows and say what they will take, as batchwright plan does");
  command.add_flag("--ordered", job_.ordered, "Answers in the order of the rows");
  command
      .add_option("--admission", admission_,
                  "A row begins when there is memory for: past-future, answers as long as this job's are; reserve, "
                  "max_tokens; prompt, its prompt; for measuring")
      ->check(CLI::IsMember({"past-future", "reserve", "prompt"}))
      ->capture_default_str();
  command.add_flag("--recalibrate", recalibrate_, "Measure what steps cost here, whatever is known of it");
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

// What no report, trace or chart may take the place of.
std::vector<std::string> RunCommand::files_in_use() const {
  std::vector<std::string> paths = {job_.model_path};
  if (job_.input != "-") paths.push_back(job_.input);
  if (!flags_.template_path.empty()) paths.push_back(flags_.template_path);
  if (job_.output != "-") {
    const std::vector<std::string> own = JobFiles(job_.output).all();
    paths.insert(paths.end(), own.begin(), own.end());
  }
  return paths;
}

Result<JobOutcome> RunCommand::run_job() {
  job_.admission = admission_ == "reserve"  ? Admission::kReserveMax
                   : admission_ == "prompt" ? Admission::kPromptOnly
                                            : Admission::kPastFuture;
  job_.sync_seconds = sync_milliseconds_ / 1000.0;
  BATCHWRIGHT_ASSIGN_OR_RETURN(EngineOptions engine_options, flags_.resolve(*files_));
  std::vector<std::string> taken = files_in_use();
  if (!job_.report.empty()) {
    BATCHWRIGHT_RETURN_IF_ERROR(check_new_whole_file("--report", job_.report, taken));
    taken.push_back(job_.report);
  }
  BATCHWRIGHT_RETURN_IF_ERROR(step_files_.check(std::move(taken)));
  JobEnvironment environment;
  environment.seconds = steady_seconds;
  environment.unix_time = [] { return static_cast<int64_t>(std::time(nullptr)); };
  environment.stop_requested = stop_signalled;
  StagePrinter stages(choose_progress_style(quiet_, json_), steady_seconds);
  environment.reading = [&](uint64_t bytes, uint64_t total) {
    stages.read("reading " + input_name(job_.input), bytes, total);
  };
  environment.peak_memory_bytes = peak_memory_bytes;
  environment.cache_folder = default_cache_folder();
  environment.calibrate_anew = recalibrate_;
  environment.model_hash = [this]() -> Result<std::string> {
    BATCHWRIGHT_ASSIGN_OR_RETURN(const Hash128 hash, hash_file(*files_, job_.model_path));
    return hash.hex();
  };
  BATCHWRIGHT_ASSIGN_OR_RETURN(const auto job, Job::open(*files_, job_, std::move(environment)));
  stages.finish();
  print_notes(*job);
  if (job->finished()) {
    was_finished_ = true;
    return JobOutcome{{}, *job->finished()};
  }
  if (speaks()) fmt::print(stderr, "{} rows; loading {}\n", job->rows_total(), job_.model_path);
  engine_options.caller_memory_bytes = job->memory_bytes(engine_options.max_batch);
  const double load_start = steady_seconds();
  BATCHWRIGHT_ASSIGN_OR_RETURN(const auto engine, Engine::load(job_.model_path, engine_options));
  const auto encoder = job_prompt_encoder(engine->model(), engine->tokenizer(),
                                          {.limits = job_.limits,
                                           .date = job_.date,
                                           .chat_template = job_.chat_template,
                                           .template_origin = flags_.template_path});
  const double seconds_load = steady_seconds() - load_start;
  BATCHWRIGHT_RETURN_IF_ERROR(step_files_.begin(*engine));
  ProgressPrinter printer(choose_progress_style(quiet_, json_), peak_memory_bytes);
  RunObserver observer(printer, step_files_);
  JobOutcome outcome = job->run(*engine, *encoder, seconds_load, &observer);
  printer.finish();
  for (const std::string& failure : step_files_.end(*engine, flags_.chart_title())) {
    fmt::print(stderr, "{}\n", json_ ? note_event(failure) : "batchwright: " + failure);
  }
  return outcome;
}

// The output may be left out where there will be none.
int RunCommand::plan() {
  plan_.json = json_;
  plan_.chart_path = step_files_.chart_path();
  return plan_job(*files_, flags_, plan_);
}

int RunCommand::run() {
  if (restart_) job_.start = JobStart::kRestart;
  if (resume_) job_.start = JobStart::kResume;
  if (overwrite_) job_.start = JobStart::kOverwrite;
  if (dry_run_) return plan();
  if (job_.output.empty()) {
    fmt::print(stderr, "batchwright: --output is required\nSee batchwright run --help\n");
    return kExitUsage;
  }
  watch_stop_signals();
  const auto outcome = run_job();
  if (!outcome.ok()) return print_error(outcome.status(), json_);
  const JobReport& report = outcome->report;
  // Refused after all: the model is another.
  if (report.outcome.empty()) return print_error(outcome->status, json_);
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
    if (json_) fmt::print(stderr, "{}\n", note_event(note));
  }
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

// What the subcommands share.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "batchwright/options.h"
#include "batchwright/status.h"

namespace CLI {  // NOLINT(readability-identifier-naming)
class App;
}  // namespace CLI

namespace batchwright {

class Command {
 public:
  virtual ~Command() = default;
  // The exit code. Results go to standard output, all else to standard error.
  virtual int run() = 0;
};

// Each adds its subcommand, with the object that receives its options and runs it.
// command_line: the words that the program was started with.
std::unique_ptr<Command> add_run_command(CLI::App& app, std::vector<std::string> command_line);
std::unique_ptr<Command> add_plan_command(CLI::App& app);
std::unique_ptr<Command> add_verify_command(CLI::App& app);
std::unique_ptr<Command> add_inspect_command(CLI::App& app);
std::unique_ptr<Command> add_eval_command(CLI::App& app);
std::unique_ptr<Command> add_bench_command(CLI::App& app);

// "batchwright: MESSAGE" on standard error; the exit code that belongs to the status.
int print_error(const Status& status);
// The same; as_event: as one object of JSON Lines.
int print_error(const Status& status, bool as_event);

// {"event": "note", "message": ...}, an object of JSON Lines without its end.
std::string note_event(std::string_view message);

// Of a clock that never goes back.
double steady_seconds();

// A line of results on standard output. kIoError where it cannot be written.
Status print_result(std::string_view text);

// "2GiB", "512MiB", "1.5GB", "64k" or plain bytes. Ki, Mi, Gi, Ti are powers of 1024; k, M, G, T of 1000; the B may be
// left out. kInvalidArgument names the option.
Result<size_t> parse_byte_count(std::string_view option, std::string_view text);

// The options of an engine that several commands have.
class EngineFlags {
 public:
  // --threads, --isa, --memory and --kv-memory; batching: also --max-batch, --max-batch-tokens and --context-length.
  void add_to(CLI::App& command, bool batching);
  Result<EngineOptions> options() const;

 private:
  EngineOptions options_;
  std::string memory_;
  std::string kv_memory_;
};

}  // namespace batchwright

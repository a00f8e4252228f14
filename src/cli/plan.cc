#include <CLI/CLI.hpp>
#include <memory>

#include "cli/command.h"
#include "cli/help.h"
#include "cli/job_flags.h"
#include "cli/plan_job.h"
#include "platform/posix_file_system.h"

namespace batchwright {
namespace {

class PlanCommand : public Command {
 public:
  explicit PlanCommand(CLI::App& app) {
    CLI::App& command = *app.add_subcommand("plan", "Check a job's rows and say what running it will take");
    set_examples(command,
                 "  batchwright plan rows.jsonl -m model.gguf\n"
                 "  batchwright plan rows.jsonl -m model.gguf --max-batch 128 --kv-memory 4GiB --chart plan.svg\n"
                 "  batchwright plan rows.jsonl -m model.gguf --expected-tokens 80 --json\n"
                 "\n"
                 "All rows are read, checked and tokenised; then the run is simulated with what steps cost on this\n"
                 "machine, measured once in a few seconds. Exit code: 0 all rows are fine, 3 some are bad, others as\n"
                 "those of batchwright run.");
    job_.add_files(command);
    command.add_option("-o,--output", job_.job.output,
                       "The output of a run that is under way or was interrupted: what is left of it is planned");
    command.add_flag("--json", plan_.json, "One JSON object");
    command.add_option("--chart", plan_.chart_path, "A picture of the simulated steps, as SVG");
    plan_.add_to(command, "Options");
    job_.add_to(command);
  }

  int run() override { return plan_job(*files_, job_, plan_); }

 private:
  std::unique_ptr<FileSystem> files_ = posix_file_system();
  JobFlags job_;
  PlanFlags plan_;
};

}  // namespace

std::unique_ptr<Command> add_plan_command(CLI::App& app) { return std::make_unique<PlanCommand>(app); }

}  // namespace batchwright

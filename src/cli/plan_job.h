// Says what a job will take, and whether its rows are right, without running it.
#pragma once

#include <string>

#include "base/file_system.h"
#include "cli/job_flags.h"

namespace CLI {  // NOLINT(readability-identifier-naming)
class App;
}  // namespace CLI

namespace batchwright {

struct PlanFlags {
  // group: under which heading of the help.
  void add_to(CLI::App& command, const std::string& group);

  double expected_tokens = 0;  // the mean length of answers; 0: not known
  bool json = false;
  std::string chart_path;  // empty: none
};

// The exit code. The plan goes to standard output; nothing is written but the chart, and what the machine's speed was
// measured to be (engine/calibration.h).
int plan_job(FileSystem& files, JobFlags& job, const PlanFlags& plan);

}  // namespace batchwright

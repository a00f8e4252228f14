// The order of a job's rows, kept while the job is unfinished, so that going on tokenises nothing twice to find it:
// docs/formats/plan.md.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/file_system.h"
#include "base/hash.h"
#include "job/work_ahead.h"
#include "schedule/job_order.h"

namespace batchwright {

// Of rows that are planned together.
struct SavedPlan {
  int64_t first_row = 0;
  int64_t end_row = 0;
  int64_t prompt_tokens_distinct = 0;  // of these rows and all before them
  std::vector<OrderedRow> order;       // by number in the file; those that were wanted when it was made
  std::vector<WorkSegment> work;       // of these rows; empty where it is not known
};

// `key` is of what the order follows from: the rows and the model.
Status save_plan(FileSystem& files, const std::string& path, const Hash128& key, const SavedPlan& plan);
// Nothing where there is no plan at the path, or one with another key, or one that is damaged: it can be made again.
Result<std::optional<SavedPlan>> load_plan(FileSystem& files, const std::string& path, const Hash128& key);

}  // namespace batchwright

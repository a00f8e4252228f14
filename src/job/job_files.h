// The files of a job whose output is X: docs/formats/results.md.
#pragma once

#include <string>
#include <vector>

#include "base/file_system.h"

namespace batchwright {

struct JobFiles {
  explicit JobFiles(const std::string& output);

  std::string answers;
  std::string errors;
  std::string answers_partial;
  std::string errors_partial;
  std::string journal;
  std::string index;
  std::string plan;
  std::string input;
  std::string report;

  // All of them, the journal last.
  std::vector<std::string> all() const;
  // What means nothing once the job is complete, also what a crash may leave of files that were about to get a name.
  std::vector<std::string> temporaries() const;
};

inline std::string errors_path(const std::string& output) { return output + ".errors.jsonl"; }

// kInvalidArgument where something at the paths of the output was not made by a job of which there is a journal.
Status check_output_is_free(FileSystem& files, const JobFiles& job);

// Nothing but files may be replaced or removed. kInvalidArgument where one of the paths is something else.
Status check_output_is_possible(FileSystem& files, const JobFiles& job);

// Gives each file that there is the name PATH.old-N with the lowest N that is free for all of them; the names given.
Result<std::vector<std::string>> move_aside(FileSystem& files, const JobFiles& job);

}  // namespace batchwright

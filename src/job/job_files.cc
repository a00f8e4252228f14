#include "job/job_files.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/status_macros.h"

namespace batchwright {
namespace {

Result<bool> exists(FileSystem& files, const std::string& path) {
  BATCHWRIGHT_ASSIGN_OR_RETURN(const PathKind kind, files.kind(path));
  return kind != PathKind::kNothing;
}

std::string old_name(const std::string& path, int number) { return fmt::format("{}.old-{}", path, number); }

}  // namespace

JobFiles::JobFiles(const std::string& output)
    : answers(output),
      errors(errors_path(output)),
      answers_partial(answers + ".partial"),
      errors_partial(errors + ".partial"),
      journal(output + ".journal"),
      index(output + ".index"),
      plan(output + ".plan"),
      input(output + ".input"),
      report(output + ".report.json") {}

std::vector<std::string> JobFiles::all() const {
  return {answers, errors, answers_partial, errors_partial, index, plan, input, report, journal};
}

std::vector<std::string> JobFiles::temporaries() const {
  return {answers_partial,         errors_partial,   answers + ".ordered.tmp",
          errors + ".ordered.tmp", journal + ".tmp", report + ".tmp"};
}

Status check_output_is_possible(FileSystem& files, const JobFiles& job) {
  if (job.answers.empty() || job.answers.back() == '/') {
    return invalid_argument(job.answers + ": is no name for an output file");
  }
  for (const std::string& path : job.all()) {
    BATCHWRIGHT_ASSIGN_OR_RETURN(const PathKind kind, files.kind(path));
    // A rename would replace a device by a file.
    if (kind == PathKind::kOther) return invalid_argument(path + ": is not a file; -o - writes to standard output");
  }
  return {};
}

Status check_output_is_free(FileSystem& files, const JobFiles& job) {
  for (const std::string& path : {job.answers, job.errors}) {
    BATCHWRIGHT_ASSIGN_OR_RETURN(const bool there, exists(files, path));
    if (there) return invalid_argument(path + ": exists already; --overwrite replaces it");
  }
  for (const std::string& path : {job.answers_partial, job.errors_partial, job.input}) {
    BATCHWRIGHT_ASSIGN_OR_RETURN(const bool there, exists(files, path));
    if (there) {
      return invalid_argument(path +
                              ": is part of an unfinished job whose journal is missing; --restart moves it aside, "
                              "--overwrite replaces it");
    }
  }
  return {};
}

Result<std::vector<std::string>> move_aside(FileSystem& files, const JobFiles& job) {
  const std::vector<std::string> all = job.all();
  int number = 0;
  for (bool taken = true; taken;) {
    ++number;
    taken = false;
    for (const std::string& path : all) {
      BATCHWRIGHT_ASSIGN_OR_RETURN(const bool there, exists(files, old_name(path, number)));
      taken = taken || there;
    }
  }
  std::vector<std::string> names;
  for (const std::string& path : all) {
    BATCHWRIGHT_ASSIGN_OR_RETURN(const bool there, exists(files, path));
    if (!there) continue;
    BATCHWRIGHT_RETURN_IF_ERROR(files.rename(path, old_name(path, number)));
    names.push_back(old_name(path, number));
  }
  if (!names.empty()) BATCHWRIGHT_RETURN_IF_ERROR(files.sync_folder_of(job.answers));
  return names;
}

}  // namespace batchwright

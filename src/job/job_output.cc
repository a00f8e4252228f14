#include "job/job_output.h"

#include <utility>

#include "base/status_macros.h"

namespace batchwright {

Status check_output_is_free(FileSystem& files, const std::string& path, bool overwrite) {
  if (path == "-") return {};
  if (path.empty() || path.back() == '/') return invalid_argument(path + ": is no name for an output file");
  for (const std::string& name : {path, errors_path(path)}) {
    BATCHWRIGHT_ASSIGN_OR_RETURN(const PathKind kind, files.kind(name));
    // A rename would replace a device by a file.
    if (kind == PathKind::kOther) return invalid_argument(name + ": is not a file; -o - writes to standard output");
    if (kind == PathKind::kFile && !overwrite) {
      return invalid_argument(name + ": exists already; --overwrite replaces it");
    }
  }
  for (const std::string& name : {path + ".partial", errors_path(path) + ".partial"}) {
    BATCHWRIGHT_ASSIGN_OR_RETURN(const PathKind kind, files.kind(name));
    if (kind != PathKind::kNothing && !overwrite) {
      return invalid_argument(name + ": holds rows of a run that did not finish; --overwrite starts over without them");
    }
  }
  return {};
}

Result<std::unique_ptr<JobOutput>> JobOutput::open(FileSystem& files, JobOutputOptions options) {
  std::unique_ptr<JobOutput> output(new JobOutput(files, std::move(options)));
  const JobOutputOptions& o = output->options_;
  if (o.path == "-") {
    BATCHWRIGHT_ASSIGN_OR_RETURN(output->results_, open_result_stream(files, o.order, o.rows));
  } else {
    BATCHWRIGHT_ASSIGN_OR_RETURN(output->results_, open_result_file(files, o.path, output->mode(), o.order, o.rows));
    // Of a former run; the new run may have no failed rows.
    if (o.overwrite) BATCHWRIGHT_RETURN_IF_ERROR(files.remove(errors_path(o.path) + ".partial"));
  }
  return output;
}

Status JobOutput::write_error(int64_t row, std::string_view line) {
  if (options_.path == "-") return results_->write(row, line);
  if (!errors_) {
    BATCHWRIGHT_ASSIGN_OR_RETURN(
        errors_, open_result_file(files_, errors_path(options_.path), mode(), options_.order, options_.rows));
  }
  return errors_->write(row, line);
}

Status JobOutput::finish() {
  if (errors_) {
    BATCHWRIGHT_RETURN_IF_ERROR(errors_->finish());
  } else if (options_.path != "-" && options_.overwrite) {
    BATCHWRIGHT_RETURN_IF_ERROR(files_.remove(errors_path(options_.path)));
  }
  return results_->finish();
}

Status JobOutput::abandon() {
  const Status errors = errors_ ? errors_->abandon() : Status();
  const Status results = results_->abandon();
  return results.ok() ? errors : results;
}

}  // namespace batchwright

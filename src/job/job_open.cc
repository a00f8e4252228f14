// How a job begins: new, going on where an earlier run ended, or finished already.

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/status_macros.h"
#include "job/input_file.h"
#include "job/job.h"
#include "job/result_format.h"
#include "job/result_table.h"

namespace batchwright {
namespace {

bool ends_in_csv(const std::string& path) { return row_file_kind(path) == RowFileKind::kCsv && path.ends_with(".csv"); }

}  // namespace

Result<std::unique_ptr<Job>> Job::open(FileSystem& files, JobOptions options, JobEnvironment environment) {
  std::unique_ptr<Job> job(new Job(files, std::move(options), std::move(environment)));
  const JobOptions& o = job->options_;
  JobParameters& p = job->parameters_;
  p.format = o.format;
  p.defaults = o.defaults;
  p.chat_template = o.chat_template;
  p.date = o.date;
  p.context_length = o.context_length;
  p.stamp_created = o.stamp_created;
  p.table_output = ends_in_csv(o.output);
  p.limits = o.limits;
  p.input = o.input;
  p.model_path = o.model_path;
  job->input_name_ = input_name(o.input);
  if (job->is_stream()) {
    BATCHWRIGHT_RETURN_IF_ERROR(job->open_stream());
  } else {
    const Status status = job->open_journalled();
    if (!status.ok() && job->journal_ && job->journal_->was_empty() && !job->journal_->has_begun()) {
      (void)job->journal_->remove();
    }
    BATCHWRIGHT_RETURN_IF_ERROR(status);
  }
  return job;
}

Status Job::open_stream() {
  if (options_.start != JobStart::kContinue && options_.start != JobStart::kOverwrite) {
    return invalid_argument("-o - writes to standard output, which has no journal: there is nothing to go on with");
  }
  if (options_.retry_failed) return invalid_argument("--retry-failed: -o - has no journal that names the failed rows");
  BATCHWRIGHT_RETURN_IF_ERROR(open_input(""));
  BATCHWRIGHT_RETURN_IF_ERROR(open_format());
  BATCHWRIGHT_ASSIGN_OR_RETURN(index_, RowIndex::build(row_file(), read_watch()));
  is_done_.assign(static_cast<size_t>(index_.size()), false);
  choose_rows();
  return {};
}

Status Job::open_journalled() {
  BATCHWRIGHT_RETURN_IF_ERROR(check_output_is_possible(files_, paths_));
  const std::vector<std::string> own = paths_.all();
  if (std::find(own.begin(), own.end(), options_.input) != own.end()) {
    return invalid_argument(options_.input + ": is the job, and a file that the job would write");
  }
  const bool may_replace = options_.start == JobStart::kRestart || options_.start == JobStart::kOverwrite;
  auto journal = Journal::open(files_, paths_.journal);
  const bool is_strange =
      journal.status().code() == StatusCode::kInvalidData || journal.status().code() == StatusCode::kUnsupported;
  if (is_strange && may_replace) journal = Journal::lock(files_, paths_.journal);
  if (is_strange && !may_replace) return journal.status().with_context("--restart moves it aside");
  if (!journal.ok()) return journal.status();
  journal_ = std::move(*journal);

  if (options_.start == JobStart::kRestart) {
    BATCHWRIGHT_ASSIGN_OR_RETURN(const std::vector<std::string> names, move_aside(files_, paths_));
    if (names.size() > 1) notes_.push_back(fmt::format("moved aside: {}", fmt::join(names, ", ")));
    BATCHWRIGHT_ASSIGN_OR_RETURN(journal_, Journal::open(files_, paths_.journal));
    return open_new(false);
  }
  if (journal_->summary().attempts.empty()) {
    if (options_.start == JobStart::kResume) {
      return invalid_argument(fmt::format("--resume: there is no job to go on with: {} names none", paths_.journal));
    }
    return open_new(options_.start == JobStart::kOverwrite);
  }
  // Rows that come in by standard input are others each time.
  const bool is_other = journal_->summary().complete || options_.input == "-";
  if (options_.start == JobStart::kOverwrite && is_other) return open_new(true);
  const Status again = open_again();
  if (again.code() != StatusCode::kInvalidArgument || options_.start != JobStart::kOverwrite) return again;
  // Another job than the one that is being replaced.
  former_parameters_.reset();
  notes_.clear();
  return open_new(true);
}

Status Job::open_new(bool replace) {
  if (options_.retry_failed && !replace) {
    return invalid_argument(fmt::format("--retry-failed: {} names no rows that failed", paths_.journal));
  }
  if (!replace) {
    // A run that ended before it had journalled its first attempt leaves nothing that counts; but X may be a
    // stranger's.
    BATCHWRIGHT_RETURN_IF_ERROR(journal_->has_begun() ? check_nothing_reported()
                                                      : check_output_is_free(files_, paths_));
    BATCHWRIGHT_RETURN_IF_ERROR(begin_journal());
  }
  BATCHWRIGHT_RETURN_IF_ERROR(open_input(paths_.input));
  BATCHWRIGHT_RETURN_IF_ERROR(open_format());
  BATCHWRIGHT_ASSIGN_OR_RETURN(index_, RowIndex::build(row_file(), read_watch()));
  if (replace) {
    replaces_ = true;
    if (journal_->was_empty()) made_.push_back(paths_.journal);
  } else {
    made_.push_back(paths_.index);
    BATCHWRIGHT_RETURN_IF_ERROR(save_index());
  }
  parameters_.rows = index_.size();
  parameters_.rows_hash = index_.rows_hash(*format_).hex();
  is_done_.assign(static_cast<size_t>(index_.size()), false);
  rows_resumed_ = 0;
  choose_rows();
  return {};
}

// The journal first, which no longer names what is removed.
Status Job::replace() {
  BATCHWRIGHT_RETURN_IF_ERROR(begin_journal());
  for (const std::string& path : paths_.all()) {
    if (path != paths_.journal && path != paths_.input) BATCHWRIGHT_RETURN_IF_ERROR(files_.remove(path));
  }
  made_.push_back(paths_.index);
  return save_index();
}

Status Job::save_index() {
  BATCHWRIGHT_RETURN_IF_ERROR(index_.save(files_, paths_.index));
  return files_.sync_folder_of(paths_.index);
}

Status Job::begin_journal() {
  made_.push_back(paths_.journal);
  return journal_->begin();
}

// The journal knows a job, which must be this one.
Status Job::open_again() {
  BATCHWRIGHT_ASSIGN_OR_RETURN(const JobParameters former,
                               read_parameters(journal_->summary().attempts.back().parameters));
  former_parameters_ = former;
  if (journal_->summary().dropped_bytes > 0) {
    notes_.push_back(fmt::format("{}: the last {} bytes were not whole and are dropped", paths_.journal,
                                 journal_->summary().dropped_bytes));
  }
  BATCHWRIGHT_RETURN_IF_ERROR(learn_model());
  return journal_->summary().complete ? open_complete() : open_unfinished();
}

Status Job::open_unfinished() {
  if (options_.input == "-") {
    auto input = files_.open_read(paths_.input);
    if (input.status().code() == StatusCode::kNotFound) {
      return invalid_data(paths_.input + ": is missing; it holds the job's rows; --restart with them starts over");
    }
    if (!input.ok()) return input.status();
    input_ = std::move(*input);
    input_name_ = paths_.input;
    notes_.push_back(fmt::format("standard input is not read: the job's rows are in {}", paths_.input));
  } else {
    BATCHWRIGHT_RETURN_IF_ERROR(open_input(paths_.input));
  }
  BATCHWRIGHT_RETURN_IF_ERROR(open_format());
  BATCHWRIGHT_ASSIGN_OR_RETURN(auto index, RowIndex::load(files_, paths_.index));
  const bool is_kept = index && index->rows_hash(*format_).hex() == former_parameters_->rows_hash;
  if (is_kept) {
    index_ = std::move(*index);
    BATCHWRIGHT_RETURN_IF_ERROR(index_.check_unchanged(row_file(), read_watch()));
  } else {
    BATCHWRIGHT_ASSIGN_OR_RETURN(index_, RowIndex::build(row_file(), read_watch()));
  }
  parameters_.rows = index_.size();
  parameters_.rows_hash = index_.rows_hash(*format_).hex();
  BATCHWRIGHT_RETURN_IF_ERROR(check_same_job());
  if (!is_kept) BATCHWRIGHT_RETURN_IF_ERROR(index_.save(files_, paths_.index));
  BATCHWRIGHT_RETURN_IF_ERROR(read_done_rows());
  if (options_.retry_failed && journal_->summary().rows[1] > 0) BATCHWRIGHT_RETURN_IF_ERROR(reopen(true));
  choose_rows();
  BATCHWRIGHT_RETURN_IF_ERROR(check_no_stranger());
  notes_.push_back(fmt::format("going on: {} of {} rows are done", rows_resumed_, rows_total()));
  return {};
}

Status Job::open_complete() {
  const bool has_rows_left = former_parameters_->rows > journal_->summary().rows_done();
  if (options_.input == "-" && !has_rows_left) {
    // They are gone, with nothing left to compare.
    parameters_.rows = former_parameters_->rows;
    parameters_.rows_hash = former_parameters_->rows_hash;
  } else {
    if (options_.input == "-") {
      BATCHWRIGHT_ASSIGN_OR_RETURN(input_, files_.open_read(paths_.input));
    } else {
      BATCHWRIGHT_RETURN_IF_ERROR(open_input(""));
    }
    BATCHWRIGHT_RETURN_IF_ERROR(open_format());
    BATCHWRIGHT_ASSIGN_OR_RETURN(const auto rows, RowIndex::fingerprint(row_file(), read_watch()));
    parameters_.rows = rows.rows;
    parameters_.rows_hash = rows.hash.hex();
  }
  BATCHWRIGHT_RETURN_IF_ERROR(check_same_job());

  const bool has_failed_rows = options_.retry_failed && journal_->summary().rows[1] > 0;
  const int64_t wanted = options_.limit > 0 ? std::min(options_.limit, parameters_.rows) : parameters_.rows;
  if (!has_failed_rows && wanted <= journal_->summary().rows_done()) {
    JobReport& report = finished_.emplace();
    report.add(journal_->summary());
    report.outcome = "complete";
    report.rows_total = report.rows_ok + report.rows_failed;
    report.attempts = static_cast<int64_t>(journal_->summary().attempts.size());
    BATCHWRIGHT_ASSIGN_OR_RETURN(const PathKind kind, files_.kind(paths_.answers));
    if (kind != PathKind::kNothing) {
      remove_leftovers();
      return {};
    }
    return invalid_data(
        fmt::format("{}: is missing, though its journal says that the job is complete; --restart runs it "
                    "again",
                    options_.output));
  }
  if (input_ == nullptr) {
    return invalid_argument("the rows came from standard input, which is gone; --restart with the rows starts over");
  }
  // What is compressed needs a place to be read from.
  if (options_.input != "-") BATCHWRIGHT_RETURN_IF_ERROR(open_input(paths_.input));
  BATCHWRIGHT_ASSIGN_OR_RETURN(index_, RowIndex::build(row_file(), read_watch()));
  BATCHWRIGHT_RETURN_IF_ERROR(save_index());
  BATCHWRIGHT_RETURN_IF_ERROR(reopen(options_.retry_failed));
  choose_rows();
  notes_.push_back(fmt::format("going on: {} of {} rows are done", rows_resumed_, rows_total()));
  return {};
}

// Of a run that ended between the journal's last record and its own end.
void Job::remove_leftovers() {
  for (const std::string& path : paths_.temporaries()) (void)files_.remove(path);
  if (journal_->summary().rows_done() < former_parameters_->rows) return;
  for (const std::string& path : {paths_.index, paths_.plan, paths_.input}) (void)files_.remove(path);
}

Status Job::open_input(const std::string& spool_path) {
  if (!former_parameters_ && !spool_path.empty()) {
    BATCHWRIGHT_ASSIGN_OR_RETURN(const PathKind kind, files_.kind(spool_path));
    if (kind == PathKind::kNothing) made_.push_back(spool_path);
  }
  BATCHWRIGHT_ASSIGN_OR_RETURN(input_, open_input_file(files_, {options_.input, spool_path, read_watch()}));
  return {};
}

Status Job::open_format() {
  BATCHWRIGHT_ASSIGN_OR_RETURN(format_, open_row_format(options_.format, options_.limits, *input_, input_name_));
  return parameters_.table_output ? check_carried_names(format_->carried()) : Status();
}

Status Job::learn_model() {
  if (!environment_.model_hash) return {};
  BATCHWRIGHT_ASSIGN_OR_RETURN(parameters_.model_hash, environment_.model_hash());
  return {};
}

Status Job::check_same_job() const {
  if (options_.retry_failed && only_limits_grew(*former_parameters_, parameters_)) return {};
  const std::vector<std::string> changed = changes(*former_parameters_, parameters_);
  if (changed.empty()) return {};
  return invalid_argument(fmt::format("{} belongs to another job: {}. --restart moves its files aside and starts over",
                                      options_.output, fmt::join(changed, "; ")));
}

// X is ours while the job is unfinished only where a run ended between giving it its name and saying so: then it holds
// all answers that the journal knows.
Status Job::check_no_stranger() const {
  const auto file = files_.open_read(paths_.answers);
  if (file.status().code() == StatusCode::kNotFound) return {};
  if (!file.ok()) return file.status();
  BATCHWRIGHT_ASSIGN_OR_RETURN(const uint64_t size, (*file)->size());
  const uint64_t header = format_ ? result_header(parameters_, *format_).size() : 0;
  if (size <= header || size == journal_->summary().result_bytes[0]) return {};
  return invalid_argument(paths_.answers + ": was not written by this job, which is unfinished; move it away");
}

// Results are not begun before the journal names the run that writes them.
Status Job::check_nothing_reported() const {
  for (const std::string& path : {paths_.answers_partial, paths_.errors_partial}) {
    BATCHWRIGHT_ASSIGN_OR_RETURN(const PathKind kind, files_.kind(path));
    if (kind == PathKind::kNothing) continue;
    return invalid_data(
        fmt::format("{}: is there, and {} does not name the run that wrote it: that is damaged; "
                    "--restart moves both aside",
                    path, paths_.journal));
  }
  return check_no_stranger();
}

// Makes a complete job unfinished again, or drops the rows that failed: then their file holds nothing that counts.
Status Job::reopen(bool drop_failed) {
  std::vector<RowRecord> rows;
  BATCHWRIGHT_RETURN_IF_ERROR(journal_->read_rows([&](const RowRecord& row) {
    if (!drop_failed || row.kind == ResultKind::kAnswer) rows.push_back(row);
    return Status();
  }));
  const std::optional<CompleteRecord>& complete = journal_->summary().complete;
  if (complete) {
    // A crash may have kept them; the results stand in X, which is about to become X.partial.
    for (const std::string& path : {paths_.answers_partial, paths_.errors_partial}) {
      BATCHWRIGHT_RETURN_IF_ERROR(files_.remove(path));
    }
    BATCHWRIGHT_RETURN_IF_ERROR(files_.sync_folder_of(paths_.answers));
  }
  if (complete && complete->ordered) {
    std::sort(rows.begin(), rows.end(), [](const RowRecord& a, const RowRecord& b) { return a.row < b.row; });
    uint64_t ends[kResultKinds] = {result_header(parameters_, *format_).size(), 0};
    for (RowRecord& row : rows) {
      row.offset = ends[static_cast<size_t>(row.kind)];
      ends[static_cast<size_t>(row.kind)] += row.length;
    }
  }
  BATCHWRIGHT_RETURN_IF_ERROR(journal_->rewrite(rows));
  return read_done_rows();
}

Status Job::read_done_rows() {
  is_done_.assign(static_cast<size_t>(index_.size()), false);
  rows_resumed_ = 0;
  finished_rows_.clear();
  return journal_->read_rows([&](const RowRecord& row) {
    if (row.row >= index_.size() || index_[row.row].key != row.key || is_done_[row.row]) {
      return invalid_data(
          fmt::format("{} names row {}, which is not the job's; --restart starts over", paths_.journal, row.row));
    }
    is_done_[row.row] = true;
    ++rows_resumed_;
    finished_rows_.record(row);
    return Status();
  });
}

void Job::choose_rows() {
  const int64_t wanted = options_.limit > 0 ? std::min(options_.limit, index_.size()) : index_.size();
  is_wanted_.assign(static_cast<size_t>(index_.size()), false);
  rows_wanted_ = 0;
  for (int64_t row = 0; row < wanted; ++row) {
    if (is_done_[static_cast<size_t>(row)]) continue;
    is_wanted_[static_cast<size_t>(row)] = true;
    ++rows_wanted_;
  }
}

}  // namespace batchwright

#include "job/job_survey.h"

#include <algorithm>
#include <atomic>
#include <map>
#include <mutex>
#include <stop_token>
#include <thread>
#include <utility>

#include "base/out_of_memory.h"
#include "base/status_macros.h"
#include "job/input_file.h"
#include "job/job_files.h"
#include "job/row_outlook.h"
#include "job/row_planner.h"
#include "journal/journal.h"

namespace batchwright {
namespace {

// Takes rows as they come from the planner's threads.
class Looker {
 public:
  Looker(const Vocabulary& vocabulary, int context_length, int64_t rows)
      : outlooks_(vocabulary, context_length),
        rows_(static_cast<size_t>(rows)),
        looks_(static_cast<size_t>(rows)),
        ends_freely_(static_cast<size_t>(rows)) {}

  void look(const FedRow& fed) {
    Look& look = looks_[static_cast<size_t>(fed.name.row)];
    look = Look::kBad;
    if (const auto* const error = std::get_if<RequestError>(&fed.outcome)) return add_bad(fed.name, error->message);
    const auto outlook = outlooks_.of(std::get<PreparedRequest>(fed.outcome).request, fed.name.row);
    if (!outlook.ok()) return add_bad(fed.name, outlook.status().message());
    const auto row = static_cast<size_t>(fed.name.row);
    rows_[row] = outlook->row;
    ends_freely_[row] = outlook->ends_freely ? 1 : 0;
    look = Look::kGood;
  }

  bool has_seen(int64_t row) const { return looks_[static_cast<size_t>(row)] != Look::kNone; }
  bool is_good(int64_t row) const { return looks_[static_cast<size_t>(row)] == Look::kGood; }
  bool ends_freely(int64_t row) const { return ends_freely_[static_cast<size_t>(row)] != 0; }
  const SimulatedRow& row(int64_t row) const { return rows_[static_cast<size_t>(row)]; }
  int64_t bad_rows() const { return bad_count_; }
  std::vector<BadRow> take_bad_rows() {
    std::vector<BadRow> rows;
    for (auto& [number, row] : bad_) rows.push_back(std::move(row));
    return rows;
  }

 private:
  enum class Look : uint8_t { kNone, kBad, kGood };

  void add_bad(const RowName& name, std::string message) {
    const std::lock_guard lock(mutex_);
    ++bad_count_;
    bad_.emplace(name.row, BadRow{name.line, name.custom_id, std::move(message)});
    if (bad_.size() > JobSurvey::kBadRowsShown) bad_.erase(std::prev(bad_.end()));
  }

  RowOutlooks outlooks_;
  std::vector<SimulatedRow> rows_;
  // Bytes: threads write to neighbours.
  std::vector<Look> looks_;
  std::vector<uint8_t> ends_freely_;
  std::mutex mutex_;
  int64_t bad_count_ = 0;
  std::map<int64_t, BadRow> bad_;  // the first, by row
};

// What kept the planner from reading a row, which it leaves for later then.
Status why_not_read(const RowFile& rows, const RowIndex& index, int64_t row, const ProtocolContext& context) {
  const auto fed = feed_row(rows, index, row, context);
  return fed.ok() ? out_of_memory() : fed.status();
}

}  // namespace

Result<std::unique_ptr<JobSurvey>> JobSurvey::open(FileSystem& files, const JobOptions& options, ReadWatch watch) {
  std::unique_ptr<JobSurvey> survey(new JobSurvey(files, options, std::move(watch)));
  JobSurvey& s = *survey;
  s.input_name_ = input_name(options.input);
  BATCHWRIGHT_ASSIGN_OR_RETURN(s.input_, open_input_file(files, {options.input, "", s.watch_}));
  BATCHWRIGHT_ASSIGN_OR_RETURN(s.format_, open_row_format(options.format, options.limits, *s.input_, s.input_name_));
  BATCHWRIGHT_ASSIGN_OR_RETURN(s.index_, RowIndex::build(s.row_file(), s.watch_));
  s.rows_wanted_ = options.limit > 0 ? std::min(options.limit, s.index_.size()) : s.index_.size();
  BATCHWRIGHT_RETURN_IF_ERROR(s.read_done_rows());
  return survey;
}

// A run may be writing the journal.
Status JobSurvey::read_done_rows() {
  is_done_.assign(static_cast<size_t>(index_.size()), false);
  if (options_.output.empty() || options_.output == "-" || options_.start == JobStart::kRestart) return {};
  std::vector<RowRecord> done;
  const auto journal = read_journal(files_, JobFiles(options_.output).journal, [&](const RowRecord& row) {
    const bool is_wanted = row.row < static_cast<uint64_t>(index_.size()) && index_[row.row].key == row.key;
    if (is_wanted && !(options_.retry_failed && row.kind == ResultKind::kError)) done.push_back(row);
    return Status();
  });
  const bool is_replaced = options_.start == JobStart::kOverwrite && (!journal.ok() || journal->complete);
  if (is_replaced || journal.status().code() == StatusCode::kNotFound) return {};
  if (!journal.ok()) return journal.status().with_context("--restart moves it aside");
  for (const RowRecord& row : done) {
    if (!is_done_[row.row] && row.row < rows_wanted_) ++rows_done_;
    is_done_[row.row] = true;
    finished_rows_.record(row);
  }
  return {};
}

Result<SurveyedJob> JobSurvey::look(const ProtocolContext& context, const Vocabulary& vocabulary,
                                    const SurveyOptions& options) const {
  const RowFile file = row_file();
  std::vector<bool> is_wanted(static_cast<size_t>(index_.size()), false);
  for (int64_t row = 0; row < rows_wanted_; ++row) {
    is_wanted[static_cast<size_t>(row)] = !is_done_[static_cast<size_t>(row)];
  }
  Looker looker(vocabulary, context.context_length, rows_wanted_);
  std::stop_source stop;
  RowPlannerOptions planning;
  planning.threads = options.threads;
  planning.file_order = options_.file_order;
  planning.neighbours = options.max_batch;
  std::atomic<int64_t> looked_at{0};
  planning.look = [&, own_thread = std::this_thread::get_id()](const FedRow& fed) {
    if (watch_.stop_requested && watch_.stop_requested()) stop.request_stop();
    looker.look(fed);
    const int64_t count = ++looked_at;
    if (options.progressed && std::this_thread::get_id() == own_thread) options.progressed(count);
  };
  SurveyedJob job;
  const auto add = [&](const PlannedRow& planned) {
    SimulatedRow& row = job.rows.emplace_back(looker.row(planned.row));
    row.common_tokens = planned.common_tokens;
    // Below 0: what later rows begin with is not known; nothing is given back early.
    row.reused_tokens = planned.reused_tokens < 0 ? UINT32_MAX : static_cast<uint32_t>(planned.reused_tokens);
    job.ends_freely.push_back(looker.ends_freely(planned.row));
    job.prompt_tokens += int64_t{row.prompt_tokens} * row.choices;
  };
  RowPlanner planner(files_, file, index_, is_wanted, context, planning);
  while (true) {
    BATCHWRIGHT_ASSIGN_OR_RETURN(const std::vector<PlannedRow> window, planner.next(stop.get_token()));
    if (window.empty()) break;
    for (const PlannedRow& planned : window) {
      if (looker.is_good(planned.row)) add(planned);
    }
  }
  if (stop.stop_requested()) return interrupted("stopped on request");
  for (int64_t row = 0; row < rows_wanted_; ++row) {
    if (!is_done_[static_cast<size_t>(row)] && !looker.has_seen(row)) return why_not_read(file, index_, row, context);
  }
  job.rows_total = rows_wanted_;
  job.rows_done = rows_done_;
  BATCHWRIGHT_ASSIGN_OR_RETURN(job.finished_answers, finished_rows_.answers(file, index_, context));
  job.rows_bad = looker.bad_rows();
  job.bad_rows = looker.take_bad_rows();
  return job;
}

}  // namespace batchwright

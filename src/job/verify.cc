#include "job/verify.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <utility>

#include "base/crc32c.h"
#include "base/random.h"
#include "base/status_macros.h"
#include "job/fed_row.h"
#include "job/input_file.h"
#include "job/job_files.h"
#include "job/result_format.h"

namespace batchwright {
namespace {

// So many different numbers below `count` (Floyd's algorithm).
std::set<int64_t> choose_numbers(int64_t count, int64_t wanted, uint64_t seed) {
  SplitMix64 random(seed);
  std::set<int64_t> chosen;
  for (int64_t i = std::max<int64_t>(0, count - wanted); i < count; ++i) {
    const auto number = static_cast<int64_t>(random.below(static_cast<uint64_t>(i) + 1));
    if (!chosen.insert(number).second) chosen.insert(i);
  }
  return chosen;
}

}  // namespace

Result<std::unique_ptr<Verification>> Verification::open(FileSystem& files, VerifyOptions options,
                                                         const StopRequested& stop_requested) {
  std::unique_ptr<Verification> verification(new Verification(files, std::move(options)));
  BATCHWRIGHT_RETURN_IF_ERROR(verification->open_rows(stop_requested));
  BATCHWRIGHT_RETURN_IF_ERROR(verification->choose());
  BATCHWRIGHT_RETURN_IF_ERROR(verification->open_results());
  return verification;
}

Status Verification::open_rows(const StopRequested& stop_requested) {
  const JobFiles paths(options_.output);
  BATCHWRIGHT_ASSIGN_OR_RETURN(journal_, read_journal(files_, paths.journal, nullptr));
  if (journal_.attempts.empty()) return invalid_data(paths.journal + ": names no job");
  BATCHWRIGHT_ASSIGN_OR_RETURN(parameters_, read_parameters(journal_.attempts.back().parameters));
  if (parameters_.numerics_version != kNumericsVersion) {
    return invalid_argument(fmt::format("{} was computed with version {} of the numerics; this program has version {}",
                                        options_.output, parameters_.numerics_version, kNumericsVersion));
  }
  InputFileOptions input;
  input.path = !options_.input.empty() ? options_.input : parameters_.input;
  if (input.path == "-" && options_.input.empty()) {
    // Kept while the job is unfinished.
    BATCHWRIGHT_ASSIGN_OR_RETURN(const PathKind kind, files_.kind(paths.input));
    if (kind == PathKind::kNothing) {
      return invalid_argument(
          "the job's rows came from standard input and are gone; --job FILE names a file that holds them");
    }
    input.path = paths.input;
  }
  input_name_ = input_name(input.path);
  input.watch = {stop_requested};
  BATCHWRIGHT_ASSIGN_OR_RETURN(input_, open_input_file(files_, input));
  BATCHWRIGHT_ASSIGN_OR_RETURN(format_, open_row_format(parameters_.format, parameters_.limits, *input_, input_name_));
  BATCHWRIGHT_ASSIGN_OR_RETURN(index_, RowIndex::build({*input_, *format_, input_name_}, {stop_requested}));
  if (index_.rows_hash(*format_).hex() != parameters_.rows_hash) {
    return invalid_argument(fmt::format("{} does not hold the rows of the job: it has {} rows, the job had {}{}",
                                        input_name_, index_.size(), parameters_.rows,
                                        index_.size() == parameters_.rows ? ", some of them other" : ""));
  }
  return {};
}

Status Verification::choose() {
  const JobFiles paths(options_.output);
  const std::set<int64_t> chosen = choose_numbers(journal_.rows_done(), options_.sample, options_.seed);
  const bool is_ordered = journal_.complete && journal_.complete->ordered;
  // Lengths by row, to find places in results that were put in order.
  std::vector<uint32_t> lengths[kResultKinds];
  if (is_ordered) lengths[0] = lengths[1] = std::vector<uint32_t>(static_cast<size_t>(index_.size()));
  int64_t number = 0;
  const auto read = read_journal(files_, paths.journal, [&](const RowRecord& row) -> Status {
    if (row.row >= index_.size() || index_[row.row].key != row.key) {
      return invalid_data(fmt::format("{} names row {}, which is not the job's", paths.journal, row.row));
    }
    // A job that is running goes on writing.
    if (chosen.count(number++) > 0) sample_.push_back(row);
    if (is_ordered) lengths[static_cast<size_t>(row.kind)][row.row] = row.length;
    return {};
  });
  BATCHWRIGHT_RETURN_IF_ERROR(read.status());
  std::sort(sample_.begin(), sample_.end(), [](const RowRecord& a, const RowRecord& b) { return a.row < b.row; });
  if (is_ordered) {
    uint64_t ends[kResultKinds] = {result_header(parameters_, *format_).size(), 0};
    int64_t row = 0;
    for (RowRecord& record : sample_) {
      for (; row < record.row; ++row) {
        for (size_t kind = 0; kind < kResultKinds; ++kind) ends[kind] += lengths[kind][static_cast<size_t>(row)];
      }
      record.offset = ends[static_cast<size_t>(record.kind)];
    }
  }
  return {};
}

Status Verification::open_results() {
  const JobFiles paths(options_.output);
  const bool complete = journal_.complete.has_value();
  const std::string names[kResultKinds] = {complete ? paths.answers : paths.answers_partial,
                                           complete ? paths.errors : paths.errors_partial};
  for (const RowRecord& row : sample_) {
    const auto kind = static_cast<size_t>(row.kind);
    if (!results_[kind]) {
      BATCHWRIGHT_ASSIGN_OR_RETURN(results_[kind], files_.open_read(names[kind]));
    }
  }
  return {};
}

Result<std::string> Verification::compute(Engine& engine, const PromptEncoder& encoder, const ProtocolContext& context,
                                          const ResultFormat& format, int64_t row) {
  BATCHWRIGHT_ASSIGN_OR_RETURN(FedRow fed, feed_row({*input_, *format_, input_name_}, index_, row, context));
  FinishedRow finished;
  finished.name = std::move(fed.name);
  if (auto* const error = std::get_if<RequestError>(&fed.outcome)) {
    finished.outcome = std::move(*error);
  } else {
    auto& prepared = std::get<PreparedRequest>(fed.outcome);
    finished.shape = std::move(prepared.shape);
    engine.submit(std::move(prepared.request));
    std::vector<Completion> done;
    while (done.empty()) {
      BATCHWRIGHT_ASSIGN_OR_RETURN(done, engine.step());
    }
    finished.outcome = std::move(done.front());
  }
  return make_result(finished, encoder, format).line;
}

Result<VerifyReport> Verification::run(Engine& engine, const PromptEncoder& encoder,
                                       const StopRequested& stop_requested,
                                       const std::function<void(int64_t)>& progressed) {
  const ModelInfo& model = engine.model();
  if (model.hash != parameters_.model_hash) {
    return invalid_argument(fmt::format("{} was computed by the model with the hash {} ({}); {} has the hash {}",
                                        options_.output, parameters_.model_hash, parameters_.model_path, model.path,
                                        model.hash));
  }
  const ProtocolContext context{encoder, engine.options().context_length, shown_model_name(model), parameters_.defaults,
                                parameters_.limits};
  const ResultFormat format = result_format(parameters_, *format_, model, journal_.attempts.front().unix_time);
  VerifyReport report;
  // From the last to the first: another order than any run's.
  for (size_t i = sample_.size(); i-- > 0;) {
    if (stop_requested && stop_requested()) return interrupted("stopped on request");
    const RowRecord& row = sample_[i];
    std::string found(row.length, '\0');
    BATCHWRIGHT_ASSIGN_OR_RETURN(const size_t count,
                                 results_[static_cast<size_t>(row.kind)]->read_at(row.offset, found));
    found.resize(count);
    BATCHWRIGHT_ASSIGN_OR_RETURN(std::string computed, compute(engine, encoder, context, format, row.row));
    if (found == computed) {
      ++report.rows_equal;
    } else {
      VerifyReport::Difference& difference = report.differences.emplace_back();
      difference.line = index_[row.row].line;
      BATCHWRIGHT_ASSIGN_OR_RETURN(const FedRow fed,
                                   feed_row({*input_, *format_, input_name_}, index_, row.row, context));
      difference.custom_id = fed.name.custom_id.value_or("");
      difference.offset = row.offset;
      const auto mismatch = std::mismatch(found.begin(), found.end(), computed.begin(), computed.end());
      difference.first_byte = static_cast<size_t>(mismatch.first - found.begin());
      difference.was_edited = crc32c(found) != row.checksum;
      difference.found = std::move(found);
      difference.computed = std::move(computed);
    }
    if (progressed) progressed(static_cast<int64_t>(sample_.size() - i));
  }
  std::reverse(report.differences.begin(), report.differences.end());
  return report;
}

}  // namespace batchwright

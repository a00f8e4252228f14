// Where the lines of a job go while it runs, and how they become its output.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/file_system.h"
#include "job/row_index.h"
#include "journal/journal.h"

namespace batchwright {

enum class ResultOrder { kCompletion, kInput };

// What a row that has ended gives to the output.
struct RowResult {
  int64_t row = 0;
  ResultKind kind = ResultKind::kAnswer;
  std::string line;           // with its end
  int64_t prompt_tokens = 0;  // of all choices
  int64_t prompt_tokens_computed = 0;
  int64_t generated_tokens = 0;
};

// Of the rows that were reported: whose results no crash can take away.
struct ReportedRows {
  int64_t ok = 0;
  int64_t failed = 0;
  int64_t prompt_tokens = 0;
  int64_t prompt_tokens_computed = 0;
  int64_t generated_tokens = 0;

  int64_t rows() const { return ok + failed; }
  void add(const RowResult& result);
};
ReportedRows& operator+=(ReportedRows& sum, const ReportedRows& more);

// One thread at a time, but for reported().
class JobOutput {
 public:
  virtual ~JobOutput() = default;

  // Of a row that had none before. It counts as reported when commit() has taken it up.
  virtual Status write(const RowResult& result) = 0;
  // Makes what was written last, if it is time for that, or `now`.
  virtual Status commit(bool now) = 0;
  // All rows are written: the output is put in its place.
  virtual Status finish() = 0;
  // No more rows will come and the output stays unfinished; what is there is kept.
  virtual Status abandon() = 0;

  // Of this run. Any thread.
  virtual ReportedRows reported() const = 0;
};

// Standard output, which takes failed rows too; each row is reported as it is written. With ResultOrder::kInput lines
// that are early wait in a scratch file: rows' numbers are below `rows`, each of which comes.
Result<std::unique_ptr<JobOutput>> stream_output(FileSystem& files, ResultOrder order, int64_t rows,
                                                 const std::string& header);

struct JournalledOutputOptions {
  std::string path;
  ResultOrder order = ResultOrder::kCompletion;
  std::string header;  // what stands before the answers
  double sync_seconds = 0.2;
  std::function<double()> seconds;     // a clock that never goes back
  std::function<int64_t()> unix_time;  // of the calendar
  // Of this run, but for its seconds. Called on the thread that commits.
  std::function<AttemptProgress()> progress;
  // What an unfinished job keeps, the partial files too: removed when it is complete.
  std::vector<std::string> state_files;
};

// X.partial and X.errors.jsonl.partial, with the journal: docs/formats/journal.md says in which order all is written
// and synced. Goes on where the journal ends: what stands behind that in the partial files is cut off, and each line
// that it names is checked. kInvalidData where they do not hold what the journal says. The errors' file is made with
// the first of them. journal and index must outlive the output.
Result<std::unique_ptr<JobOutput>> journalled_output(FileSystem& files, Journal& journal, const RowIndex& index,
                                                     JournalledOutputOptions options);

}  // namespace batchwright

// What a job has done, in a file that survives any crash: docs/formats/journal.md.
//
// The order that makes it true: a row's line is appended to its result file, that file is synced, then the row's record
// is appended to the journal, the journal is synced; from then on the row is *reported*. So whatever a reader of the
// journal believes stands whole in the result files.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/file_system.h"
#include "base/hash.h"

namespace batchwright {

enum class ResultKind : uint8_t { kAnswer = 0, kError = 1 };
inline constexpr int kResultKinds = 2;

// A row that has ended.
struct RowRecord {
  uint32_t row = 0;  // its number in the job, from 0
  ResultKind kind = ResultKind::kAnswer;
  uint64_t offset = 0;  // of its line in the result file of its kind
  uint32_t length = 0;
  uint32_t checksum = 0;  // CRC-32C of the line
  Hash128 key;            // of the row's text in the input
  uint32_t prompt_tokens = 0;
  uint32_t prompt_tokens_computed = 0;
  uint32_t generated_tokens = 0;
};

// What an attempt has done beside its rows.
struct AttemptProgress {
  double seconds = 0;  // how long it has gone on
  int64_t steps = 0;
  double steps_filled = 0;  // the sum of the shares of their token budgets that the steps used
  int64_t preemptions = 0;
};
AttemptProgress& operator+=(AttemptProgress& sum, const AttemptProgress& more);

// A run of the program on the job, written at its start.
struct AttemptRecord {
  int64_t unix_time = 0;
  std::string parameters;    // JSON, the job room's affair
  AttemptProgress progress;  // as far as it was reported
};

// All rows have ended and the result files have their names.
struct CompleteRecord {
  int64_t unix_time = 0;
  bool ordered = false;  // results stand in the order of rows, not where the rows' records say
};

// What the records of a journal add up to.
struct JournalSummary {
  std::vector<AttemptRecord> attempts;
  int64_t rows[kResultKinds] = {0, 0};
  uint64_t result_bytes[kResultKinds] = {0, 0};  // where the last recorded line ends
  int64_t prompt_tokens = 0;
  int64_t prompt_tokens_computed = 0;
  int64_t generated_tokens = 0;
  std::optional<CompleteRecord> complete;
  uint64_t valid_bytes = 0;    // of the journal
  uint64_t dropped_bytes = 0;  // after them: torn, or not finished

  int64_t rows_done() const { return rows[0] + rows[1]; }
  AttemptProgress progress() const;  // of all attempts
};

// One thread at a time. Holds the journal's lock.
class Journal {
 public:
  // Locks the journal, making an empty one where there is none, before anything of it is read. kInvalidArgument where
  // another process holds it; kInvalidData and kUnsupported where it is something else than a journal.
  static Result<std::unique_ptr<Journal>> open(FileSystem& files, const std::string& path);
  // The same without looking at what is in it: as if it had not begun.
  static Result<std::unique_ptr<Journal>> lock(FileSystem& files, const std::string& path);

  const std::string& path() const { return path_; }

  // Whether there was no such file, or an empty one, when it was locked.
  bool was_empty() const { return was_empty_; }
  // False where the file holds nothing that was written by begin(): then nothing beside it belongs to a job.
  bool has_begun() const { return has_begun_; }
  // What was in it when it was opened or rewritten.
  const JournalSummary& summary() const { return summary_; }

  // Every row's record, in the order of writing.
  Status read_rows(const std::function<Status(const RowRecord&)>& take) const;

  // Puts an empty journal in its place, durably, its name too: from now on the files beside it are this job's.
  Status begin();
  // Makes room for an attempt of a job that was interrupted: what was torn is cut off.
  Status resume();
  // Puts a journal of the same attempts in its place - as a whole or not at all - which is not complete and has these
  // rows alone.
  Status rewrite(const std::vector<RowRecord>& rows);

  // Each is on the disk when the call returns. After an error nothing more may be written: a second sync may succeed
  // without having written what the first one lost.
  Status write_attempt(int64_t unix_time, const std::string& parameters);
  // progress: of this attempt so far.
  Status write_rows(const std::vector<RowRecord>& rows, const AttemptProgress& progress);
  Status write_complete(const CompleteRecord& complete);

  // Gives the file up and removes it: for a job that never started.
  Status remove();

 private:
  Journal(FileSystem& files, std::string path, std::unique_ptr<WritableFile> writer);
  Status read_summary();
  Status replace(const std::function<Status(WritableFile&)>& write);
  Status append(const std::string& records);

  FileSystem& files_;
  std::string path_;
  std::unique_ptr<WritableFile> writer_;
  bool was_empty_ = false;
  bool has_begun_ = false;
  bool failed_ = false;
  JournalSummary summary_;
};

// Reads a journal that nobody has to be writing, without its lock. kNotFound; kInvalidData where it is none.
Result<JournalSummary> read_journal(FileSystem& files, const std::string& path,
                                    const std::function<Status(const RowRecord&)>& take_row);

}  // namespace batchwright

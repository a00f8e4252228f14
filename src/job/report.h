// What a run did: X.report.json, described in docs/formats/report.md.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "base/json_writer.h"
#include "batchwright/engine.h"
#include "journal/journal.h"

namespace batchwright {

struct JobReport {
  std::string outcome;  // "complete", "interrupted" or "failed"
  std::string error;    // of "failed"
  int64_t rows_total = 0;
  int64_t rows_ok = 0;
  int64_t rows_failed = 0;
  int64_t rows_resumed = 0;
  int64_t attempts = 1;
  int64_t prompt_tokens = 0;
  int64_t prompt_tokens_computed = 0;
  int64_t prompt_tokens_distinct = 0;  // 0: not known
  int64_t generated_tokens = 0;
  int64_t steps = 0;
  double steps_filled = 0;  // mean_fill's sum
  int64_t preemptions = 0;
  double seconds = 0;       // of running rows, without loading the model
  double seconds_load = 0;  // loading the model
  size_t peak_memory_bytes = 0;
  size_t kv_memory_bytes = 0;
  size_t kv_touched_bytes = 0;  // of it, in this run
  std::string isa;
  int threads = 0;
  std::string model;
  std::string model_hash;
  std::string limited_by;
  std::optional<double> cost_model_error;  // EngineStats'; none where no step was predicted
  // Fields of rows that mean nothing to this program, and in how many rows they stood.
  std::map<std::string, int64_t> ignored_fields;

  // Counts, and seconds, of earlier runs.
  void add(const JournalSummary& earlier);
};

// The mean over steps of the share of the token budget that each used; 0 where there was none.
inline double mean_fill(int64_t steps, double steps_filled) {
  return steps > 0 ? steps_filled / static_cast<double>(steps) : 0;
}

void append_report(JsonWriter& out, const JobReport& report);
// With line feeds, for people.
std::string report_text(const JobReport& report);

// Counts what each step was limited by; the report names the most frequent.
class LimitedBy {
 public:
  // idle_input: the engine had room, and the next row was not read yet; idle_rows: no rows were left to fill the room.
  void count_step(StepLimit limit, bool idle_input, bool idle_rows);
  std::string name() const;

 private:
  int64_t kv_memory_ = 0;
  int64_t max_batch_ = 0;
  int64_t max_batch_tokens_ = 0;
  int64_t reading_ = 0;
  int64_t rows_ = 0;
};

}  // namespace batchwright

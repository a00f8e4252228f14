// The stepping thread's part of a job: rows from the feeder to the engine, and from the engine to the writer.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "batchwright/engine.h"
#include "job/finished_answers.h"
#include "job/job.h"
#include "job/report.h"
#include "job/result_writer.h"
#include "job/row_feeder.h"
#include "job/time_left.h"
#include "schedule/answer_lengths.h"

namespace batchwright {

// For the progress.
struct RowCounts {
  int64_t total = 0;
  int64_t resumed_ok = 0;  // by earlier runs
  int64_t resumed_failed = 0;
};

class StepLoop {
 public:
  // How long rows that are under way may take to end once a stop is requested.
  static constexpr double kDrainSeconds = 10;

  // All references must outlive the loop.
  StepLoop(Engine& engine, RowFeeder& feeder, ResultWriter& writer, const JobEnvironment& environment,
           JobObserver* observer, const RowCounts& counts, Admission admission);

  // What is known of the answers before the first row.
  void learn(const std::vector<FinishedAnswer>& answers);

  // Until every row has been given to the writer (ok), or a stop was requested (kInterrupted), or the engine, the
  // reading or the writing failed; kResourceExhausted where memory ran out, after which the engine is of no use. Else
  // leaves nothing active in it.
  Status run();

  // Since the loop was made.
  EngineStats stats() const;
  std::string limited_by() const { return limited_by_.name(); }
  const std::map<std::string, int64_t>& ignored_fields() const { return ignored_fields_; }

 private:
  struct InFlight {
    RowName name;
    ResponseShape shape;
    int choices = 1;
    uint32_t answer_group = 0;
  };

  Status loop();
  void submit_rows();
  void accept(FedRow fed);
  Status step();
  void begin_drain();
  void cancel_all();
  void count_ignored(const std::vector<std::string>& names);
  void expect_tokens(Request& request, uint32_t group) const;
  void end(const InFlight& row, const Completion& completion);
  void report_progress();
  double seconds_left(double now);

  Engine& engine_;
  RowFeeder& feeder_;
  ResultWriter& writer_;
  const JobEnvironment& environment_;
  JobObserver* observer_;
  const RowCounts counts_;
  const Admission admission_;
  const int64_t requests_ahead_;
  const double start_seconds_;
  const EngineStats start_stats_;
  std::map<uint64_t, InFlight> in_flight_;  // by id: in order of submission
  uint64_t next_id_ = 1;
  bool draining_ = false;
  double drain_end_seconds_ = 0;
  bool idle_input_ = false;
  int64_t prompt_tokens_done_ = 0;
  int64_t prompt_tokens_done_computed_ = 0;
  LimitedBy limited_by_;
  AnswerLengths answer_lengths_;
  TimeLeft time_left_;
  double seconds_left_ = -1;
  double estimated_seconds_ = 0;  // by the clock, when that was
  std::map<std::string, int64_t> ignored_fields_;
};

}  // namespace batchwright

// How long a job will still take: the work that is left, at what its steps turn out to cost.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "batchwright/engine.h"
#include "job/answer_forecast.h"
#include "job/step_speed.h"
#include "job/work_ahead.h"
#include "schedule/cost_model.h"

namespace batchwright {

// Follows a job through its rows and steps. seconds() runs what is left through as few events as rows begin and end:
// as many rows at once as may run, prompts in what answers leave of a step's budget, each answer as long as answers of
// this job turn out to be (answer_forecast.h). Of long jobs only the end runs so, what stands before it passes as a
// steady stream. Not thread-safe.
class TimeLeft {
 public:
  // Rows that were not planned when they are needed are taken to be like those that were, or like those that began.
  TimeLeft(int64_t rows, int max_batch) : rows_(rows), max_batch_(max_batch) {}

  // An answer that ended before the first row begins.
  void learn(int generated, int tokens_max) { forecast_.ended(generated, generated >= tokens_max); }
  // All that is planned so far, in the order in which rows begin; empty: nothing is. Only more is ever added to it.
  void plan(std::vector<WorkSegment> segments) { planned_ = std::move(segments); }
  // Whether the row that begins next is not planned.
  bool wants_plan() const { return segment_ >= planned_.size(); }

  // Rows begin in the order of the plan, which knows better what of a row is to be computed. full_logits: its answers
  // need more of them than the largest.
  void begin(uint64_t id, RowLoad row, bool full_logits = false);
  void begin_wrong() { pass_row(); }  // one that gives an error without the engine
  // generated: of each choice; none for a row that failed.
  void end(uint64_t id, std::span<const int> generated);
  // The clock after a step.
  void stepped(const StepRecord& step, StepLimit limit, const CostModel* model, double clock_seconds);

  // Below 0: not known yet.
  double seconds();

 private:
  struct Row {
    RowLoad load;
    bool full_logits = false;
    int64_t started_step = -1;
  };
  // Choices that are alike, in means.
  struct Load {
    double choices = 0;
    double compute_tokens = 0;  // of each, as are the others
    double prompt_tokens = 0;
    double answer_tokens_max = 0;
  };
  class Course;

  int64_t pass_row();
  int start_rows(int64_t sequences);
  int64_t planned_tokens() const;
  double mean_age() const;
  std::vector<int64_t> ages() const;
  StepTokens composition(const StepRecord& step) const;
  std::vector<Load> ahead() const;
  double compute_share() const;
  double decode_share() const;

  const int64_t rows_;
  const int max_batch_;
  std::vector<WorkSegment> planned_;
  int64_t rows_begun_ = 0;
  size_t segment_ = 0;      // of planned_, in which the next row lies,
  int64_t passed_ = 0;      // and its rows that began
  WorkSegment begun_;       // sums of all that began
  int64_t begun_full_ = 0;  // choices with full_logits
  std::map<uint64_t, Row> in_flight_;
  AnswerForecast forecast_;
  StepSpeed speed_;

  // Sums over all steps, and over the rows that ended.
  int64_t steps_ = 0;
  int64_t generated_ = 0;
  int64_t decoded_ = 0;
  int64_t computed_ = 0;
  int64_t ended_rows_ = 0;
  int64_t ended_choices_ = 0;
  int64_t ended_generated_ = 0;
  int64_t ended_planned_ = 0;
  // Of all prompts that were computed in full when that was last known.
  int64_t known_computed_ = 0;
  int64_t known_planned_ = 0;
  int running_ = 0;
  int token_budget_ = 1;
  bool short_of_memory_ = false;
  double clock_ = -1;
  double between_steps_ = 0;  // from the end of a step to the next one's begin,
  double in_steps_ = 0;       // and from its begin to its end
};

}  // namespace batchwright

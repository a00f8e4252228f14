// What a step costs on a machine: seconds from plain counts, by curves that were measured there (engine/calibration.h).
//
//   seconds = factor * (fixed + layers(tokens) + stores * store + argmax(argmax_rows) + full(full_rows)
//             + pairs * pair + row_pages * row_page + page_visits * visit + rounds * round)
//
// The curves are linear between measured counts: few rows are bound by reading the weights, many by multiplying, and
// the kernels change between. Attention is counted where it happens, so that a page which a group of rows shares costs
// one visit, and each of its rows only the multiplying (as in Hydragen, Juravsky et al. 2024). The file form is
// described in docs/formats/cost-model.md.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "step/step.h"

namespace batchwright {

// What must be known of a model to count a step's work.
struct WorkShape {
  struct Class {
    int window = 0;  // positions that a query sees; 0: all
    int layers = 1;
    friend bool operator==(const Class&, const Class&) = default;
  };
  std::vector<Class> classes;  // of Step::classes, in that order
  int kv_heads = 1;
  int rows_per_item = 1;  // rows of a group that one worker takes at once, for one KV head
  int threads = 1;
  friend bool operator==(const WorkShape&, const WorkShape&) = default;
};

// The work of one step. Counts of attention are those of all layers together, as if work were divided evenly: where the
// largest piece keeps one worker longer than that, they count what the others wait.
struct StepWork {
  double tokens = 0;       // rows of the step
  double stores = 0;       // pages that take K and V of a run
  double argmax_rows = 0;  // rows of logits of which the argmax is enough
  double full_rows = 0;    // whole rows of logits
  double pairs = 0;        // a row and a position that it sees
  double row_pages = 0;    // a row and a page of which it sees something
  double page_visits = 0;  // a page and a group of rows that sees it
  double rounds = 0;       // levels of groups, which wait for each other

  friend bool operator==(const StepWork&, const StepWork&) = default;
};

StepWork step_work(const Step& step, const WorkShape& shape);

// Seconds by count: 0 at 0, linear between the points, and beyond the last as from the last but one to the last.
class CostCurve {
 public:
  struct Point {
    double count = 0;
    double seconds = 0;
    friend bool operator==(const Point&, const Point&) = default;
  };

  CostCurve() = default;
  // Points of ascending positive counts, and of seconds that are finite and not negative. What disturbs a measurement
  // makes it longer, never shorter; so where more costs less, the less is taken for both, and the curve never falls.
  explicit CostCurve(std::vector<Point> points);
  static bool valid(std::span<const Point> points);

  double at(double count) const;
  std::span<const Point> points() const { return points_; }

  friend bool operator==(const CostCurve&, const CostCurve&) = default;

 private:
  std::vector<Point> points_;
};

// Values of one machine, model and version. Immutable: thread-safe.
struct CostModel {
  WorkShape shape;
  double factor = 1;  // by which steps of whole jobs turned out to be longer than those that were measured
  double fixed_seconds = 0;
  CostCurve layers;
  CostCurve argmax;
  CostCurve full;
  double store_seconds = 0;
  double pair_seconds = 0;
  double row_page_seconds = 0;
  double visit_seconds = 0;
  double round_seconds = 0;

  double seconds(const StepWork& work) const;
  double seconds(const Step& step) const { return seconds(step_work(step, shape)); }

  // A token more of a step of that size, attention and logits apart: the time of all divided by them.
  double seconds_a_token(int tokens) const;

  // The fewest tokens of a step that cost, each, at most kKneeExcess more than in the best step up to tokens_max: below
  // the knee of the curve more batch pays.
  static constexpr double kKneeExcess = 0.15;
  int knee(int tokens_max) const;
  // The same for kBudgetExcess, in whole pages where it is more than one: a step of more tokens gains nothing worth its
  // memory.
  static constexpr double kBudgetExcess = 0.015;
  int token_budget(int tokens_max) const;

  friend bool operator==(const CostModel&, const CostModel&) = default;
};

// One JSON object. `key` names what the values are of; it is compared in full by the reader.
std::string to_json(const CostModel& model, std::string_view key);
// Nothing where the text is not such an object, is damaged, of another version of the form, or of another key.
std::optional<CostModel> read_cost_model(std::string_view text, std::string_view key);

// How well a model does: predictions against the truth. One factor for all that is predicted follows, over the last few
// steps, what the model cannot know - other programs on the machine, a processor that slows down when it is hot.
class CostCheck {
 public:
  // What is to be expected where the model says `seconds`.
  double corrected(double seconds) const { return seconds * factor_; }
  // The step took `seconds`, where the model had said `predicted` (not corrected). Steps that took no time are ignored.
  void record(double predicted, double seconds);

  int64_t steps() const { return steps_; }
  // Of |corrected prediction / truth - 1| over all steps, to a thousandth; 0 before the first, at most 1.
  double median_error() const;
  double factor() const { return factor_; }
  // Of all steps.
  double seconds() const { return seconds_; }
  // What CostModel::factor becomes by them: those of kFollowSeconds weigh as much as what was known before.
  static constexpr double kFollowSeconds = 20;
  double followed(double factor) const;
  // After so many steps such a median means that the model is not of this machine as it is now: then something else
  // than the one factor has changed.
  static constexpr int64_t kDoubtSteps = 500;
  static constexpr double kDoubtError = 0.1;
  bool is_in_doubt() const { return steps_ >= kDoubtSteps && median_error() > kDoubtError; }

 private:
  static constexpr int kBins = 1000;
  std::vector<int64_t> bins_ = std::vector<int64_t>(kBins + 1);
  int64_t steps_ = 0;
  double seconds_ = 0;
  double predicted_ = 0;
  double factor_ = 1;
};

}  // namespace batchwright

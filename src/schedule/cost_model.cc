#include "schedule/cost_model.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/check.h"

namespace batchwright {
namespace {

// A step that some other program held up tells nothing about the next.
constexpr double kOutlier = 1.5;
constexpr double kFollow = 0.3;

struct Positions {
  int64_t begin;
  int64_t end;

  int64_t size() const { return std::max<int64_t>(0, end - begin); }
  int64_t pages() const { return size() == 0 ? 0 : (end - 1) / kPagePositions - begin / kPagePositions + 1; }
};

// Those of [begin, end) that a query at `position` sees.
Positions visible(int position, int window, int64_t begin, int64_t end) {
  const int64_t first = window > 0 ? int64_t{position} - window + 1 : 0;
  return {std::max(begin, first), std::min<int64_t>(end, int64_t{position} + 1)};
}

// Fewest tokens, of powers of two below `apart` and then of its multiples, whose cost each is at most `excess` above
// the best.
int cheapest(const CostModel& model, int tokens_max, int apart, double excess) {
  std::vector<int> sizes;
  for (int tokens = 1; tokens < apart && tokens <= tokens_max; tokens *= 2) sizes.push_back(tokens);
  for (int tokens = apart; tokens <= tokens_max; tokens += apart) sizes.push_back(tokens);
  double best = model.seconds_a_token(1);
  for (const int tokens : sizes) best = std::min(best, model.seconds_a_token(tokens));
  for (const int tokens : sizes) {
    if (model.seconds_a_token(tokens) <= best * (1 + excess)) return tokens;
  }
  return tokens_max;
}

struct AttentionCount {
  double total = 0;
  double largest = 0;  // of one piece of a worker

  void add(double work, double share) {
    total += work;
    largest = std::max(largest, work * share);
  }
  double spread_over(int threads) const { return std::max(total, largest * threads); }
};

}  // namespace

StepWork step_work(const Step& step, const WorkShape& shape) {
  BATCHWRIGHT_CHECK(step.classes.size() == shape.classes.size());
  StepWork work;
  work.tokens = step.rows();
  for (const LogitsRow& row : step.logits) (row.full ? work.full_rows : work.argmax_rows) += 1;
  for (const Run& run : step.runs) {
    work.stores += (run.first_position + run.count - 1) / kPagePositions - run.first_position / kPagePositions + 1;
  }
  for (size_t c = 0; c < step.classes.size(); ++c) {
    const WorkShape::Class& of_class = shape.classes[c];
    for (const std::vector<AttentionGroup>& level : step.classes[c].levels) {
      AttentionCount pairs;
      AttentionCount row_pages;
      AttentionCount visits;
      for (const AttentionGroup& group : level) {
        const int64_t begin = int64_t{group.first_block} * kPagePositions;
        const int64_t end = begin + static_cast<int64_t>(group.pages.size()) * kPagePositions;
        int64_t seen = 0;
        int64_t pages = 0;
        for (const int32_t row : group.rows) {
          const int position = step.positions[static_cast<size_t>(row)];
          const Positions of_row = visible(position, of_class.window, begin, end);
          seen += of_row.size();
          pages += of_row.pages();
        }
        const double rows = static_cast<double>(group.rows.size());
        const double share = std::min(1.0, shape.rows_per_item / rows) / shape.kv_heads;
        pairs.add(static_cast<double>(seen), share);
        row_pages.add(static_cast<double>(pages), share);
        visits.add(static_cast<double>(group.pages.size()), share);
      }
      work.pairs += of_class.layers * pairs.spread_over(shape.threads);
      work.row_pages += of_class.layers * row_pages.spread_over(shape.threads);
      work.page_visits += of_class.layers * visits.spread_over(shape.threads);
      work.rounds += of_class.layers;
    }
  }
  return work;
}

bool CostCurve::valid(std::span<const Point> points) {
  double count = 0;
  for (const Point& point : points) {
    if (!(point.count > count) || !std::isfinite(point.count)) return false;
    if (!(point.seconds >= 0) || !std::isfinite(point.seconds)) return false;
    count = point.count;
  }
  return true;
}

CostCurve::CostCurve(std::vector<Point> points) : points_(std::move(points)) {
  BATCHWRIGHT_CHECK(valid(points_));
  for (size_t i = points_.size(); i-- > 1;) {
    points_[i - 1].seconds = std::min(points_[i - 1].seconds, points_[i].seconds);
  }
}

double CostCurve::at(double count) const {
  if (points_.empty() || count <= 0) return 0;
  const auto above = std::find_if(points_.begin(), points_.end(), [&](const Point& p) { return p.count >= count; });
  Point from;
  Point to = points_.front();
  if (above == points_.end()) {
    if (points_.size() > 1) from = points_[points_.size() - 2];
    to = points_.back();
  } else if (above != points_.begin()) {
    from = *(above - 1);
    to = *above;
  } else {
    // What the first point costs is mostly there for the first row.
    return to.seconds;
  }
  return from.seconds + (to.seconds - from.seconds) * (count - from.count) / (to.count - from.count);
}

double CostModel::seconds(const StepWork& work) const {
  return factor * (fixed_seconds + layers.at(work.tokens) + work.stores * store_seconds + argmax.at(work.argmax_rows) +
                   full.at(work.full_rows) + work.pairs * pair_seconds + work.row_pages * row_page_seconds +
                   work.page_visits * visit_seconds + work.rounds * round_seconds);
}

double CostModel::seconds_a_token(int tokens) const { return factor * (fixed_seconds + layers.at(tokens)) / tokens; }

int CostModel::knee(int tokens_max) const { return cheapest(*this, tokens_max, 8, kKneeExcess); }

int CostModel::token_budget(int tokens_max) const { return cheapest(*this, tokens_max, kPagePositions, kBudgetExcess); }

void CostCheck::record(double predicted, double seconds) {
  if (!(predicted > 0) || !(seconds > 0)) return;
  const double error = std::min(1.0, std::abs(corrected(predicted) / seconds - 1));
  ++bins_[static_cast<size_t>(error * kBins)];
  ++steps_;
  seconds_ += seconds;
  predicted_ += predicted;
  const double ratio = std::clamp(seconds / corrected(predicted), 1 / kOutlier, kOutlier);
  factor_ *= std::pow(ratio, kFollow);
}

double CostCheck::followed(double factor) const {
  if (!(predicted_ > 0)) return factor;
  return factor * std::pow(seconds_ / predicted_, seconds_ / (seconds_ + kFollowSeconds));
}

double CostCheck::median_error() const {
  int64_t before = 0;
  for (int bin = 0; bin <= kBins; ++bin) {
    before += bins_[static_cast<size_t>(bin)];
    if (before > 0 && 2 * before >= steps_) return std::min(1.0, (bin + 0.5) / kBins);
  }
  return 0;
}

}  // namespace batchwright

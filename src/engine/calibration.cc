#include "engine/calibration.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <initializer_list>
#include <limits>
#include <map>
#include <string_view>
#include <vector>

#include "base/hash.h"
#include "base/status_macros.h"
#include "batchwright/version.h"
#include "engine/synthetic_step.h"
#include "platform/cpu.h"

namespace batchwright {
namespace {

using Clock = std::chrono::steady_clock;

constexpr uint64_t kFileBytesMax = 1 << 20;
// Once each was measured twice, no longer than this.
constexpr double kEnoughSeconds = 1.5;
constexpr int kRepeatMax = 9;
constexpr int kBlocksMax = 64;
// From so many tokens on a step costs no more than several of fewer, but at least so many: weights are read for each,
// and the products of all are of one kind.
constexpr double kLargeStep = 64;

double seconds_since(Clock::time_point begin) { return std::chrono::duration<double>(Clock::now() - begin).count(); }

// Where the time of a step went.
struct StepTimes {
  double layers = 0;
  double attention = 0;
  double logits = 0;
  double rest = 0;  // outside of the stages

  double total() const { return layers + attention + logits + rest; }
  void keep_least(const StepTimes& other) {
    for (double StepTimes::*const part :
         {&StepTimes::layers, &StepTimes::attention, &StepTimes::logits, &StepTimes::rest}) {
      this->*part = std::min(this->*part, other.*part);
    }
  }
};

StepTimes stage_times(const Model& model) {
  StepTimes times;
  for (const StageCost& stage : model.stage_costs()) {
    const std::string_view name = stage.name;
    const bool of_logits = name == "final norm" || name == "argmax" || name == "full logits";
    (of_logits ? times.logits : name == "attention" ? times.attention : times.layers) += stage.seconds;
  }
  return times;
}

struct Measurement {
  enum class Of { kTokens, kFullRows, kStores, kAttention } of;
  SyntheticShape shape;
  StepWork work = {};
  StepTimes least = {};
  std::vector<double> layers = {};  // each time

  bool measured() const { return !layers.empty(); }
  void add(const StepTimes& times) {
    if (!measured()) least = times;
    least.keep_least(times);
    layers.push_back(times.layers);
  }
};

// By how much the second shortest time was longer than the shortest, of steps with as many tokens, as the median.
double median_spread(const std::vector<Measurement>& all) {
  std::map<double, std::vector<double>> by_tokens;
  for (const Measurement& m : all) {
    std::vector<double>& times = by_tokens[m.work.tokens];
    times.insert(times.end(), m.layers.begin(), m.layers.end());
  }
  std::vector<double> spreads;
  for (auto& [tokens, times] : by_tokens) {
    if (times.size() < 2) continue;
    std::partial_sort(times.begin(), times.begin() + 2, times.end());
    spreads.push_back(times[1] / times[0] - 1);
  }
  if (spreads.empty()) return 1;
  const auto middle = spreads.begin() + static_cast<ptrdiff_t>(spreads.size() / 2);
  std::nth_element(spreads.begin(), middle, spreads.end());
  return *middle;
}

// What is measured, of all kinds the small ones first.
std::vector<Measurement> plan_measurements(const CalibrationLimits& limits, int blocks) {
  using Of = Measurement::Of;
  std::vector<Measurement> all;
  const int tokens_max = std::min(limits.max_tokens, blocks * kPagePositions);
  const int positions = std::min(limits.context_length, 1024) / kPagePositions * kPagePositions;
  const auto add_tokens = [&](int tokens) {
    if (tokens > tokens_max) return;
    const int runs = blocks_for(tokens);
    all.push_back({Of::kTokens, {runs, tokens / runs, 0, 0, tokens <= 256 ? tokens : 0, false}});
  };
  for (const int tokens : {1, 2, 4, 8, 16, 24, 32, 48, 64}) add_tokens(tokens);
  for (const int rows : {1, 4, 16, 17, 32, 33, 64}) {
    if (rows <= tokens_max) all.push_back({Of::kFullRows, {1, rows, 0, 0, rows, true}});
  }
  const int decodes = std::min(64, limits.max_tokens);
  all.push_back({Of::kStores, {decodes, 1, 0, 0, 0, false}});
  // Rows that see pages of their own, each another one as far as there are enough, and rows that see the same.
  const auto add_attention = [&](int runs, int tokens_a_run, int pages, bool shared) {
    if (runs * tokens_a_run > decodes || pages * kPagePositions > positions) return;
    const int before = pages - 1;
    all.push_back({Of::kAttention, {runs, tokens_a_run, before * kPagePositions, shared ? before : 0, 0, false}});
  };
  const int pages_max = positions / kPagePositions;
  for (const int pages : {2, 4, 8}) add_attention(std::clamp(blocks / pages, 1, decodes), 1, pages, false);
  if (pages_max > 1) {
    add_attention(1, 1, pages_max, false);
    add_attention(decodes, 1, pages_max, true);
    add_attention(1, decodes, pages_max, true);
  }
  for (int tokens = 128; tokens < tokens_max; tokens *= 4) add_tokens(tokens);
  if (tokens_max > 64) add_tokens(tokens_max);
  return all;
}

class Bench {
 public:
  Bench(Model& model, PageCache& cache) : model_(model), cache_(cache) {}
  ~Bench() { cache_.release(table_); }
  Bench(const Bench&) = delete;
  Bench& operator=(const Bench&) = delete;

  // Blocks that the steps stand on.
  int take_pages() { return cache_.reserve(table_, kBlocksMax); }
  Step make(const SyntheticShape& shape) const {
    return make_synthetic_step(shape, cache_, table_, model_.shape().vocabulary);
  }
  StepTimes run(const Step& step) {
    const StepTimes before = stage_times(model_);
    const auto begin = Clock::now();
    // About what a sampler does with a row.
    std::atomic<float> sink{0};
    model_.forward(step, [&](int, int, std::span<float> logits) {
      float largest = logits[0];
      for (const float logit : logits) largest = std::max(largest, logit);
      sink.store(largest, std::memory_order_relaxed);
    });
    const double seconds = seconds_since(begin);
    const StepTimes after = stage_times(model_);
    StepTimes times{after.layers - before.layers, after.attention - before.attention, after.logits - before.logits, 0};
    times.rest = std::max(0.0, seconds - times.total());
    return times;
  }

 private:
  Model& model_;
  PageCache& cache_;
  BlockTable table_;
};

// The x >= 0 that makes the sum of ((row * x - y) / unit)^2 small: least squares, where what comes out negative is left
// out.
template <size_t N>
std::array<double, N> fit(const std::vector<std::array<double, N>>& rows, const std::vector<double>& y,
                          const std::vector<double>& unit) {
  std::array<bool, N> used{};
  used.fill(true);
  while (true) {
    double a[N][N + 1] = {};
    for (size_t r = 0; r < rows.size(); ++r) {
      if (!(unit[r] > 0)) continue;
      for (size_t i = 0; i < N; ++i) {
        if (!used[i]) continue;
        for (size_t j = 0; j < N; ++j) a[i][j] += used[j] ? rows[r][i] * rows[r][j] / (unit[r] * unit[r]) : 0;
        a[i][N] += rows[r][i] * y[r] / (unit[r] * unit[r]);
      }
    }
    // Gauss and Jordan, each pivot the largest that is left: features differ by orders of magnitude, so by the
    // diagonal.
    std::array<double, N> scale{};
    for (size_t i = 0; i < N; ++i) scale[i] = a[i][i] > 0 ? std::sqrt(a[i][i]) : 0;
    for (size_t i = 0; i < N; ++i) {
      for (size_t j = 0; j < N; ++j) a[i][j] = scale[i] > 0 && scale[j] > 0 ? a[i][j] / scale[i] / scale[j] : 0;
      a[i][N] = scale[i] > 0 ? a[i][N] / scale[i] : 0;
    }
    std::array<double, N> x{};
    for (size_t i = 0; i < N; ++i) {
      // What the features before it explain already.
      if (a[i][i] < 1e-9) {
        used[i] = false;
        continue;
      }
      for (size_t k = 0; k < N; ++k) {
        if (k == i) continue;
        const double factor = a[k][i] / a[i][i];
        for (size_t j = i; j <= N; ++j) a[k][j] -= factor * a[i][j];
      }
    }
    size_t worst = N;
    for (size_t i = 0; i < N; ++i) {
      x[i] = used[i] && scale[i] > 0 ? a[i][N] / a[i][i] / scale[i] : 0;
      if (x[i] < 0 && (worst == N || x[i] * scale[i] < x[worst] * scale[worst])) worst = i;
    }
    if (worst == N) return x;
    used[worst] = false;
  }
}

// Of the steps measured that are of these kinds, the least of `part` by `count`.
CostCurve curve(const std::vector<Measurement>& all, std::initializer_list<Measurement::Of> kinds,
                double StepTimes::*part, double StepWork::*count) {
  std::map<double, double> least;
  for (const Measurement& m : all) {
    const bool is_of_kind = std::find(kinds.begin(), kinds.end(), m.of) != kinds.end();
    if (!is_of_kind || !m.measured() || !(m.work.*count > 0)) continue;
    const auto [point, is_new] = least.emplace(m.work.*count, m.least.*part);
    if (!is_new) point->second = std::min(point->second, m.least.*part);
  }
  std::vector<CostCurve::Point> points;
  double best_each = std::numeric_limits<double>::infinity();  // of large steps
  for (auto [at, seconds] : least) {
    if (at >= kLargeStep) {
      seconds = std::min(seconds, best_each * at);
      best_each = seconds / at;
    }
    points.push_back({at, seconds});
  }
  return CostCurve(std::move(points));
}

CostModel fit_model(const std::vector<Measurement>& all, WorkShape shape) {
  CostModel model;
  model.shape = std::move(shape);
  model.fixed_seconds = std::numeric_limits<double>::infinity();
  for (const Measurement& m : all) {
    if (m.measured()) model.fixed_seconds = std::min(model.fixed_seconds, m.least.rest);
  }
  using Of = Measurement::Of;
  model.layers = curve(all, {Of::kTokens, Of::kFullRows}, &StepTimes::layers, &StepWork::tokens);
  model.argmax = curve(all, {Of::kTokens}, &StepTimes::logits, &StepWork::argmax_rows);
  model.full = curve(all, {Of::kFullRows}, &StepTimes::logits, &StepWork::full_rows);
  std::vector<std::array<double, 4>> rows;
  std::vector<double> seconds;
  std::vector<double> of_step;
  for (const Measurement& m : all) {
    if (!m.measured()) continue;
    rows.push_back({m.work.pairs, m.work.row_pages, m.work.page_visits, m.work.rounds});
    seconds.push_back(m.least.attention);
    of_step.push_back(m.least.total());
    if (m.of != Of::kStores) continue;
    // The runs of the curve's steps stored too, hardly: most of a page each.
    const double more = m.least.layers - model.layers.at(m.work.tokens);
    model.store_seconds = std::max(0.0, more / m.work.stores);
  }
  const std::array<double, 4> attention = fit(rows, seconds, of_step);
  model.pair_seconds = attention[0];
  model.row_page_seconds = attention[1];
  model.visit_seconds = attention[2];
  model.round_seconds = attention[3];
  return model;
}

WorkShape work_shape(const ModelShape& shape, int threads) {
  WorkShape work;
  for (const PageClass& page_class : page_classes(shape)) {
    work.classes.push_back({page_class.window, static_cast<int>(page_class.layers.size())});
  }
  work.kv_heads = shape.kv_heads;
  work.rows_per_item = attention_rows_per_item(shape);
  work.threads = threads;
  return work;
}

}  // namespace

Result<Calibration> measure_cost_model(Model& model, PageCache& cache, const CalibrationLimits& limits) {
  const auto begin = Clock::now();
  const int64_t preemptions_before = preemptions();
  Bench bench(model, cache);
  const int blocks = bench.take_pages();
  if (blocks == 0) return resource_exhausted("no KV page is free to measure the model's speed with");
  const WorkShape shape = work_shape(model.shape(), limits.threads);
  std::vector<Measurement> all = plan_measurements(limits, blocks);
  std::vector<Step> steps;
  for (Measurement& m : all) m.work = step_work(steps.emplace_back(bench.make(m.shape)), shape);
  bench.run(bench.make({.runs = std::min(blocks, limits.max_tokens)}));  // touches weights and pages
  for (int lap = 0; lap < kRepeatMax; ++lap) {
    for (size_t i = 0; i < all.size(); ++i) {
      Measurement& m = all[i];
      // The next of its kind takes at most in proportion to the last.
      const double likely = m.measured() ? m.least.total()
                            : i > 0 ? all[i - 1].least.total() * std::max(1.0, m.work.tokens / all[i - 1].work.tokens)
                                    : 0;
      if (i > 0 && seconds_since(begin) + likely > limits.seconds) continue;
      m.add(bench.run(steps[i]));
    }
    if (lap > 0 && seconds_since(begin) > kEnoughSeconds) break;
  }
  const auto taken_away = static_cast<double>(preemptions() - preemptions_before);
  return Calibration{fit_model(all, shape), median_spread(all), taken_away / seconds_since(begin) / limits.threads};
}

Result<double> measure_token_seconds(Model& model, PageCache& cache, const CalibrationLimits& limits) {
  Bench bench(model, cache);
  if (bench.take_pages() == 0) return resource_exhausted("no KV page is free to measure the model's speed with");
  const int tokens = std::min({kPagePositions, limits.max_tokens, limits.context_length});
  bench.run(bench.make({.tokens_a_run = std::min(tokens, 8)}));
  return bench.run(bench.make({.tokens_a_run = tokens})).total() / tokens;
}

std::string calibration_key(const std::string& processor, const std::string& isa, int threads,
                            const std::string& model_hash, KvFormat kv_format) {
  return fmt::format("{}; {}; {} threads; model {}; kv {}; numerics {}; batchwright {}", processor, isa, threads,
                     model_hash, kv_format == KvFormat::kF16 ? "f16" : "f32", kNumericsVersion, kVersion);
}

std::string CalibrationStore::path(const std::string& key) const {
  return fmt::format("{}/cost-{}.json", folder_, hash128(key).hex());
}

std::optional<CostModel> CalibrationStore::load(const std::string& key) const {
  if (folder_.empty()) return std::nullopt;
  const auto text = read_whole_file(files_, path(key), kFileBytesMax);
  if (!text.ok()) return std::nullopt;
  return read_cost_model(*text, key);
}

Status CalibrationStore::save(const std::string& key, const CostModel& model) const {
  if (folder_.empty()) return {};
  BATCHWRIGHT_RETURN_IF_ERROR(files_.make_folder(folder_));
  return write_file_atomically(files_, path(key), to_json(model, key));
}

Status CalibrationStore::remove(const std::string& key) const {
  if (folder_.empty()) return {};
  const Status status = files_.remove(path(key));
  return status.code() == StatusCode::kNotFound ? Status() : status;
}

std::string default_cache_folder() {
  constexpr std::array<std::pair<const char*, const char*>, 3> kPlaces = {
      {{"BATCHWRIGHT_CACHE", ""}, {"XDG_CACHE_HOME", "/batchwright"}, {"HOME", "/.cache/batchwright"}}};
  for (const auto& [variable, below] : kPlaces) {
    const char* value = std::getenv(variable);
    if (value != nullptr && *value != '\0') return std::string(value) + below;
  }
  return "";
}

}  // namespace batchwright

#include "job/step_speed.h"

#include <algorithm>
#include <cmath>

namespace batchwright {
namespace {

// Without a cost model the fixed part of a step, in tokens.
constexpr double kFixedTokens = 16;
// Standard deviations, relative to the factors. Of what a cost model says before the first step: of all its steps, and
// of a kind alone.
constexpr double kModelCommon = 1;
constexpr double kModelOwn = 0.05;
// Of tokens that nothing but a step of the other kind is known of.
constexpr double kUnknownOwn = 0.3;
// By which the factors move in a second: in common - other programs come and go - and alone. With the noise below, what
// counts are the last eight seconds or so.
constexpr double kMovesCommon = 0.0025;
constexpr double kMovesOwn = 0.0015;
// The first steps take longer, as memory is used for the first time, by more or less: they tell the kinds not apart.
constexpr double kWarmUpSeconds = 2;
// Of a second of steps. A step that is further off than so many deviations of all is believed less.
constexpr double kNoise = 0.02;
constexpr double kOutlier = 3;

double square(double x) { return x * x; }

// Positions that a query sees, as the mean over queries that are spread over `span` positions around `position`.
double mean_seen(const WorkShape::Class& of_class, double position, double span) {
  const double window = of_class.window;
  const double begin = position - span / 2;
  const double end = position + span / 2;
  if (window == 0 || end <= window) return position;
  if (begin >= window) return window;
  return ((square(window) - square(begin)) / 2 + window * (end - window)) / span;
}

StepWork work_of(const StepTokens& step, const WorkShape& shape) {
  StepWork work;
  work.tokens = step.all();
  work.stores = step.decode + step.prompt / kPagePositions;
  work.full_rows = step.decode_full;
  work.argmax_rows = step.decode - step.decode_full;
  for (const WorkShape::Class& of_class : shape.classes) {
    const double of_prompts = mean_seen(of_class, step.prompt_position, step.prompt_span);
    const double of_answers = mean_seen(of_class, step.decode_position, 0);
    const double pairs = step.prompt * of_prompts + step.decode * of_answers;
    work.pairs += of_class.layers * pairs;
    work.row_pages += of_class.layers * (pairs / kPagePositions + step.all() / 2);
    // A run of a prompt reads a page once for all its rows.
    const double visits =
        std::min(step.prompt / kPagePositions, 8.0) * of_prompts + step.decode * std::min(of_answers, step.decode_own);
    // The last page of an answer is full by half.
    work.page_visits += of_class.layers * (visits / kPagePositions + step.decode / 2);
    work.rounds += of_class.layers;
  }
  return work;
}

}  // namespace

void StepSpeed::set_model(const CostModel* model) {
  if ((model == nullptr) != (model_ == nullptr)) knows_ = false;
  model_ = model;
  if (!knows_ && model != nullptr) begin(1, kModelCommon, kModelOwn);
}

double StepSpeed::shape(const StepTokens& step) const {
  return model_ != nullptr ? model_->seconds(work_of(step, model_->shape)) : kFixedTokens + step.all();
}

// What both kinds would cost alone, in proportion.
StepSpeed::Parts StepSpeed::parts(const StepTokens& step) const {
  const double all = shape(step);
  if (!(step.decode > 0)) return {all, 0};
  if (!(step.prompt > 0)) return {0, all};
  const double prompt = shape({step.prompt, 0, 0, 0, step.prompt_position, step.prompt_span, 0});
  const double decode = shape({0, step.decode, step.decode_full, step.decode_own, 0, 0, step.decode_position});
  return {all * prompt / (prompt + decode), all * decode / (prompt + decode)};
}

void StepSpeed::begin(double factor, double common, double own) {
  knows_ = true;
  factor_ = {factor, factor};
  covariance_ = square(factor * common);
  prompt_variance_ = decode_variance_ = covariance_ + square(factor * own);
}

void StepSpeed::let_pass(double seconds) {
  const double common = square(kMovesCommon) * seconds;
  const double own = square(kMovesOwn) * seconds;
  covariance_ += common * factor_.prompt * factor_.decode;
  prompt_variance_ += (common + own) * square(factor_.prompt);
  decode_variance_ += (common + own) * square(factor_.decode);
}

void StepSpeed::record(const StepTokens& step, double seconds) {
  if (!(step.all() > 0) || !(seconds > 0)) return;
  const Parts part = parts(step);
  if (!knows_) begin(seconds / (part.prompt + part.decode), kModelCommon, kUnknownOwn);
  let_pass(seconds);
  recorded_ += seconds;
  const double prompt_own = recorded_ < kWarmUpSeconds ? 0 : prompt_variance_ - covariance_;
  const double decode_own = recorded_ < kWarmUpSeconds ? 0 : decode_variance_ - covariance_;
  const double common = covariance_ * (part.prompt + part.decode);
  const double to_prompt = common + prompt_own * part.prompt;
  const double to_decode = common + decode_own * part.decode;
  const double error = seconds - factor_.prompt * part.prompt - factor_.decode * part.decode;
  const double variance = part.prompt * to_prompt + part.decode * to_decode + square(kNoise) * seconds;
  const double believed = std::max(variance, square(error / kOutlier));
  factor_.prompt = std::max(factor_.prompt + to_prompt / believed * error, factor_.prompt / 2);
  factor_.decode = std::max(factor_.decode + to_decode / believed * error, factor_.decode / 2);
  prompt_variance_ -= square(to_prompt) / believed;
  decode_variance_ -= square(to_decode) / believed;
  covariance_ -= to_prompt * to_decode / believed;
}

double StepSpeed::seconds(const StepTokens& step) const {
  if (!(step.all() > 0)) return 0;
  const Parts part = parts(step);
  return factor_.prompt * part.prompt + factor_.decode * part.decode;
}

}  // namespace batchwright

#include "decode/sampler.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cfloat>
#include <cmath>
#include <cstddef>
#include <limits>

#include "base/check.h"
#include "base/status_macros.h"
#include "decode/counter_rng.h"
#include "decode/logprobs.h"
#include "decode/row_check.h"
#include "decode/sorted_candidates.h"
#include "kernels/math/math.h"

namespace batchwright {
namespace {

constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();

// What a token is drawn from: scaled logits of the whole vocabulary or, where `ids` is not empty, of these tokens
// alone, ids ascending. Both give the bits of the whole row with -inf for the others.
struct Pool {
  std::span<const float> scaled;
  std::span<const TokenId> ids;
  const RowKernels& kernels;

  TokenId token(size_t i) const { return ids.empty() ? static_cast<TokenId>(i) : ids[i]; }

  // The end of the piece of 4,096 ids that begins with the i-th token.
  size_t piece_end(size_t i) const {
    if (ids.empty()) return std::min(i + kReductionPiece, scaled.size());
    const auto bound = static_cast<TokenId>((ids[i] / kReductionPiece + 1) * kReductionPiece);
    return static_cast<size_t>(std::lower_bound(ids.begin() + static_cast<ptrdiff_t>(i), ids.end(), bound) -
                               ids.begin());
  }

  double piece_sum(size_t begin, size_t end) const {
    if (ids.empty()) {
      return static_cast<double>(kernels.sum_exp(scaled.data() + begin, 0.0F, static_cast<int64_t>(end - begin)));
    }
    // RowKernels::sum_exp by its contract, without the zeros of the tokens that are not there.
    std::array<float, 16> lanes{};
    for (size_t i = begin; i < end; ++i) lanes[static_cast<size_t>(ids[i]) % lanes.size()] += exp_f32(scaled[i]);
    for (size_t width = lanes.size() / 2; width > 0; width /= 2) {
      for (size_t lane = 0; lane < width; ++lane) lanes[lane] += lanes[lane + width];
    }
    return static_cast<double>(lanes[0]);
  }
};

double total_weight(const Pool& pool) {
  double total = 0;
  for (size_t begin = 0, end = 0; begin < pool.scaled.size(); begin = end) {
    end = pool.piece_end(begin);
    total += pool.piece_sum(begin, end);
  }
  return total;
}

TokenId draw_by_ids(const Pool& pool, double u, SamplerScratch& scratch) {
  std::vector<size_t>& bounds = scratch.pieces;      // of the pieces, the last one's end included
  std::vector<double>& before = scratch.cumulative;  // the cumulative sums before each piece, and the total
  bounds.assign(1, 0);
  before.assign(1, 0.0);
  while (bounds.back() < pool.scaled.size()) {
    const size_t begin = bounds.back();
    bounds.push_back(pool.piece_end(begin));
    before.push_back(before.back() + pool.piece_sum(begin, bounds.back()));
  }
  const double target = u * before.back();
  const auto after = std::upper_bound(before.begin() + 1, before.end(), target);
  const auto piece = static_cast<size_t>(after - before.begin()) - 1;

  double cumulative = before[piece];
  size_t last = bounds[piece];
  for (size_t i = bounds[piece]; i < bounds[piece + 1]; ++i) {
    const float weight = exp_f32(pool.scaled[i]);
    if (weight == 0.0F) continue;
    last = i;
    cumulative += static_cast<double>(weight);
    if (cumulative > target) break;
  }
  return pool.token(last);
}

Status nothing_left() { return invalid_data("no token is left to choose from: all have probability 0"); }

// The cumulative weights of the candidates that the filters keep, in sorted order.
void keep_filtered(const SamplingParams& params, const Pool& pool, int vocabulary_size,
                   decode::SortedCandidates& candidates, std::vector<double>& cumulative) {
  const bool has_top_k = params.top_k > 0 && params.top_k < vocabulary_size;
  const bool has_top_p = params.top_p < 1.0F;
  const size_t count_max = has_top_k ? static_cast<size_t>(params.top_k) : pool.scaled.size();
  // Known before the walk where nothing is left out by top_k; else the walk goes on to the k-th and is cut afterwards.
  double top_p_target = std::numeric_limits<double>::infinity();
  if (has_top_p && !has_top_k) {
    top_p_target = static_cast<double>(params.top_p) * total_weight(pool);
    candidates.expect_weight(top_p_target);
  }

  size_t min_p_count = 0;  // candidates that min_p keeps: a prefix too, as weights descend
  double sum = 0;
  cumulative.clear();
  while (cumulative.size() < count_max && candidates.require(cumulative.size() + 1)) {
    const float weight = exp_f32(candidates.scaled_logit(cumulative.size()));
    // All that follow weigh nothing either: they change no sum and are never drawn.
    if (weight == 0.0F) break;
    if (weight >= params.min_p) {
      min_p_count = cumulative.size() + 1;
    } else if (!(has_top_k && has_top_p)) {
      break;
    }
    sum += static_cast<double>(weight);
    cumulative.push_back(sum);
    if (sum >= top_p_target) break;
  }
  size_t kept = min_p_count;
  if (has_top_k && has_top_p) {
    top_p_target = static_cast<double>(params.top_p) * sum;
    const auto reached = std::lower_bound(cumulative.begin(), cumulative.end(), top_p_target);
    kept = std::min(kept, static_cast<size_t>(reached - cumulative.begin()) + 1);
  }
  cumulative.resize(std::clamp<size_t>(kept, 1, cumulative.size()));
}

bool has_penalties(const SamplingParams& params) {
  return params.repetition_penalty != 1.0F || params.presence_penalty != 0.0F || params.frequency_penalty != 0.0F;
}

}  // namespace

bool sampling_needs_logits(const SamplingParams& params, int top_logprobs) {
  return params.temperature != 0.0F || top_logprobs >= 0 || has_penalties(params) || !params.logit_bias.empty();
}

Sampler::Sampler(const SamplingParams& params, int choice, std::span<const TokenId> prompt, int vocabulary_size,
                 int top_logprobs, const RowKernels& kernels)
    : params_(params),
      kernels_(&kernels),
      choice_(static_cast<uint32_t>(choice)),
      vocabulary_size_(vocabulary_size),
      top_logprobs_(top_logprobs),
      has_penalties_(has_penalties(params)) {
  if (params.repetition_penalty != 1.0F) {
    for (const TokenId token : prompt) seen_.try_emplace(token, 0);
  }
}

bool Sampler::changes_logits(std::span<const TokenId> suppressed) const {
  return has_penalties_ || !params_.logit_bias.empty() || !suppressed.empty();
}

bool Sampler::needs_logits(std::span<const TokenId> suppressed) const {
  return sampling_needs_logits(params_, top_logprobs_) || !suppressed.empty();
}

bool Sampler::is_filtered() const {
  return (params_.top_k > 0 && params_.top_k < vocabulary_size_) || params_.top_p < 1.0F || params_.min_p > 0.0F;
}

void Sampler::accept(TokenId token) {
  if (has_penalties_) ++seen_[token];
}

void Sampler::adjust_logits(std::span<float> logits, std::span<const TokenId> suppressed) const {
  const auto in_vocabulary = [&](TokenId token) { return token >= 0 && static_cast<size_t>(token) < logits.size(); };
  for (const TokenId token : suppressed) {
    if (in_vocabulary(token)) logits[static_cast<size_t>(token)] = kMinusInfinity;
  }
  for (const auto& [token, bias] : params_.logit_bias) {
    float& x = logits[static_cast<size_t>(token)];
    x = std::min(x + bias, FLT_MAX);
  }
  if (!has_penalties_) return;
  for (const auto& [token, count] : seen_) {
    if (!in_vocabulary(token)) continue;
    float& x = logits[static_cast<size_t>(token)];
    const float repetition = params_.repetition_penalty;
    x = std::min(x > 0.0F ? x / repetition : x * repetition, FLT_MAX);
    if (count == 0) continue;
    x = x - params_.frequency_penalty * static_cast<float>(count);
    x = std::min(x - params_.presence_penalty, FLT_MAX);
  }
}

Result<SampledToken> Sampler::sample(std::span<float> logits, int position, std::span<const TokenId> suppressed,
                                     SamplerScratch& scratch) const {
  BATCHWRIGHT_CHECK(logits.size() == static_cast<size_t>(vocabulary_size_));
  BATCHWRIGHT_RETURN_IF_ERROR(decode::check_logits(logits));
  const bool is_greedy = params_.temperature == 0.0F;
  std::span<const float> raw = logits;
  if (top_logprobs_ >= 0 && (changes_logits(suppressed) || !is_greedy)) {
    scratch.raw_logits.assign(logits.begin(), logits.end());
    raw = scratch.raw_logits;
  }

  adjust_logits(logits, suppressed);
  const ArgMax best = kernels_->argmax(logits.data(), static_cast<int64_t>(logits.size()));
  if (best.value == kMinusInfinity) return nothing_left();

  SampledToken result;
  if (is_greedy) {
    result.token = static_cast<TokenId>(best.index);
  } else {
    for (float& x : logits) x = (x - best.value) / params_.temperature;
    result.token = draw(logits, {}, position, scratch);
  }
  if (top_logprobs_ >= 0) {
    BATCHWRIGHT_ASSIGN_OR_RETURN(result.logprobs, token_logprobs(raw, result.token, top_logprobs_, *kernels_));
  }
  return result;
}

Result<SampledToken> Sampler::sample_among(std::span<const TokenId> allowed, std::span<float> logits, int position,
                                           SamplerScratch& scratch) const {
  BATCHWRIGHT_CHECK(!allowed.empty() && logits.size() == static_cast<size_t>(vocabulary_size_));
  BATCHWRIGHT_RETURN_IF_ERROR(decode::check_logits(logits));
  std::span<const float> raw = logits;
  if (top_logprobs_ >= 0 && changes_logits({})) {
    scratch.raw_logits.assign(logits.begin(), logits.end());
    raw = scratch.raw_logits;
  }

  SampledToken result{allowed.front(), std::nullopt};
  if (allowed.size() > 1) {
    adjust_logits(logits, {});
    std::vector<float>& own = scratch.allowed_logits;
    own.clear();
    for (const TokenId token : allowed) own.push_back(logits[static_cast<size_t>(token)]);
    const auto best = std::max_element(own.begin(), own.end());
    if (*best == kMinusInfinity) return nothing_left();
    if (params_.temperature == 0.0F) {
      result.token = allowed[static_cast<size_t>(best - own.begin())];
    } else {
      const float largest = *best;
      for (float& x : own) x = (x - largest) / params_.temperature;
      result.token = draw(own, allowed, position, scratch);
    }
  }
  if (top_logprobs_ >= 0) {
    BATCHWRIGHT_ASSIGN_OR_RETURN(result.logprobs, token_logprobs(raw, result.token, top_logprobs_, *kernels_));
  }
  return result;
}

// scaled: of the whole vocabulary or, where `ids` is not empty, of these tokens.
TokenId Sampler::draw(std::span<const float> scaled, std::span<const TokenId> ids, int position,
                      SamplerScratch& scratch) const {
  const Pool pool{scaled, ids, *kernels_};
  const double u = uniform_draw(params_.seed, choice_, static_cast<uint32_t>(position), 0);
  if (!is_filtered()) return draw_by_ids(pool, u, scratch);
  decode::SortedCandidates candidates(scaled, params_.top_k, scratch);
  keep_filtered(params_, pool, vocabulary_size_, candidates, scratch.cumulative);
  const double target = u * scratch.cumulative.back();
  const auto drawn = std::upper_bound(scratch.cumulative.begin(), scratch.cumulative.end(), target);
  return pool.token(static_cast<size_t>(candidates.token(static_cast<size_t>(drawn - scratch.cumulative.begin()))));
}

Result<SampledToken> Sampler::sample_argmax(const ArgMax& best, int position) const {
  if (!std::isfinite(best.value)) {
    return invalid_data(
        fmt::format("the model's largest logit at position {} is {}, not a finite number", position, best.value));
  }
  return SampledToken{static_cast<TokenId>(best.index), std::nullopt};
}

}  // namespace batchwright

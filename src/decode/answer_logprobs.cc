#include "decode/answer_logprobs.h"

#include <algorithm>
#include <limits>

#include "base/status_macros.h"
#include "decode/logprobs.h"
#include "kernels/math/math.h"

namespace batchwright {
namespace {

template <class Number>
constexpr Number kMinusInfinity = -std::numeric_limits<Number>::infinity();

float end_logprob(const LogNormaliser& normaliser, std::span<const float> logits, std::span<const TokenId> tokens) {
  const auto logprob = [&](TokenId token) { return normaliser.logprob(logits[static_cast<size_t>(token)]); };
  float largest = kMinusInfinity<float>;
  for (const TokenId token : tokens) largest = std::max(largest, logprob(token));
  if (largest == kMinusInfinity<float>) return largest;
  double sum = 0;
  for (const TokenId token : tokens) sum += static_cast<double>(exp_f32(logprob(token) - largest));
  return largest + log_f32(static_cast<float>(sum));
}

}  // namespace

AnswerScorer::AnswerScorer(const TokenTrie& trie, std::span<const TokenId> end_tokens, const RowKernels& kernels)
    : trie_(&trie), end_tokens_(end_tokens.begin(), end_tokens.end()), kernels_(&kernels) {
  logprobs_.resize(static_cast<size_t>(trie.size()));
  end_logprobs_.resize(trie.answers());
  find_paths();
}

void AnswerScorer::find_paths() {
  std::vector<uint8_t> owned(logprobs_.size());
  owned[TokenTrie::kRoot] = 1;
  // Children have higher numbers than parents: an inner node that nobody owns yet when its turn comes ends a path.
  for (TokenTrie::Node last = trie_->size() - 1; last > TokenTrie::kRoot; --last) {
    if (trie_->is_leaf(last) || owned[static_cast<size_t>(last)] != 0) continue;
    Path path{last, 0, 0};
    int own = 0;
    for (TokenTrie::Node node = last; node != TokenTrie::kRoot; node = trie_->parent(node), ++path.length) {
      own += owned[static_cast<size_t>(node)] == 0 ? 1 : 0;
      owned[static_cast<size_t>(node)] = 1;
    }
    path.owned_from = path.length - own + 1;
    paths_.push_back(path);
  }
}

Status AnswerScorer::score(TokenTrie::Node node, std::span<const float> logits) {
  BATCHWRIGHT_ASSIGN_OR_RETURN(const LogNormaliser normaliser, log_normaliser(logits, *kernels_));
  const std::span<const TokenId> tokens = trie_->continuations(node);
  for (size_t i = 0; i < tokens.size(); ++i) {
    const auto child = static_cast<size_t>(trie_->child(node, i));
    logprobs_[child] = normaliser.logprob(logits[static_cast<size_t>(tokens[i])]);
  }
  if (const int answer = trie_->answer(node); answer >= 0) {
    end_logprobs_[static_cast<size_t>(answer)] = end_logprob(normaliser, logits, end_tokens_);
  }
  return {};
}

Result<std::vector<AnswerLogprob>> AnswerScorer::result(std::span<const AllowedAnswer> answers) const {
  // Parents come before children, so each sum goes on where its beginning's ended.
  std::vector<double> sums(logprobs_.size());
  for (size_t node = 1; node < sums.size(); ++node) {
    const auto parent = static_cast<size_t>(trie_->parent(static_cast<TokenTrie::Node>(node)));
    sums[node] = sums[parent] + static_cast<double>(logprobs_[node]);
  }
  std::vector<double> whole;
  for (size_t i = 0; i < answers.size(); ++i) {
    whole.push_back(sums[static_cast<size_t>(trie_->node_of(i))] + static_cast<double>(end_logprobs_[i]));
  }
  const double largest = *std::max_element(whole.begin(), whole.end());
  if (largest == kMinusInfinity<double>) return invalid_data("every string has probability 0");

  std::vector<float> weights;
  double total = 0;
  for (const double logprob : whole) {
    weights.push_back(exp_f32(static_cast<float>(logprob - largest)));
    total += static_cast<double>(weights.back());
  }
  std::vector<AnswerLogprob> result;
  for (size_t i = 0; i < answers.size(); ++i) {
    result.push_back(
        {answers[i].text, static_cast<float>(whole[i]), static_cast<float>(static_cast<double>(weights[i]) / total)});
  }
  return result;
}

}  // namespace batchwright

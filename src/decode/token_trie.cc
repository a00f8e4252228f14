#include "decode/token_trie.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <string>
#include <string_view>

#include "base/check.h"
#include "base/utf8.h"

namespace batchwright {
namespace {

constexpr size_t kShownBytes = 60;

std::string shown(const std::string& text) {
  if (text.size() <= kShownBytes) return fmt::format("\"{}\"", text);
  const std::string_view cut = std::string_view(text).substr(0, kShownBytes);
  return fmt::format("\"{}\"...", cut.substr(0, valid_utf8_prefix(cut)));
}

}  // namespace

Result<TokenTrie> TokenTrie::create(std::span<const AllowedAnswer> answers) {
  if (answers.empty()) return invalid_argument("allowed_answers is empty; at least one string is needed");
  std::vector<int32_t> order(answers.size());
  std::iota(order.begin(), order.end(), 0);
  const auto tokens_of = [&](size_t place) -> const std::vector<TokenId>& {
    return answers[static_cast<size_t>(order[place])].tokens;
  };
  std::sort(order.begin(), order.end(), [&](int32_t a, int32_t b) {
    const auto& left = answers[static_cast<size_t>(a)].tokens;
    const auto& right = answers[static_cast<size_t>(b)].tokens;
    return left != right ? left < right : a < b;
  });

  // The answers, by their places after sorting, that begin with a node's path.
  struct Range {
    size_t begin;
    size_t end;
  };
  TokenTrie trie;
  trie.node_of_.resize(answers.size());
  std::vector<Range> ranges{{0, answers.size()}};
  std::vector<int32_t> depths{0};
  trie.tokens_.push_back(-1);
  trie.parent_.push_back(-1);
  trie.answer_.push_back(-1);
  for (Node node = kRoot; node < trie.size(); ++node) {
    trie.first_child_.push_back(trie.size());
    auto [begin, end] = ranges[static_cast<size_t>(node)];
    const auto depth = static_cast<size_t>(depths[static_cast<size_t>(node)]);
    trie.depth_ = static_cast<int>(depth);
    if (tokens_of(begin).size() == depth) {
      const auto answer = static_cast<size_t>(order[begin]);
      if (depth == 0) return invalid_argument(fmt::format("{} has no tokens", shown(answers[answer].text)));
      trie.answer_[static_cast<size_t>(node)] = order[begin];
      trie.node_of_[answer] = node;
      if (++begin < end && tokens_of(begin).size() == depth) {
        return invalid_argument(fmt::format("{} and {} have the same tokens", shown(answers[answer].text),
                                            shown(answers[static_cast<size_t>(order[begin])].text)));
      }
      if (begin < end) trie.has_prefixes_ = true;
    }
    while (begin < end) {
      const TokenId token = tokens_of(begin)[depth];
      const size_t first = begin;
      while (begin < end && tokens_of(begin)[depth] == token) ++begin;
      trie.tokens_.push_back(token);
      trie.parent_.push_back(node);
      trie.answer_.push_back(-1);
      ranges.push_back({first, begin});
      depths.push_back(static_cast<int32_t>(depth) + 1);
    }
  }
  return trie;
}

std::span<const TokenId> TokenTrie::continuations(Node node) const {
  const auto begin = static_cast<size_t>(first_child_[static_cast<size_t>(node)]);
  const auto end =
      node + 1 < size() ? static_cast<size_t>(first_child_[static_cast<size_t>(node) + 1]) : tokens_.size();
  return std::span(tokens_).subspan(begin, end - begin);
}

TokenTrie::Node TokenTrie::next(Node node, TokenId token) const {
  const std::span<const TokenId> all = continuations(node);
  const auto found = std::lower_bound(all.begin(), all.end(), token);
  BATCHWRIGHT_CHECK(found != all.end() && *found == token);
  return child(node, static_cast<size_t>(found - all.begin()));
}

std::vector<TokenId> TokenTrie::path(Node node) const {
  std::vector<TokenId> tokens;
  for (; node != kRoot; node = parent(node)) tokens.push_back(token(node));
  std::reverse(tokens.begin(), tokens.end());
  return tokens;
}

}  // namespace batchwright

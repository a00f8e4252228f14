// Strings of tokens as a tree: which tokens may follow what has been said so far.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "batchwright/request.h"
#include "batchwright/status.h"

namespace batchwright {

// The tree of the beginnings of a request's allowed answers. Immutable; thread-safe; shared by the request's choices.
class TokenTrie {
 public:
  using Node = int32_t;
  static constexpr Node kRoot = 0;

  // Memory is linear in the tokens (16 bytes for each), time too but for sorting the strings.
  // Fails (kInvalidArgument) where there is no string, one is empty, or two have the same tokens; these are named.
  static Result<TokenTrie> create(std::span<const AllowedAnswer> answers);

  int size() const { return static_cast<int>(tokens_.size()); }
  size_t answers() const { return node_of_.size(); }

  // The tokens that may follow, ascending: none at a leaf.
  std::span<const TokenId> continuations(Node node) const;
  // Where the i-th of the continuations leads. Parents have smaller numbers than children, siblings stand together.
  Node child(Node node, size_t i) const { return first_child_[static_cast<size_t>(node)] + static_cast<Node>(i); }
  // Where `token` leads. Precondition: it is one of the continuations.
  Node next(Node node, TokenId token) const;
  bool is_leaf(Node node) const { return continuations(node).empty(); }
  // The index of the answer that is whole here; -1: none.
  int answer(Node node) const { return answer_[static_cast<size_t>(node)]; }
  // The node where an answer is whole.
  Node node_of(size_t answer) const { return node_of_[answer]; }

  // Of any node but the root.
  Node parent(Node node) const { return parent_[static_cast<size_t>(node)]; }
  TokenId token(Node node) const { return tokens_[static_cast<size_t>(node)]; }
  // From the root to the node.
  std::vector<TokenId> path(Node node) const;

  // Tokens of the longest answer.
  int depth() const { return depth_; }
  // Whether some answer's tokens are the beginning of another's.
  bool has_prefixes() const { return has_prefixes_; }

 private:
  TokenTrie() = default;

  // By node, in order of depth.
  std::vector<TokenId> tokens_;
  std::vector<Node> parent_;
  std::vector<Node> first_child_;  // the children end where the next node's begin
  std::vector<int32_t> answer_;

  std::vector<Node> node_of_;  // by answer
  int depth_ = 0;
  bool has_prefixes_ = false;
};

}  // namespace batchwright

// The prompts of a whole job as one tree: with which whole pages of tokens several of them begin. Known before anything
// runs, as BatchLLM (Zheng et al. 2024) and BlendServe (Zhao et al. 2024) have it, but on tokens alone: no prompt is
// kept.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <span>
#include <vector>

#include "batchwright/request.h"
#include "step/step.h"

namespace batchwright {

// Pages of a prompt that other sequences can use: whole ones, without that of the last token, which is always computed
// for its logits.
inline uint32_t shareable_pages(size_t prompt_tokens) {
  return prompt_tokens == 0 ? 0 : static_cast<uint32_t>((prompt_tokens - 1) / kPagePositions);
}

// A run of pages with which the same rows begin, two at least.
struct PrefixNode {
  uint32_t parent = 0;
  uint32_t end_page = 0;  // pages from the beginning of the prompt up to and with the node's own
};

struct PrefixTree {
  // Parents stand before their children. The first is the root, its own parent: what all rows begin with, mostly no
  // page at all.
  std::vector<PrefixNode> nodes;
  std::vector<uint32_t> node_of_row;  // the deepest with whose pages the row begins
  int64_t distinct_pages = 0;         // shareable ones, those that only one row has among them
};

// Built a row at a time. Holds 4 bytes a row and at most 16 a distinct page, also while build() runs, beside the tree
// that it makes (4 bytes a row, 8 a node). Pages are told apart by 40 bits of hash among those with the same pages
// before them: of a million different ones behind one prefix, less than one is expected to be mistaken. Nothing but
// the order of rows comes from here, so that costs time, never bytes.
class PrefixTreeBuilder {
 public:
  PrefixTreeBuilder();

  // The next row's prompt; empty for one that shares nothing.
  void add(std::span<const TokenId> prompt);

  // The builder is spent.
  PrefixTree build();

  size_t rows() const { return end_of_row_.size(); }
  size_t memory_bytes() const;

 private:
  static constexpr uint32_t kEmpty = 0;  // of slots: the root is in none

  struct Page {
    uint32_t parent;
    uint64_t tag;
  };
  static size_t slot_of(const Page& page, size_t slots);
  bool is(uint32_t node, const Page& page) const;
  uint32_t find(const Page& page) const;
  uint32_t insert(const Page& page);
  void place(uint32_t node, const Page& page);
  void grow();
  std::vector<uint32_t> count_rows() const;

  // Of the nodes, one a distinct page. The tag is in two parts for the sake of memory.
  std::deque<uint32_t> parents_;
  std::deque<uint32_t> tags_;
  std::deque<uint8_t> tags_high_;
  std::vector<uint32_t> slots_;  // open addressing by (parent, tag), linear
  std::deque<uint32_t> end_of_row_;
};

}  // namespace batchwright

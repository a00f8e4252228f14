#include "schedule/job_order.h"

#include <algorithm>

#include "base/check.h"

namespace batchwright {
namespace {

struct Work {
  double prompt = 0;  // tokens to compute
  double answer = 0;

  // Of all tokens, those that are generated. What costs nothing goes before everything.
  float density() const { return prompt + answer > 0 ? static_cast<float>(answer / (prompt + answer)) : 2; }
};

// A node or a row, under a node.
struct Item {
  float density = 0;
  uint32_t first_row = 0;  // in the file: what ties are broken by
  uint32_t id = 0;
  bool is_node = false;

  bool operator<(const Item& other) const {
    if (density != other.density) return density > other.density;
    return first_row < other.first_row;
  }
};

struct NodeTotals {
  std::vector<Work> work;
  std::vector<uint32_t> first_row;
};

double own_prompt_tokens(const PrefixTree& tree, const RowWork& work, size_t row) {
  return work.prompt_tokens - double{kPagePositions} * tree.nodes[tree.node_of_row[row]].end_page;
}

NodeTotals total(const PrefixTree& tree, std::span<const RowWork> work) {
  NodeTotals totals{std::vector<Work>(tree.nodes.size()), std::vector<uint32_t>(tree.nodes.size(), UINT32_MAX)};
  for (size_t row = 0; row < work.size(); ++row) {
    const uint32_t node = tree.node_of_row[row];
    totals.work[node].prompt += own_prompt_tokens(tree, work[row], row);
    totals.work[node].answer += work[row].answer_tokens;
    totals.first_row[node] = std::min(totals.first_row[node], static_cast<uint32_t>(row));
  }
  for (size_t node = tree.nodes.size(); --node > 0;) {
    const PrefixNode& n = tree.nodes[node];
    totals.work[node].prompt += double{kPagePositions} * (n.end_page - tree.nodes[n.parent].end_page);
    totals.work[n.parent].prompt += totals.work[node].prompt;
    totals.work[n.parent].answer += totals.work[node].answer;
    totals.first_row[n.parent] = std::min(totals.first_row[n.parent], totals.first_row[node]);
  }
  return totals;
}

// The items of each node one behind the other, sorted; those of node n are [begin[n], begin[n + 1]).
struct Children {
  std::vector<uint32_t> begin;
  std::vector<Item> items;
};

Children sort_children(const PrefixTree& tree, std::span<const RowWork> work) {
  const NodeTotals totals = total(tree, work);
  Children children;
  children.begin.assign(tree.nodes.size() + 1, 0);
  for (size_t node = 1; node < tree.nodes.size(); ++node) ++children.begin[tree.nodes[node].parent + 1];
  for (const uint32_t node : tree.node_of_row) ++children.begin[node + 1];
  for (size_t node = 0; node < tree.nodes.size(); ++node) children.begin[node + 1] += children.begin[node];
  children.items.resize(children.begin.back());
  std::vector<uint32_t> end(children.begin.begin(), children.begin.end() - 1);
  for (size_t node = 1; node < tree.nodes.size(); ++node) {
    children.items[end[tree.nodes[node].parent]++] = {totals.work[node].density(), totals.first_row[node],
                                                      static_cast<uint32_t>(node), true};
  }
  for (size_t row = 0; row < work.size(); ++row) {
    const Work own{own_prompt_tokens(tree, work[row], row), double{0} + work[row].answer_tokens};
    const auto id = static_cast<uint32_t>(row);
    children.items[end[tree.node_of_row[row]]++] = {own.density(), id, id, false};
  }
  for (size_t node = 0; node < tree.nodes.size(); ++node) {
    std::sort(children.items.begin() + children.begin[node], children.items.begin() + children.begin[node + 1]);
  }
  return children;
}

}  // namespace

std::vector<OrderedRow> order_rows(const PrefixTree& tree, std::span<const RowWork> work) {
  BATCHWRIGHT_CHECK(work.size() == tree.node_of_row.size());
  const Children children = sort_children(tree, work);
  std::vector<OrderedRow> order;
  order.reserve(work.size());
  struct Open {
    uint32_t node;
    uint32_t next;
  };
  std::vector<Open> path{{0, children.begin[0]}};
  // Pages that the row before and all that follows have in common: those of the highest node since.
  uint32_t common = 0;
  while (!path.empty()) {
    Open& open = path.back();
    const uint32_t pages = tree.nodes[open.node].end_page;
    common = std::min(common, pages);
    if (open.next == children.begin[open.node + 1]) {
      path.pop_back();
      continue;
    }
    const Item& item = children.items[open.next++];
    if (item.is_node) {
      path.push_back({item.id, children.begin[item.id]});
      continue;
    }
    if (!order.empty()) order.back().reused_pages = common;
    order.push_back({item.id, 0});
    common = pages;
  }
  return order;
}

}  // namespace batchwright

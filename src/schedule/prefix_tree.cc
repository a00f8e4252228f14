#include "schedule/prefix_tree.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "base/check.h"
#include "base/hash.h"

namespace batchwright {
namespace {

constexpr size_t kSlotsFirst = 64;
constexpr uint64_t kTagMask = (uint64_t{1} << 40) - 1;

uint64_t hash_of(std::span<const TokenId> page, uint32_t parent) {
  return hash64({reinterpret_cast<const char*>(page.data()), page.size_bytes()}, parent);
}

}  // namespace

PrefixTreeBuilder::PrefixTreeBuilder() : parents_(1, 0), tags_(1, 0), tags_high_(1, 0), slots_(kSlotsFirst, kEmpty) {}

// From what stands in the node, so that the table can be made again from the nodes alone.
size_t PrefixTreeBuilder::slot_of(const Page& page, size_t slots) {
  uint64_t z = page.tag ^ (uint64_t{page.parent} << 32) ^ (uint64_t{page.parent} >> 8);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z ^= z >> 27;
  return static_cast<size_t>(((z >> 32) * static_cast<uint64_t>(slots)) >> 32);
}

bool PrefixTreeBuilder::is(uint32_t node, const Page& page) const {
  return tags_[node] == static_cast<uint32_t>(page.tag) && tags_high_[node] == static_cast<uint8_t>(page.tag >> 32) &&
         parents_[node] == page.parent;
}

uint32_t PrefixTreeBuilder::find(const Page& page) const {
  for (size_t slot = slot_of(page, slots_.size()); slots_[slot] != kEmpty; slot = (slot + 1) % slots_.size()) {
    if (is(slots_[slot], page)) return slots_[slot];
  }
  return kEmpty;
}

void PrefixTreeBuilder::place(uint32_t node, const Page& page) {
  size_t slot = slot_of(page, slots_.size());
  while (slots_[slot] != kEmpty) slot = (slot + 1) % slots_.size();
  slots_[slot] = node;
}

uint32_t PrefixTreeBuilder::insert(const Page& page) {
  // At most 0.85 full and a third more each time: 4.7 to 6.4 bytes a node.
  if (parents_.size() * 20 > slots_.size() * 17) grow();
  const auto node = static_cast<uint32_t>(parents_.size());
  BATCHWRIGHT_CHECK(node != UINT32_MAX);
  parents_.push_back(page.parent);
  tags_.push_back(static_cast<uint32_t>(page.tag));
  tags_high_.push_back(static_cast<uint8_t>(page.tag >> 32));
  place(node, page);
  return node;
}

void PrefixTreeBuilder::grow() {
  const size_t slots = slots_.size() + slots_.size() / 3;
  slots_ = {};  // before the new ones take their memory
  slots_.resize(slots, kEmpty);
  for (uint32_t node = 1; node < parents_.size(); ++node) {
    place(node, {parents_[node], tags_[node] | (uint64_t{tags_high_[node]} << 32)});
  }
}

void PrefixTreeBuilder::add(std::span<const TokenId> prompt) {
  uint32_t node = 0;
  bool is_new = false;
  const uint32_t pages = shareable_pages(prompt.size());
  for (uint32_t p = 0; p < pages; ++p) {
    const auto tokens = prompt.subspan(size_t{p} * kPagePositions, kPagePositions);
    const Page page{node, hash_of(tokens, node) & kTagMask};
    // Behind a new page all are new.
    const uint32_t found = is_new ? kEmpty : find(page);
    is_new = found == kEmpty;
    node = is_new ? insert(page) : found;
  }
  end_of_row_.push_back(node);
}

size_t PrefixTreeBuilder::memory_bytes() const {
  return parents_.size() * (sizeof(uint32_t) + sizeof(uint32_t) + sizeof(uint8_t)) +
         slots_.capacity() * sizeof(uint32_t) + end_of_row_.size() * sizeof(uint32_t);
}

std::vector<uint32_t> PrefixTreeBuilder::count_rows() const {
  std::vector<uint32_t> rows(parents_.size(), 0);
  for (const uint32_t node : end_of_row_) ++rows[node];
  for (size_t node = rows.size(); --node > 0;) rows[parents_[node]] += rows[node];
  return rows;
}

PrefixTree PrefixTreeBuilder::build() {
  slots_ = {};
  tags_ = {};
  tags_high_ = {};
  const std::vector<uint32_t> rows = count_rows();
  PrefixTree tree;
  tree.distinct_pages = static_cast<int64_t>(parents_.size()) - 1;
  tree.nodes.push_back({});
  // Page by page, parents first: a page of all the rows that its parent has makes the parent's run longer.
  std::vector<uint32_t> node_of_page(parents_.size(), 0);
  for (size_t page = 1; page < parents_.size(); ++page) {
    const uint32_t parent = parents_[page];
    const uint32_t above = node_of_page[parent];
    node_of_page[page] = above;
    if (rows[page] < 2) continue;
    if (rows[page] == rows[parent]) {
      ++tree.nodes[above].end_page;
      continue;
    }
    node_of_page[page] = static_cast<uint32_t>(tree.nodes.size());
    tree.nodes.push_back({above, tree.nodes[above].end_page + 1});
  }
  parents_ = {};
  tree.node_of_row.reserve(end_of_row_.size());
  for (const uint32_t page : end_of_row_) tree.node_of_row.push_back(node_of_page[page]);
  end_of_row_ = {};
  return tree;
}

}  // namespace batchwright

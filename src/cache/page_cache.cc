#include "cache/page_cache.h"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "base/check.h"

namespace batchwright {
namespace {

uint64_t mix(uint64_t h) {
  h ^= h >> 33;
  h *= 0xff51afd7ed558ccdULL;
  h ^= h >> 33;
  h *= 0xc4ceb9fe1a85ec53ULL;
  return h ^ (h >> 33);
}

// Only spreads the keys: nodes are always compared in full.
uint64_t block_hash(int32_t parent, std::span<const TokenId> tokens) {
  uint64_t h = mix(static_cast<uint64_t>(static_cast<uint32_t>(parent)) + 0x9e3779b97f4a7c15ULL);
  for (const TokenId token : tokens) h = mix(h ^ static_cast<uint32_t>(token));
  return h;
}

std::span<const TokenId> block_tokens(std::span<const TokenId> tokens, int block) {
  return tokens.subspan(static_cast<size_t>(block) * kPagePositions, kPagePositions);
}

}  // namespace

PageCache::PageCache(std::vector<PageClassSpec> classes) : specs_(std::move(classes)) {
  BATCHWRIGHT_CHECK(!specs_.empty() && specs_.size() <= kMaxPageClasses);
  for (size_t c = 0; c < specs_.size(); ++c) {
    for (PageId page = specs_[c].pages - 1; page >= 0; --page) free_[c].push_back(page);
  }
}

void PageCache::append(int list, int32_t id) {
  List& l = lists_[static_cast<size_t>(list)];
  Link& link = node(id).links[static_cast<size_t>(list)];
  BATCHWRIGHT_CHECK(!link.linked);
  link = {l.tail, kNone, true};
  if (l.tail != kNone) node(l.tail).links[static_cast<size_t>(list)].next = id;
  l.tail = id;
  if (l.head == kNone) l.head = id;
  ++l.size;
}

void PageCache::unlink(int list, int32_t id) {
  List& l = lists_[static_cast<size_t>(list)];
  Link& link = node(id).links[static_cast<size_t>(list)];
  BATCHWRIGHT_CHECK(link.linked);
  (link.previous == kNone ? l.head : node(link.previous).links[static_cast<size_t>(list)].next) = link.next;
  (link.next == kNone ? l.tail : node(link.next).links[static_cast<size_t>(list)].previous) = link.previous;
  link = {};
  --l.size;
}

int32_t PageCache::find(int32_t parent, uint64_t hash, std::span<const TokenId> tokens) const {
  const auto [begin, end] = children_.equal_range(hash);
  for (auto it = begin; it != end; ++it) {
    const Node& n = node(it->second);
    if (n.parent == parent && std::equal(tokens.begin(), tokens.end(), n.tokens.begin())) return it->second;
  }
  return kNone;
}

int32_t PageCache::make_node(int32_t parent, uint64_t hash, std::span<const TokenId> tokens) {
  int32_t id = 0;
  if (free_nodes_.empty()) {
    id = static_cast<int32_t>(nodes_.size());
    nodes_.emplace_back();
  } else {
    id = free_nodes_.back();
    free_nodes_.pop_back();
  }
  Node& n = node(id);
  n = Node{};
  n.parent = parent;
  n.hash = hash;
  n.live = true;
  std::copy(tokens.begin(), tokens.end(), n.tokens.begin());
  children_.emplace(hash, id);
  return id;
}

void PageCache::remove_node(int32_t id) {
  Node& n = node(id);
  BATCHWRIGHT_CHECK(n.users == 0);
  const auto [begin, end] = children_.equal_range(n.hash);
  for (auto it = begin; it != end; ++it) {
    if (it->second == id) {
      children_.erase(it);
      break;
    }
  }
  for (int c = 0; c < classes(); ++c) {
    const auto k = static_cast<size_t>(c);
    if (n.links[k].linked) unlink(c, id);
    if (n.pages[k] != kNoPage) free_page(c, n.pages[k]);
  }
  if (n.links[kNodeList].linked) unlink(kNodeList, id);
  n.live = false;
  free_nodes_.push_back(id);
}

void PageCache::hold_node(int32_t id) {
  if (node(id).links[kNodeList].linked) unlink(kNodeList, id);
  ++node(id).users;
}

void PageCache::hold_page(int32_t id, int page_class) {
  const auto k = static_cast<size_t>(page_class);
  if (node(id).links[k].linked) unlink(page_class, id);
  ++node(id).holders[k];
}

void PageCache::drop_page(int32_t id, int page_class) {
  const auto k = static_cast<size_t>(page_class);
  // Pages of unwindowed classes go with their node alone: a node without one would cut the tree.
  if (--node(id).holders[k] == 0 && spec(page_class).window > 0) append(page_class, id);
}

void PageCache::drop_node(int32_t id) {
  // Sequences give up the deepest block first and whoever holds a block holds its parents: so a node always stands
  // before its parent in the list, and the front of the list is a leaf.
  if (--node(id).users == 0) append(kNodeList, id);
}

PageId PageCache::take_page(int page_class) {
  const auto k = static_cast<size_t>(page_class);
  if (free_[k].empty()) {
    if (spec(page_class).window > 0) {
      const int32_t victim = lists_[k].head;
      if (victim == kNone) return kNoPage;
      unlink(page_class, victim);
      free_page(page_class, std::exchange(node(victim).pages[k], kNoPage));
    } else {
      const int32_t victim = lists_[kNodeList].head;
      if (victim == kNone) return kNoPage;
      remove_node(victim);
    }
  }
  const PageId page = free_[k].back();
  free_[k].pop_back();
  return page;
}

void PageCache::free_page(int page_class, PageId page) { free_[static_cast<size_t>(page_class)].push_back(page); }

int PageCache::first_visible_block(int page_class, int position) const {
  const int window = spec(page_class).window;
  if (window == 0 || position < window) return 0;
  return (position - window + 1) / kPagePositions;
}

int32_t PageCache::last_node(const BlockTable& table) const {
  return table.published_ == 0 ? kNone : table.blocks_[static_cast<size_t>(table.published_ - 1)].node;
}

PageCache::Prefix PageCache::adopt_prefix(BlockTable& table, std::span<const TokenId> tokens, int limit) {
  if (table.blocks() != table.published_ || table.blocks() >= limit || !table.promised_.empty()) {
    return Prefix::kCompute;
  }
  const int begin = table.blocks();
  std::vector<int32_t> chain;
  int32_t parent = last_node(table);
  bool pending = false;
  for (int block = begin; block < limit; ++block) {
    const auto part = block_tokens(tokens, block);
    const int32_t child = find(parent, block_hash(parent, part), part);
    if (child == kNone) break;
    if (!node(child).ready) {
      pending = true;
      break;
    }
    chain.push_back(child);
    parent = child;
  }

  // A windowed class may have lost pages: as many blocks can be adopted as leave a whole window before the next
  // position.
  const auto window_is_whole = [&](int end) {
    for (int c = 0; c < classes(); ++c) {
      if (spec(c).window == 0) continue;
      for (int b = std::max(begin, first_visible_block(c, end * kPagePositions)); b < end; ++b) {
        if (node(chain[static_cast<size_t>(b - begin)]).pages[static_cast<size_t>(c)] == kNoPage) return false;
      }
    }
    return true;
  };
  int end = begin + static_cast<int>(chain.size());
  const bool whole_chain = window_is_whole(end);
  while (!window_is_whole(end)) --end;

  for (int block = begin; block < end; ++block) {
    const int32_t id = chain[static_cast<size_t>(block - begin)];
    BlockTable::Block entry;
    entry.node = id;
    hold_node(id);
    for (int c = 0; c < classes(); ++c) {
      if (block < first_visible_block(c, end * kPagePositions)) continue;
      const auto k = static_cast<size_t>(c);
      hold_page(id, c);
      entry.pages[k] = node(id).pages[k];
    }
    table.blocks_.push_back(entry);
  }
  table.published_ = end;
  leave_window(table, end * kPagePositions);

  if (!whole_chain || end == limit) return Prefix::kCompute;
  if (pending) return Prefix::kWait;
  parent = last_node(table);
  for (int block = end; block < limit; ++block) {
    const auto part = block_tokens(tokens, block);
    parent = make_node(parent, block_hash(parent, part), part);
    table.promised_.push_back(parent);
  }
  return Prefix::kCompute;
}

int PageCache::reserve(BlockTable& table, int blocks) {
  while (table.blocks() < blocks) {
    BlockTable::Block entry;
    for (int c = 0; c < classes(); ++c) {
      const auto k = static_cast<size_t>(c);
      entry.pages[k] = take_page(c);
      if (entry.pages[k] != kNoPage) continue;
      for (int other = 0; other < c; ++other) free_page(other, entry.pages[static_cast<size_t>(other)]);
      return table.blocks();
    }
    table.blocks_.push_back(entry);
  }
  return table.blocks();
}

void PageCache::publish(BlockTable& table, std::span<const TokenId> tokens, int positions) {
  const int whole = std::min(positions / kPagePositions, table.blocks());
  while (table.published_ < whole) {
    const int block = table.published_;
    BlockTable::Block& entry = table.blocks_[static_cast<size_t>(block)];
    const int32_t parent = last_node(table);
    const auto part = block_tokens(tokens, block);
    const uint64_t hash = block_hash(parent, part);
    int32_t id = find(parent, hash, part);
    if (!table.promised_.empty() && id == table.promised_.front()) {
      table.promised_.erase(table.promised_.begin());
    } else if (id != kNone && !node(id).ready) {
      return;  // somebody else has promised the same block: this one stays private
    }
    if (id == kNone) id = make_node(parent, hash, part);
    Node& n = node(id);
    n.ready = true;
    hold_node(id);
    for (int c = 0; c < classes(); ++c) {
      const auto k = static_cast<size_t>(c);
      if (entry.pages[k] == kNoPage) continue;
      if (n.pages[k] == kNoPage) {
        n.pages[k] = entry.pages[k];
      } else {
        free_page(c, entry.pages[k]);
        entry.pages[k] = n.pages[k];
      }
      hold_page(id, c);
    }
    entry.node = id;
    ++table.published_;
  }
}

void PageCache::leave_window(BlockTable& table, int position) {
  for (int c = 0; c < classes(); ++c) {
    const auto k = static_cast<size_t>(c);
    const int end = std::min(first_visible_block(c, position), table.blocks());
    for (int& block = table.window_begin_[k]; block < end; ++block) {
      BlockTable::Block& entry = table.blocks_[static_cast<size_t>(block)];
      const PageId page = std::exchange(entry.pages[k], kNoPage);
      if (page == kNoPage) continue;
      if (entry.node == kNone) {
        free_page(c, page);
      } else {
        drop_page(entry.node, c);
      }
    }
  }
}

void PageCache::release(BlockTable& table) {
  for (auto it = table.promised_.rbegin(); it != table.promised_.rend(); ++it) remove_node(*it);
  for (auto it = table.blocks_.rbegin(); it != table.blocks_.rend(); ++it) {
    for (int c = 0; c < classes(); ++c) {
      const PageId page = it->pages[static_cast<size_t>(c)];
      if (page == kNoPage) continue;
      if (it->node == kNone) {
        free_page(c, page);
      } else {
        drop_page(it->node, c);
      }
    }
    if (it->node != kNone) drop_node(it->node);
  }
  table = BlockTable{};
}

int32_t PageCache::available(int page_class) const {
  const auto k = static_cast<size_t>(page_class);
  const List& evictable = spec(page_class).window > 0 ? lists_[k] : lists_[kNodeList];
  return static_cast<int32_t>(free_[k].size()) + evictable.size;
}

int32_t PageCache::held(int page_class) const { return spec(page_class).pages - available(page_class); }

bool PageCache::consistent(std::span<const BlockTable* const> tables) const {
  std::vector<int32_t> users(nodes_.size(), 0);
  std::array<std::vector<int32_t>, kMaxPageClasses> holders;
  std::array<std::vector<int32_t>, kMaxPageClasses> owners;
  for (int c = 0; c < classes(); ++c) {
    holders[static_cast<size_t>(c)].assign(nodes_.size(), 0);
    owners[static_cast<size_t>(c)].assign(static_cast<size_t>(spec(c).pages), 0);
    for (const PageId page : free_[static_cast<size_t>(c)]) {
      ++owners[static_cast<size_t>(c)][static_cast<size_t>(page)];
    }
  }
  for (const BlockTable* table : tables) {
    for (int b = 0; b < table->blocks(); ++b) {
      const BlockTable::Block& entry = table->blocks_[static_cast<size_t>(b)];
      if ((entry.node != kNone) != (b < table->published_)) return false;
      if (entry.node != kNone) ++users[static_cast<size_t>(entry.node)];
      for (int c = 0; c < classes(); ++c) {
        const auto k = static_cast<size_t>(c);
        if (entry.pages[k] == kNoPage) continue;
        if (entry.node == kNone) {
          ++owners[k][static_cast<size_t>(entry.pages[k])];
        } else {
          if (node(entry.node).pages[k] != entry.pages[k]) return false;
          ++holders[k][static_cast<size_t>(entry.node)];
        }
      }
    }
  }
  for (size_t id = 0; id < nodes_.size(); ++id) {
    const Node& n = nodes_[id];
    if (!n.live) continue;
    if (n.users != users[id]) return false;
    if (n.ready && n.links[kNodeList].linked != (n.users == 0)) return false;
    if (n.parent != kNone && !node(n.parent).live) return false;
    for (int c = 0; c < classes(); ++c) {
      const auto k = static_cast<size_t>(c);
      if (n.holders[k] != holders[k][id]) return false;
      if (n.pages[k] != kNoPage) ++owners[k][static_cast<size_t>(n.pages[k])];
      if (n.ready && spec(c).window == 0 && n.pages[k] == kNoPage) return false;
      if (n.links[k].linked != (spec(c).window > 0 && n.pages[k] != kNoPage && n.holders[k] == 0)) return false;
    }
  }
  for (int c = 0; c < classes(); ++c) {
    for (const int32_t count : owners[static_cast<size_t>(c)]) {
      if (count != 1) return false;
    }
  }
  return true;
}

}  // namespace batchwright

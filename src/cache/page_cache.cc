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
  BATCHWRIGHT_CHECK(!link(list, id).linked);
  link(list, id) = {l.tail, kNone, true};
  if (l.tail != kNone) link(list, l.tail).next = id;
  l.tail = id;
  if (l.head == kNone) l.head = id;
  ++l.size;
}

void PageCache::unlink(int list, int32_t id) {
  List& l = lists_[static_cast<size_t>(list)];
  const Link own = std::exchange(link(list, id), {});
  BATCHWRIGHT_CHECK(own.linked);
  (own.previous == kNone ? l.head : link(list, own.previous).next) = own.next;
  (own.next == kNone ? l.tail : link(list, own.next).previous) = own.previous;
  --l.size;
}

bool PageCache::is_live(const BlockTable::NodeRef& ref) const {
  return ref.id != kNone && node(ref.id).live && node(ref.id).serial == ref.serial;
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
  n.serial = next_serial_++;
  n.hash = hash;
  n.live = true;
  std::copy(tokens.begin(), tokens.end(), n.tokens.begin());
  children_.emplace(hash, id);
  if (parent != kNone) ++node(parent).children;
  return id;
}

// Leaves the parent as it is but for the counts.
void PageCache::erase_node(int32_t id) {
  Node& n = node(id);
  BATCHWRIGHT_CHECK(n.users == 0 && n.children == 0);
  const auto [begin, end] = children_.equal_range(n.hash);
  for (auto it = begin; it != end; ++it) {
    if (it->second == id) {
      children_.erase(it);
      break;
    }
  }
  for (int list = 0; list < kLists; ++list) {
    if (link(list, id).linked) unlink(list, id);
  }
  for (int c = 0; c < classes(); ++c) {
    if (const PageId page = n.pages[static_cast<size_t>(c)]; page != kNoPage) free_page(c, page);
  }
  if (n.parent != kNone) {
    --node(n.parent).children;
    if (n.awaited) --node(n.parent).awaited_children;
  }
  n.live = false;
  free_nodes_.push_back(id);
}

void PageCache::remove_node(int32_t id) {
  const int32_t parent = node(id).parent;
  erase_node(id);
  settle(parent);
}

// To be called where a node's users, children or expected reuse have changed: keeps it where it belongs, and what
// stands above it in turn.
void PageCache::settle(int32_t id) {
  bool changed = true;
  while (id != kNone && changed) {
    changed = false;
    Node& n = node(id);
    const int32_t parent = n.parent;
    const bool awaited = n.reuse == Reuse::kExpected || n.awaited_children > 0;
    if (awaited != n.awaited) {
      n.awaited = awaited;
      if (parent != kNone) node(parent).awaited_children += awaited ? 1 : -1;
      changed = true;
    }
    if (n.ready && n.users == 0) {
      const int list = awaited ? kAwaitedList : kRecentList;
      const int other = awaited ? kRecentList : kAwaitedList;
      if (!awaited && n.reuse == Reuse::kNone && n.children == 0) {
        erase_node(id);
        changed = true;
      } else if (!link(list, id).linked) {
        if (link(other, id).linked) unlink(other, id);
        append(list, id);
      }
    }
    id = parent;
  }
}

void PageCache::hold_node(int32_t id) {
  for (const int list : {kRecentList, kAwaitedList}) {
    if (link(list, id).linked) unlink(list, id);
  }
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
  // before its parent, and the front of the recent ones - where there are none, of the awaited ones - is a leaf.
  if (--node(id).users == 0) settle(id);
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
      const int32_t recent = lists_[kRecentList].head;
      const int32_t victim = recent != kNone ? recent : lists_[kAwaitedList].head;
      if (victim == kNone) return kNoPage;
      remove_node(victim);
    }
  }
  const PageId page = free_[k].back();
  free_[k].pop_back();
  touched_[k] = std::max(touched_[k], page + 1);
  return page;
}

void PageCache::free_page(int page_class, PageId page) { free_[static_cast<size_t>(page_class)].push_back(page); }

int PageCache::first_visible_block(int page_class, int position) const {
  const int window = spec(page_class).window;
  if (window == 0 || position < window) return 0;
  return (position - window + 1) / kPagePositions;
}

int32_t PageCache::last_node(const BlockTable& table) const {
  return table.nodes_.empty() ? kNone : table.nodes_.back();
}

int32_t PageCache::next_node(int32_t parent, std::span<const TokenId> tokens, int block) const {
  const auto part = block_tokens(tokens, block);
  return find(parent, block_hash(parent, part), part);
}

int PageCache::adoptable(BlockTable& table, std::span<const TokenId> tokens, int limit) const {
  BATCHWRIGHT_CHECK(table.blocks() == 0);
  if (!is_live(table.last_found_) || !node(table.last_found_.id).ready || table.last_depth_ > limit) {
    table.last_found_ = {};
    table.last_depth_ = 0;
  }
  for (; table.last_depth_ < limit; ++table.last_depth_) {
    const int32_t child = next_node(table.last_found_.id, tokens, table.last_depth_);
    if (child == kNone || !node(child).ready) break;
    table.last_found_ = ref(child);
  }
  return table.last_depth_;
}

// Fills chain_ with the ready nodes that follow the table's; true where the one after them is pending.
bool PageCache::find_chain(BlockTable& table, std::span<const TokenId> tokens, int limit) {
  chain_.clear();
  int block = table.blocks();
  int32_t parent = last_node(table);
  if (block == 0 && table.last_depth_ <= limit && is_live(table.last_found_) && node(table.last_found_.id).ready) {
    // What was found the last time is still there, and so are its ancestors.
    parent = table.last_found_.id;
    block = table.last_depth_;
    for (int32_t id = parent; id != kNone; id = node(id).parent) chain_.push_back(id);
    std::reverse(chain_.begin(), chain_.end());
  }
  for (; block < limit; ++block) {
    const int32_t child = next_node(parent, tokens, block);
    if (child == kNone) return false;
    if (!node(child).ready) {
      table.awaits_ = ref(child);
      return true;
    }
    chain_.push_back(child);
    parent = child;
  }
  return false;
}

// A windowed class may have lost pages: the blocks of chain_, the first being `begin`, can be adopted up to `end` where
// a whole window is left before the next position.
bool PageCache::window_is_whole(int begin, int end) const {
  for (int c = 0; c < classes(); ++c) {
    if (spec(c).window == 0) continue;
    for (int b = std::max(begin, first_visible_block(c, end * kPagePositions)); b < end; ++b) {
      if (node(chain_[static_cast<size_t>(b - begin)]).pages[static_cast<size_t>(c)] == kNoPage) return false;
    }
  }
  return true;
}

void PageCache::hold_chain(BlockTable& table, int end) {
  const int begin = table.blocks();
  for (int block = begin; block < end; ++block) {
    const int32_t id = chain_[static_cast<size_t>(block - begin)];
    hold_node(id);
    table.nodes_.push_back(id);
    for (int c = 0; c < classes(); ++c) {
      const auto k = static_cast<size_t>(c);
      const bool visible = block >= first_visible_block(c, end * kPagePositions);
      if (visible) hold_page(id, c);
      table.pages_[k].push_back(visible ? node(id).pages[k] : kNoPage);
    }
  }
}

PageCache::Prefix PageCache::adopt(BlockTable& table, std::span<const TokenId> tokens, int limit) {
  if (table.blocks() != table.published() || table.blocks() >= limit || !table.promised_.empty()) {
    return Prefix::kCompute;
  }
  if (is_pending(table.awaits_)) return Prefix::kWait;
  const bool pending = find_chain(table, tokens, limit);
  const int begin = table.blocks();
  const int found = begin + static_cast<int>(chain_.size());
  int end = found;
  while (!window_is_whole(begin, end)) --end;
  hold_chain(table, end);
  leave_window(table, end * kPagePositions);
  // Where pages were lost the blocks are computed once more, and nobody can wait for nodes that are there.
  table.private_rest_ = false;
  if (pending && end == found) return Prefix::kWait;
  table.awaits_ = {};
  return Prefix::kCompute;
}

void PageCache::claim(BlockTable& table, std::span<const TokenId> tokens, int limit) {
  for (int block = table.published(); block-- > table.marked_;) {
    state_reuse(table, block, table.nodes_[static_cast<size_t>(block)]);
  }
  table.marked_ = table.published();

  if (table.blocks() != table.published() || !table.promised_.empty() || is_pending(table.awaits_)) return;
  const int begin = table.published();
  const int end = table.reused_ < 0 ? limit : std::min(limit, table.reused_);
  int32_t parent = last_node(table);
  for (int block = begin; block < end; ++block) {
    const auto part = block_tokens(tokens, block);
    const uint64_t hash = block_hash(parent, part);
    // There already, but without its page of a windowed class.
    if (block == begin && find(parent, hash, part) != kNone) break;
    parent = make_node(parent, hash, part);
    table.promised_.push_back(parent);
    state_reuse(table, block, parent);
  }
  std::reverse(table.promised_.begin(), table.promised_.end());
}

void PageCache::state_reuse(const BlockTable& table, int block, int32_t id) {
  Node& n = node(id);
  if (table.reused_ < 0 || table.age_ < n.reuse_age) return;
  n.reuse_age = table.age_;
  n.reuse = block < table.reused_ ? Reuse::kExpected : Reuse::kNone;
  settle(id);
}

int PageCache::reserve(BlockTable& table, int blocks) {
  while (table.blocks() < blocks) {
    std::array<PageId, kMaxPageClasses> pages{};
    for (int c = 0; c < classes(); ++c) {
      const auto k = static_cast<size_t>(c);
      pages[k] = take_page(c);
      if (pages[k] != kNoPage) continue;
      for (int other = 0; other < c; ++other) free_page(other, pages[static_cast<size_t>(other)]);
      return table.blocks();
    }
    for (int c = 0; c < classes(); ++c) table.pages_[static_cast<size_t>(c)].push_back(pages[static_cast<size_t>(c)]);
  }
  return table.blocks();
}

void PageCache::publish(BlockTable& table, std::span<const TokenId> tokens, int positions) {
  const int whole = std::min(positions / kPagePositions, table.blocks());
  while (table.published() < whole && !table.private_rest_) {
    // Somebody else has promised the same block: until it is there this one stays private.
    if (is_pending(table.awaits_)) return;
    const int block = table.published();
    const int32_t parent = last_node(table);
    const auto part = block_tokens(tokens, block);
    const uint64_t hash = block_hash(parent, part);
    int32_t id = find(parent, hash, part);
    if (!table.promised_.empty() && id == table.promised_.back()) {
      table.promised_.pop_back();
    } else if (id != kNone && !node(id).ready) {
      table.awaits_ = ref(id);
      return;
    }
    if (id == kNone) {
      table.private_rest_ = table.reused_ >= 0 && block >= table.reused_;
      if (table.private_rest_) return;
      id = make_node(parent, hash, part);
    }
    Node& n = node(id);
    n.ready = true;
    hold_node(id);
    for (int c = 0; c < classes(); ++c) {
      const auto k = static_cast<size_t>(c);
      PageId& page = table.pages_[k][static_cast<size_t>(block)];
      if (page == kNoPage) continue;
      if (n.pages[k] == kNoPage) {
        n.pages[k] = page;
      } else {
        free_page(c, page);
        page = n.pages[k];
      }
      hold_page(id, c);
    }
    table.nodes_.push_back(id);
    state_reuse(table, block, id);
    table.marked_ = table.published();
  }
}

void PageCache::leave_window(BlockTable& table, int position) {
  for (int c = 0; c < classes(); ++c) {
    const auto k = static_cast<size_t>(c);
    const int end = std::min(first_visible_block(c, position), table.blocks());
    for (int& block = table.window_begin_[k]; block < end; ++block) {
      const PageId page = std::exchange(table.pages_[k][static_cast<size_t>(block)], kNoPage);
      if (page == kNoPage) continue;
      if (block >= table.published()) {
        free_page(c, page);
      } else {
        drop_page(table.nodes_[static_cast<size_t>(block)], c);
      }
    }
  }
}

void PageCache::release(BlockTable& table) {
  for (const int32_t id : table.promised_) remove_node(id);
  for (int block = table.blocks(); block-- > 0;) {
    const int32_t id = block < table.published() ? table.nodes_[static_cast<size_t>(block)] : kNone;
    for (int c = 0; c < classes(); ++c) {
      const PageId page = table.page(c, block);
      if (page == kNoPage) continue;
      if (id == kNone) {
        free_page(c, page);
      } else {
        drop_page(id, c);
      }
    }
    if (id != kNone) drop_node(id);
  }
  BlockTable fresh(table.reused_, table.age_);
  if (table.published() > 0) {
    fresh.last_found_ = ref(table.nodes_.back());
    fresh.last_depth_ = table.published();
  }
  table = std::move(fresh);
}

void PageCache::suspend(BlockTable& table) {
  if (table.reused_ >= 0) {
    for (const int32_t id : table.nodes_) {
      if (node(id).users == 1) break;
      node(id).reuse = Reuse::kExpected;
      settle(id);
    }
  }
  release(table);
}

void PageCache::give_up_awaited() {
  while (lists_[kAwaitedList].head != kNone) {
    const int32_t id = lists_[kAwaitedList].head;
    BATCHWRIGHT_CHECK(node(id).awaited_children == 0);
    node(id).reuse = Reuse::kUnknown;
    settle(id);
  }
}

bool PageCache::stays(const BlockTable& table, int block) const {
  const Node& n = node(table.nodes_[static_cast<size_t>(block)]);
  return n.users > 1 || n.awaited;
}

int PageCache::kept_blocks(BlockTable& table) const {
  // Whoever holds or awaits a node holds or awaits its ancestors. Mostly nothing has changed since the last time.
  int low = 0;
  int high = table.published();
  if (table.kept_ <= high && (table.kept_ == 0 || stays(table, table.kept_ - 1))) low = table.kept_;
  if (low < high && !stays(table, low)) high = low;
  while (low < high) {
    const int middle = (low + high + 1) / 2;
    if (stays(table, middle - 1)) {
      low = middle;
    } else {
      high = middle - 1;
    }
  }
  table.kept_ = low;
  return low == table.published() ? std::max(low, table.reused_) : low;
}

int32_t PageCache::held(int page_class) const {
  const auto k = static_cast<size_t>(page_class);
  const int32_t kept = spec(page_class).window > 0 ? lists_[k].size : unheld();
  return spec(page_class).pages - static_cast<int32_t>(free_[k].size()) - kept;
}

bool PageCache::consistent(std::span<const BlockTable* const> tables) const {
  struct Count {
    int32_t users = 0;
    int32_t children = 0;
    int32_t awaited_children = 0;
    std::array<int32_t, kMaxPageClasses> holders{};
  };
  std::vector<Count> counts(nodes_.size());
  std::array<std::vector<int32_t>, kMaxPageClasses> owners;
  for (int c = 0; c < classes(); ++c) {
    const auto k = static_cast<size_t>(c);
    owners[k].assign(static_cast<size_t>(spec(c).pages), 0);
    for (const PageId page : free_[k]) ++owners[k][static_cast<size_t>(page)];
  }
  for (const BlockTable* table : tables) {
    for (int b = 0; b < table->blocks(); ++b) {
      const int32_t id = b < table->published() ? table->nodes_[static_cast<size_t>(b)] : kNone;
      if (id != kNone && node(id).parent != (b == 0 ? kNone : table->nodes_[static_cast<size_t>(b) - 1])) return false;
      if (id != kNone) ++counts[static_cast<size_t>(id)].users;
      for (int c = 0; c < classes(); ++c) {
        const auto k = static_cast<size_t>(c);
        const PageId page = table->page(c, b);
        if (page == kNoPage) continue;
        if (id == kNone) {
          ++owners[k][static_cast<size_t>(page)];
        } else {
          if (node(id).pages[k] != page) return false;
          ++counts[static_cast<size_t>(id)].holders[k];
        }
      }
    }
  }
  for (const Node& n : nodes_) {
    if (!n.live || n.parent == kNone) continue;
    if (!node(n.parent).live) return false;
    ++counts[static_cast<size_t>(n.parent)].children;
    if (n.awaited) ++counts[static_cast<size_t>(n.parent)].awaited_children;
  }
  for (size_t id = 0; id < nodes_.size(); ++id) {
    const Node& n = nodes_[id];
    if (!n.live) continue;
    const Count& count = counts[id];
    if (n.users != count.users || n.children != count.children || n.awaited_children != count.awaited_children ||
        n.holders != count.holders) {
      return false;
    }
    if (n.awaited != (n.reuse == Reuse::kExpected || n.awaited_children > 0)) return false;
    const bool unheld = n.ready && n.users == 0;
    if (n.links[kAwaitedList].linked != (unheld && n.awaited)) return false;
    if (n.links[kRecentList].linked != (unheld && !n.awaited)) return false;
    if (unheld && !n.awaited && n.reuse == Reuse::kNone && n.children == 0) return false;
    for (int c = 0; c < classes(); ++c) {
      const auto k = static_cast<size_t>(c);
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

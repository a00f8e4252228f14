// Which page belongs to whom: block tables, the prefix tree and its eviction. Ids only; no tensor is known here.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

#include "step/step.h"

namespace batchwright {

// Layers of equal reach share a class of pages. Models have one (all layers alike) or two (windowed and full).
inline constexpr int kMaxPageClasses = 4;

struct PageClassSpec {
  int window = 0;     // positions that a query sees, its own included; 0: all
  int32_t pages = 0;  // pages that exist
};

// The blocks of one sequence, in order. Filled and emptied by PageCache alone.
class BlockTable {
 public:
  BlockTable() = default;
  // Of a sequence about whose prompt it is known that sequences still to come begin with its first `reused` blocks, and
  // with no more. Of several such statements about a block that of the greatest `age` holds.
  BlockTable(int reused, int64_t age) : reused_(reused), age_(age) {}

  int blocks() const { return static_cast<int>(pages_[0].size()); }
  // kNoPage where the block left the window of its class.
  PageId page(int page_class, int block) const {
    return pages_[static_cast<size_t>(page_class)][static_cast<size_t>(block)];
  }
  std::span<const PageId> pages(int page_class) const { return pages_[static_cast<size_t>(page_class)]; }
  // Leading blocks that stand in the prefix tree.
  int published() const { return static_cast<int>(nodes_.size()); }

 private:
  friend class PageCache;
  // A node as it was when it was looked at: ids are used again, serials are not.
  struct NodeRef {
    int32_t id = -1;
    uint64_t serial = 0;
  };

  std::array<std::vector<PageId>, kMaxPageClasses> pages_;
  std::vector<int32_t> nodes_;     // of the leading blocks
  std::vector<int32_t> promised_;  // pending nodes that this sequence is to compute, the next one last
  std::array<int, kMaxPageClasses> window_begin_{};  // first block that may still hold a page
  int reused_ = -1;                                  // -1: nothing is known
  int64_t age_ = 0;
  int marked_ = 0;             // leading nodes that know of reused_
  bool private_rest_ = false;  // nobody has use for the blocks that follow the nodes
  NodeRef awaits_;             // the next block, which another sequence computes
  NodeRef last_found_;         // the deepest node that was found for the table when it was empty, at depth last_depth_
  int last_depth_ = 0;
  int kept_ = 0;  // the last answer of kept_blocks()
};

// Pages are shared through a tree whose nodes are whole blocks of 64 tokens under their prefix, compared in full. A
// node is pending while the sequence that promised it computes it, then ready. What becomes of a ready node that no
// sequence holds any longer depends on what is known of those to come:
//
// - nothing: it is *recent* and stays until its page is needed, least recently used first (RadixAttention, Zheng et al.
//   2023);
// - others will begin with it: it is *awaited*; its page is taken only where no free and no recent one is left;
// - no other will: it is *closed* and given back at once, "each shared node freed at its last use" (BatchLLM, Zheng et
//   al. 2024).
//
// An ancestor of an awaited node is awaited. Wrong statements cost pages or work, never more.
class PageCache {
 public:
  explicit PageCache(std::vector<PageClassSpec> classes);

  int classes() const { return static_cast<int>(specs_.size()); }
  const PageClassSpec& spec(int page_class) const { return specs_[static_cast<size_t>(page_class)]; }

  enum class Prefix {
    kCompute,  // the next block is to be computed by this sequence
    kWait,     // another sequence is computing the next block: ask again after the next step
  };
  // Extends a table that ends on a published block with blocks found in the tree, up to `limit` blocks of `tokens`.
  // Never takes a new page. `tokens` may only grow from call to call.
  Prefix adopt(BlockTable& table, std::span<const TokenId> tokens, int limit);

  // How many blocks of an empty table's `tokens` adopt() might find now: at least those that it would. Cheap from call
  // to call.
  int adoptable(BlockTable& table, std::span<const TokenId> tokens, int limit) const;

  // The table's sequence runs: what is known of its blocks' reuse holds from now on, and of the blocks up to `limit`
  // that are not in the tree it promises those of use to others. After adopt() said kCompute, or kWait.
  void claim(BlockTable& table, std::span<const TokenId> tokens, int limit);

  // Both at once.
  Prefix adopt_prefix(BlockTable& table, std::span<const TokenId> tokens, int limit) {
    const Prefix prefix = adopt(table, tokens, limit);
    claim(table, tokens, limit);
    return prefix;
  }

  // Gives the table pages up to `blocks` blocks, evicting what nobody holds. Returns the blocks it has then, which is
  // less where pages ran out.
  int reserve(BlockTable& table, int blocks);

  // The first `positions` positions of `tokens` are computed: whole blocks among them go into the tree, those of no use
  // to others excepted. Where an equal block is there already, its pages take the place of the table's.
  void publish(BlockTable& table, std::span<const TokenId> tokens, int positions);

  // Gives back the pages that no query at `position` or later can see.
  void leave_window(BlockTable& table, int position);

  // Gives back everything; the table is as new afterwards. Promised blocks are withdrawn.
  void release(BlockTable& table);

  // The same for a sequence that will be back: what others hold of its blocks is awaited now.
  void suspend(BlockTable& table);

  // Awaited nodes that nobody holds become recent ones: whoever they were kept for does not come.
  void give_up_awaited();

  // Leading blocks that stay when the table's sequence ends: others hold them, or they are awaited (or will be, once
  // they are computed).
  int kept_blocks(BlockTable& table) const;

  // Pages that sequences hold.
  int32_t held(int page_class) const;
  // Pages that were ever taken: of the others no byte was written.
  int32_t touched(int page_class) const { return touched_[static_cast<size_t>(page_class)]; }
  // Nodes that nobody holds: awaited ones, and all.
  int32_t awaited() const { return lists_[kAwaitedList].size; }
  int32_t unheld() const { return awaited() + lists_[kRecentList].size; }

  // Recounts everything by hand; false where a count is off. For tests.
  bool consistent(std::span<const BlockTable* const> tables) const;

 private:
  static constexpr int32_t kNone = -1;
  // The lists of nodes without users stand behind those of windowed classes' pages without holders.
  static constexpr int kRecentList = kMaxPageClasses;
  static constexpr int kAwaitedList = kMaxPageClasses + 1;
  static constexpr int kLists = kMaxPageClasses + 2;

  enum class Reuse : uint8_t { kUnknown, kExpected, kNone };

  struct Link {
    int32_t previous = kNone;
    int32_t next = kNone;
    bool linked = false;
  };
  struct Node {
    int32_t parent = kNone;
    uint64_t serial = 0;
    uint64_t hash = 0;
    bool ready = false;
    bool live = false;
    bool awaited = false;  // reuse is expected of it, or of a node below
    Reuse reuse = Reuse::kUnknown;
    int64_t reuse_age = -1;  // whose statement that is
    int32_t users = 0;       // tables that hold the node
    int32_t children = 0;
    int32_t awaited_children = 0;
    std::array<PageId, kMaxPageClasses> pages{kNoPage, kNoPage, kNoPage, kNoPage};
    std::array<int32_t, kMaxPageClasses> holders{};  // tables that hold the page of the class
    std::array<Link, kLists> links;
    std::array<TokenId, kPagePositions> tokens{};
  };
  struct List {
    int32_t head = kNone;
    int32_t tail = kNone;
    int32_t size = 0;
  };

  Node& node(int32_t id) { return nodes_[static_cast<size_t>(id)]; }
  const Node& node(int32_t id) const { return nodes_[static_cast<size_t>(id)]; }
  Link& link(int list, int32_t id) { return node(id).links[static_cast<size_t>(list)]; }
  void append(int list, int32_t id);
  void unlink(int list, int32_t id);

  BlockTable::NodeRef ref(int32_t id) const { return {id, node(id).serial}; }
  bool is_live(const BlockTable::NodeRef& ref) const;
  bool is_pending(const BlockTable::NodeRef& ref) const { return is_live(ref) && !node(ref.id).ready; }
  int32_t find(int32_t parent, uint64_t hash, std::span<const TokenId> tokens) const;
  int32_t make_node(int32_t parent, uint64_t hash, std::span<const TokenId> tokens);
  void erase_node(int32_t id);
  void remove_node(int32_t id);
  void settle(int32_t id);
  void hold_node(int32_t id);
  void hold_page(int32_t id, int page_class);
  void drop_page(int32_t id, int page_class);
  void drop_node(int32_t id);
  int32_t last_node(const BlockTable& table) const;
  void state_reuse(const BlockTable& table, int block, int32_t id);
  bool stays(const BlockTable& table, int block) const;

  int32_t next_node(int32_t parent, std::span<const TokenId> tokens, int block) const;
  bool find_chain(BlockTable& table, std::span<const TokenId> tokens, int limit);
  bool window_is_whole(int begin, int end) const;
  void hold_chain(BlockTable& table, int end);

  PageId take_page(int page_class);
  void free_page(int page_class, PageId page);
  int first_visible_block(int page_class, int position) const;

  std::vector<PageClassSpec> specs_;
  std::array<std::vector<PageId>, kMaxPageClasses> free_;  // used again before others: those never taken lie below
  std::array<int32_t, kMaxPageClasses> touched_{};
  std::array<List, kLists> lists_;
  std::vector<Node> nodes_;
  std::vector<int32_t> free_nodes_;
  std::unordered_multimap<uint64_t, int32_t> children_;  // by hash of (parent, tokens)
  uint64_t next_serial_ = 1;
  std::vector<int32_t> chain_;  // what adopt() found
};

}  // namespace batchwright

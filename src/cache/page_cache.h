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
  int blocks() const { return static_cast<int>(blocks_.size()); }
  // kNoPage where the block left the window of its class.
  PageId page(int page_class, int block) const {
    return blocks_[static_cast<size_t>(block)].pages[static_cast<size_t>(page_class)];
  }
  // Leading blocks that stand in the prefix tree.
  int published() const { return published_; }

 private:
  friend class PageCache;
  struct Block {
    std::array<PageId, kMaxPageClasses> pages{kNoPage, kNoPage, kNoPage, kNoPage};
    int32_t node = -1;
  };
  std::vector<Block> blocks_;
  std::vector<int32_t> promised_;                    // pending nodes that this sequence is to compute, in order
  std::array<int, kMaxPageClasses> window_begin_{};  // first block that may still hold a page
  int published_ = 0;
};

// Pages are shared through a tree whose nodes are whole blocks of 64 tokens under their prefix, compared in full. A
// node is pending while the sequence that promised it computes it, then ready. Pages of ready nodes that no sequence
// holds stay until they are needed, least recently used first (RadixAttention, Zheng et al. 2023).
class PageCache {
 public:
  explicit PageCache(std::vector<PageClassSpec> classes);

  int classes() const { return static_cast<int>(specs_.size()); }
  const PageClassSpec& spec(int page_class) const { return specs_[static_cast<size_t>(page_class)]; }

  enum class Prefix {
    kCompute,  // the next block is to be computed by this sequence
    kWait,     // another sequence is computing the next block: ask again after the next step
  };
  // Extends a table that ends on a published block with blocks found in the tree, up to `limit` blocks of `tokens`;
  // where the tree ends before that, promises the remaining blocks. Never takes a new page.
  Prefix adopt_prefix(BlockTable& table, std::span<const TokenId> tokens, int limit);

  // Gives the table pages up to `blocks` blocks, evicting what nobody holds. Returns the blocks it has then, which is
  // less where pages ran out.
  int reserve(BlockTable& table, int blocks);

  // The first `positions` positions of `tokens` are computed: whole blocks among them go into the tree. Where an equal
  // block is there already, its pages take the place of the table's.
  void publish(BlockTable& table, std::span<const TokenId> tokens, int positions);

  // Gives back the pages that no query at `position` or later can see.
  void leave_window(BlockTable& table, int position);

  // Gives back everything; the table is empty afterwards. Promised blocks are withdrawn.
  void release(BlockTable& table);

  // Pages that reserve could hand out now.
  int32_t available(int page_class) const;
  // Pages that sequences hold.
  int32_t held(int page_class) const;

  // Recounts everything by hand; false where a count is off. For tests.
  bool consistent(std::span<const BlockTable* const> tables) const;

 private:
  static constexpr int32_t kNone = -1;
  static constexpr int kNodeList = kMaxPageClasses;  // the list of nodes without users stands behind those of classes

  struct Link {
    int32_t previous = kNone;
    int32_t next = kNone;
    bool linked = false;
  };
  struct Node {
    int32_t parent = kNone;
    uint64_t hash = 0;
    bool ready = false;
    bool live = false;
    int32_t users = 0;  // tables that hold the node
    std::array<TokenId, kPagePositions> tokens{};
    std::array<PageId, kMaxPageClasses> pages{kNoPage, kNoPage, kNoPage, kNoPage};
    std::array<int32_t, kMaxPageClasses> holders{};  // tables that hold the page of the class
    std::array<Link, kMaxPageClasses + 1> links;
  };
  struct List {
    int32_t head = kNone;
    int32_t tail = kNone;
    int32_t size = 0;
  };

  Node& node(int32_t id) { return nodes_[static_cast<size_t>(id)]; }
  const Node& node(int32_t id) const { return nodes_[static_cast<size_t>(id)]; }
  void append(int list, int32_t id);
  void unlink(int list, int32_t id);

  int32_t find(int32_t parent, uint64_t hash, std::span<const TokenId> tokens) const;
  int32_t make_node(int32_t parent, uint64_t hash, std::span<const TokenId> tokens);
  void remove_node(int32_t id);
  void hold_node(int32_t id);
  void hold_page(int32_t id, int page_class);
  void drop_page(int32_t id, int page_class);
  void drop_node(int32_t id);
  int32_t last_node(const BlockTable& table) const;

  PageId take_page(int page_class);
  void free_page(int page_class, PageId page);
  int first_visible_block(int page_class, int position) const;

  std::vector<PageClassSpec> specs_;
  std::array<std::vector<PageId>, kMaxPageClasses> free_;
  std::array<List, kMaxPageClasses + 1> lists_;  // pages of a windowed class without holders; nodes without users
  std::vector<Node> nodes_;
  std::vector<int32_t> free_nodes_;
  std::unordered_multimap<uint64_t, int32_t> children_;  // by hash of (parent, tokens)
};

}  // namespace batchwright

// The storage of KV pages: where a page's K and V of a layer and head lie.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "batchwright/options.h"
#include "batchwright/status.h"
#include "model/model_shape.h"
#include "step/step.h"

namespace batchwright {

// One range of address space a page class; memory is taken when a page is first written. Thread-safe for different
// pages and heads.
class KvStore {
 public:
  // pages[c] pages of class c. kResourceExhausted where the address space cannot be had.
  static Result<KvStore> create(const ModelShape& shape, KvFormat format, std::span<const int32_t> pages);

  KvStore() = default;
  KvStore(KvStore&& other) noexcept;
  KvStore& operator=(KvStore&& other) noexcept;
  KvStore(const KvStore&) = delete;
  KvStore& operator=(const KvStore&) = delete;
  ~KvStore();

  KvFormat format() const { return format_; }

  // The block of one KV head of a layer: K [dim][64], then V [64][dim].
  std::byte* block(int page_class, PageId page, int layer, int head) const {
    const Class& c = classes_[static_cast<size_t>(page_class)];
    return c.memory + static_cast<size_t>(page) * c.page_bytes +
           static_cast<size_t>(layer_index_[static_cast<size_t>(layer)] * kv_heads_ + head) * block_bytes_;
  }

  // Nothing else may use the two pages meanwhile.
  void copy(int page_class, const PageCopy& copy) const;

 private:
  struct Class {
    std::byte* memory = nullptr;
    size_t bytes = 0;
    size_t page_bytes = 0;
  };
  void unmap();

  KvFormat format_ = KvFormat::kF16;
  int kv_heads_ = 0;
  int head_dim_ = 0;
  size_t block_bytes_ = 0;
  std::vector<Class> classes_;
  std::vector<int> layer_index_;  // a layer's place among those of its class
};

}  // namespace batchwright

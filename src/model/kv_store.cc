#include "model/kv_store.h"

#include <fmt/format.h>
#include <sys/mman.h>

#include <utility>

#include "kernels/attention/attention.h"

namespace batchwright {

Result<KvStore> KvStore::create(const ModelShape& shape, KvFormat format, std::span<const int32_t> pages) {
  KvStore store;
  store.format_ = format;
  store.kv_heads_ = shape.kv_heads;
  store.block_bytes_ = kv_head_block_bytes(shape.head_dim, format);
  store.layer_index_.assign(static_cast<size_t>(shape.layers), 0);
  const std::vector<PageClass> classes = page_classes(shape);
  for (size_t c = 0; c < classes.size(); ++c) {
    for (size_t i = 0; i < classes[c].layers.size(); ++i) {
      store.layer_index_[static_cast<size_t>(classes[c].layers[i])] = static_cast<int>(i);
    }
    Class& k = store.classes_.emplace_back();
    k.page_bytes = page_bytes(shape, classes[c], format);
    k.bytes = k.page_bytes * static_cast<size_t>(pages[c]);
    void* memory = mmap(nullptr, k.bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) {
      k.bytes = 0;
      return resource_exhausted(
          fmt::format("no address space for {} bytes of KV pages", k.page_bytes * static_cast<size_t>(pages[c])));
    }
    k.memory = static_cast<std::byte*>(memory);
    madvise(memory, k.bytes, MADV_HUGEPAGE);
  }
  return store;
}

KvStore::KvStore(KvStore&& other) noexcept { *this = std::move(other); }

KvStore& KvStore::operator=(KvStore&& other) noexcept {
  if (this != &other) {
    unmap();
    format_ = other.format_;
    kv_heads_ = other.kv_heads_;
    block_bytes_ = other.block_bytes_;
    classes_ = std::exchange(other.classes_, {});
    layer_index_ = std::exchange(other.layer_index_, {});
  }
  return *this;
}

KvStore::~KvStore() { unmap(); }

void KvStore::unmap() {
  for (const Class& c : classes_) {
    if (c.bytes > 0) munmap(c.memory, c.bytes);
  }
  classes_.clear();
}

}  // namespace batchwright

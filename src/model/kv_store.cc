#include "model/kv_store.h"

#include <fmt/format.h>
#include <sys/mman.h>

#include <cstring>
#include <utility>

#include "kernels/attention/attention.h"

namespace batchwright {

Result<KvStore> KvStore::create(const ModelShape& shape, KvFormat format, std::span<const int32_t> pages) {
  KvStore store;
  store.format_ = format;
  store.kv_heads_ = shape.kv_heads;
  store.head_dim_ = shape.head_dim;
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
    head_dim_ = other.head_dim_;
    block_bytes_ = other.block_bytes_;
    classes_ = std::exchange(other.classes_, {});
    layer_index_ = std::exchange(other.layer_index_, {});
  }
  return *this;
}

KvStore::~KvStore() { unmap(); }

void KvStore::copy(int page_class, const PageCopy& copy) const {
  const Class& c = classes_[static_cast<size_t>(page_class)];
  const size_t element = kv_element_bytes(format_);
  const auto dim = static_cast<size_t>(head_dim_);
  const size_t positions = static_cast<size_t>(copy.positions) * element;
  const size_t row = kBlockPositions * element;
  for (size_t at = 0; at < c.page_bytes; at += block_bytes_) {
    const std::byte* const from = c.memory + static_cast<size_t>(copy.from) * c.page_bytes + at;
    std::byte* const to = c.memory + static_cast<size_t>(copy.to) * c.page_bytes + at;
    for (size_t d = 0; d < dim; ++d) std::memcpy(to + d * row, from + d * row, positions);
    std::memcpy(to + dim * row, from + dim * row, positions * dim);
  }
}

void KvStore::unmap() {
  for (const Class& c : classes_) {
    if (c.bytes > 0) munmap(c.memory, c.bytes);
  }
  classes_.clear();
}

}  // namespace batchwright

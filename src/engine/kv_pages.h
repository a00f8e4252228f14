#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "batchwright/options.h"
#include "batchwright/status.h"
#include "cache/page_cache.h"
#include "model/model_shape.h"

namespace batchwright {

// How many pages of each class of page_classes(shape) fit into `bytes`: as many of one class as of another, but of
// windowed classes no more than the sequences in flight can use. kInvalidArgument, naming the bytes needed, where one
// sequence of context_length positions would not fit: then some request could never end.
Result<std::vector<int32_t>> plan_kv_pages(const ModelShape& shape, KvFormat format, size_t bytes, int context_length,
                                           int max_batch, int max_batch_tokens);

// What a cache needs to know of them, by page class.
struct KvPages {
  std::vector<int32_t> counts;
  std::vector<PageClassSpec> specs;
  std::vector<size_t> page_bytes;

  size_t bytes() const;
};

// plan_kv_pages() for options of which context_length and kv_memory_bytes are resolved.
Result<KvPages> resolve_kv_pages(const ModelShape& shape, const EngineOptions& options);

// The fewest bytes with which plan_kv_pages() succeeds.
size_t least_kv_bytes(const ModelShape& shape, KvFormat format, int context_length, int max_batch_tokens);

}  // namespace batchwright

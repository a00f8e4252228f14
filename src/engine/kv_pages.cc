#include "engine/kv_pages.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/format_bytes.h"
#include "base/status_macros.h"
#include "step/step.h"

namespace batchwright {
namespace {

// More than any machine's memory holds of real pages; keeps the lists of tiny models short.
constexpr size_t kMaxPages = size_t{1} << 18;

size_t blocks(int64_t positions) { return static_cast<size_t>(blocks_for(positions)); }

// Pages of a class that one sequence needs.
size_t pages_alone(const PageClass& page_class, int context_length, int max_batch_tokens) {
  const size_t whole = blocks(context_length);
  if (page_class.window == 0) return whole;
  // A step's first row looks back a window from where its last row does not end yet.
  return std::min(whole, blocks(page_class.window + max_batch_tokens) + 1);
}

}  // namespace

size_t least_kv_bytes(const ModelShape& shape, KvFormat format, int context_length, int max_batch_tokens) {
  size_t bytes = 0;
  for (const PageClass& page_class : page_classes(shape)) {
    bytes += pages_alone(page_class, context_length, max_batch_tokens) * page_bytes(shape, page_class, format);
  }
  return bytes;
}

size_t KvPages::bytes() const {
  size_t bytes = 0;
  for (size_t c = 0; c < counts.size(); ++c) bytes += static_cast<size_t>(counts[c]) * page_bytes[c];
  return bytes;
}

Result<KvPages> resolve_kv_pages(const ModelShape& shape, const EngineOptions& options) {
  KvPages pages;
  BATCHWRIGHT_ASSIGN_OR_RETURN(pages.counts,
                               plan_kv_pages(shape, options.kv_format, options.kv_memory_bytes, options.context_length,
                                             options.max_batch, options.max_batch_tokens));
  for (const PageClass& page_class : page_classes(shape)) {
    pages.specs.push_back({page_class.window, pages.counts[pages.specs.size()]});
    pages.page_bytes.push_back(page_bytes(shape, page_class, options.kv_format));
  }
  return pages;
}

Result<std::vector<int32_t>> plan_kv_pages(const ModelShape& shape, KvFormat format, size_t bytes, int context_length,
                                           int max_batch, int max_batch_tokens) {
  const std::vector<PageClass> classes = page_classes(shape);
  std::vector<size_t> sizes;
  std::vector<size_t> least;  // of one sequence
  std::vector<size_t> most;
  size_t bytes_all = 0;
  size_t bytes_least = 0;
  for (const PageClass& page_class : classes) {
    const size_t size = page_bytes(shape, page_class, format);
    sizes.push_back(size);
    bytes_all += size;
    const size_t alone = pages_alone(page_class, context_length, max_batch_tokens);
    size_t useful = kMaxPages;
    if (page_class.window > 0) {
      // Twice what sequences hold: pages of shared prefixes stay for the next ones.
      useful = std::min(useful, 2 * (static_cast<size_t>(max_batch) * (blocks(page_class.window) + 1) +
                                     blocks(max_batch_tokens) + alone));
    }
    least.push_back(alone);
    most.push_back(useful);
    bytes_least += alone * size;
  }
  if (bytes < bytes_least) {
    return invalid_argument(fmt::format(
        "{} of KV memory are too little: one sequence of {} positions needs {}; give more, or a shorter context",
        format_bytes(static_cast<double>(bytes)), context_length, format_bytes_option(bytes_least)));
  }
  std::vector<size_t> pages(classes.size());
  size_t left = bytes;
  size_t bytes_open = bytes_all;
  // Windowed classes stand last and are capped first; what they leave goes to the others.
  for (size_t c = classes.size(); c-- > 0;) {
    const size_t even = left / bytes_open;
    pages[c] = std::clamp(even, least[c], std::max(least[c], most[c]));
    left -= std::min(left, pages[c] * sizes[c]);
    bytes_open -= sizes[c];
  }
  // The floors of the first classes may have taken what later ones counted on.
  size_t total = 0;
  for (size_t c = 0; c < classes.size(); ++c) total += pages[c] * sizes[c];
  for (size_t c = 0; c < classes.size() && total > bytes; ++c) {
    const size_t excess = (total - bytes + sizes[c] - 1) / sizes[c];
    const size_t taken = std::min(excess, pages[c] - least[c]);
    pages[c] -= taken;
    total -= taken * sizes[c];
  }
  return std::vector<int32_t>(pages.begin(), pages.end());
}

}  // namespace batchwright

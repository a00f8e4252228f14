#include "engine/memory_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <string_view>
#include <vector>

#include "base/format_bytes.h"
#include "base/status_macros.h"
#include "engine/kv_pages.h"
#include "model/model_memory.h"
#include "platform/cpu.h"
#include "platform/memory_limit.h"
#include "step/step.h"

namespace batchwright {
namespace {

constexpr size_t kMi = size_t{1} << 20;
constexpr size_t kHugePage = 2 * kMi;
// Code and libraries, and what the program's own data take: measured.
constexpr size_t kProgram = 11 * kMi;
// Of a worker: the touched part of its stack, and the allocator's own arena.
constexpr size_t kWorker = 192 * 1024;
// Node, hash entry and place in a block table of a KV page.
constexpr size_t kTablesOfAPage = 512;
// Where a limit must hold, so much is left free: the kernel's own tables for the process, and the allocator's slack.
constexpr size_t kReserve = 4 * kMi;
constexpr size_t kReserveShare = 100;  // and a hundredth of the limit

size_t table_slots(size_t entries) { return std::bit_ceil(entries + entries / 2 + 2); }

// Of the vocabulary and the tokeniser made from it, counted by their tables. What they are made from is given back
// before the weights are loaded.
size_t vocabulary_memory(const GgufFile& file) {
  constexpr size_t kSlot = 16;         // of a table by text, or by pair
  constexpr size_t kOfAToken = 4 * 4;  // offsets of two texts, score, type
  constexpr size_t kMerge = 12;
  const auto tokens = file.strings("tokenizer.ggml.tokens");
  if (!tokens.ok()) return 0;
  size_t bytes = 0;
  for (const std::string_view token : *tokens) bytes += token.size();
  const auto merges = file.strings("tokenizer.ggml.merges");
  const size_t merge_count = merges.ok() ? merges->size() : 0;
  const size_t count = tokens->size();
  const size_t by_text = table_slots(count) * kSlot + bytes;
  const size_t vocabulary = 2 * bytes + count * kOfAToken + merge_count * kMerge + by_text;
  const size_t tokenizer = by_text + (merge_count > 0 ? table_slots(merge_count) * kSlot : 0) + count;
  return vocabulary + tokenizer;
}

EngineOptions with_defaults(EngineOptions options, const ModelShape& shape) {
  if (options.threads == 0) options.threads = usable_cpus();
  if (options.max_batch_tokens == 0) options.max_batch_tokens = kDefaultBatchTokens;
  options.max_batch_tokens = std::max(options.max_batch_tokens, options.max_batch);
  if (options.context_length == 0) options.context_length = shape.context_length;
  return options;
}

size_t mean_page(const ModelShape& shape, KvFormat format) {
  const std::vector<PageClass> classes = page_classes(shape);
  size_t bytes = 0;
  for (const PageClass& page_class : classes) bytes += page_bytes(shape, page_class, format);
  return bytes / classes.size();
}

size_t with_tables(size_t kv_bytes, size_t page) { return kv_bytes + kv_bytes / page * kTablesOfAPage; }

size_t without_tables(size_t bytes, size_t page) { return bytes / (page + kTablesOfAPage) * page; }

// What the process may take.
struct Limit {
  size_t bytes = SIZE_MAX;
  const char* whose = "";
};

Limit limit_of(const EngineOptions& options) {
  if (options.memory_bytes > 0) return {options.memory_bytes, "--memory"};
  if (const auto group = cgroup_memory()) return {group->left + own_memory_bytes(), "what the cgroup's limit leaves"};
  return {};
}

// The longest context whose KV pages fit into `bytes`; 0: none does.
int longest_context(const ModelShape& shape, const EngineOptions& options, size_t bytes) {
  int low = 0;
  for (int high = options.context_length; low < high;) {
    const int middle = low + (high - low + 1) / 2;
    if (least_kv_bytes(shape, options.kv_format, middle, options.max_batch_tokens) <= bytes) {
      low = middle;
    } else {
      high = middle - 1;
    }
  }
  return low / kPagePositions * kPagePositions;
}

Status too_small(const Limit& limit, const MemoryPlan& beside, const ModelShape& shape, const EngineOptions& options,
                 size_t kv_left, size_t kv_needed, size_t needed) {
  const auto size = [](size_t bytes) { return format_bytes(static_cast<double>(bytes)); };
  std::string lower;
  if (options.kv_memory_bytes > 0) {
    lower = ", or less --kv-memory";
  } else if (const int context = longest_context(shape, options, kv_left); context > 0) {
    lower = fmt::format(", or a --context-length of at most {}", context);
  }
  return invalid_argument(fmt::format(
      "{}, {}, is too little memory: the program takes {}, the vocabulary {}, the weights {}, steps of {} tokens "
      "{}, the job {}, and the KV cache {}{}; give at least {}{}; fewer --max-batch-tokens take less, too",
      limit.whose, size(limit.bytes), size(beside.program), size(beside.vocabulary), size(beside.weights),
      options.max_batch_tokens, size(std::max(beside.buffers, beside.loading)), size(beside.caller), size(kv_needed),
      options.kv_memory_bytes > 0 ? std::string()
                                  : fmt::format(" for one sequence of {} positions", options.context_length),
      format_bytes_option(needed), lower));
}

}  // namespace

size_t MemoryPlan::peak() const { return program + vocabulary + weights + std::max(loading, buffers + kv) + caller; }

Result<MemoryPlan> plan_memory(const GgufFile& file, const ModelShape& shape, const EngineOptions& options,
                               const MemoryUse& use) {
  const EngineOptions o = with_defaults(options, shape);
  BATCHWRIGHT_ASSIGN_OR_RETURN(const ModelMemory model, model_memory(file, shape, o.max_batch_tokens, o.threads));
  MemoryPlan plan;
  plan.program = kProgram + static_cast<size_t>(o.threads) * kWorker;
  plan.vocabulary = vocabulary_memory(file);
  plan.weights = (model.weights + kHugePage - 1) / kHugePage * kHugePage;
  plan.loading = model.loading;
  plan.buffers = model.step_buffers + rope_bytes(shape, use.positions > 0 ? use.positions : o.context_length) +
                 (use.full_logits ? model.full_logits : 0) + static_cast<size_t>(shape.vocabulary) * sizeof(float);
  if (use.kv_bytes > 0) {
    plan.kv = with_tables((use.kv_bytes + kHugePage - 1) / kHugePage * kHugePage, mean_page(shape, o.kv_format));
  }
  plan.caller = use.caller_bytes;
  return plan;
}

Result<size_t> kv_budget(const GgufFile& file, const ModelShape& shape, const EngineOptions& options) {
  const Limit limit = limit_of(options);
  if (limit.bytes == SIZE_MAX) {
    return options.kv_memory_bytes > 0 ? options.kv_memory_bytes : available_memory_bytes() / 2;
  }
  const EngineOptions o = with_defaults(options, shape);
  MemoryUse use;
  use.caller_bytes = o.caller_memory_bytes;
  BATCHWRIGHT_ASSIGN_OR_RETURN(const MemoryPlan beside, plan_memory(file, shape, o, use));
  const size_t page = mean_page(shape, o.kv_format);
  const size_t kv_needed = o.kv_memory_bytes > 0
                               ? o.kv_memory_bytes
                               : least_kv_bytes(shape, o.kv_format, o.context_length, o.max_batch_tokens);
  const size_t others = beside.peak() - std::max(beside.loading, beside.buffers) + beside.buffers;
  const size_t needed = std::max(others + with_tables(kv_needed, page), beside.peak());
  const size_t usable = limit.bytes - std::min(limit.bytes, kReserve + limit.bytes / kReserveShare);
  const size_t kv_left = without_tables(usable - std::min(usable, others), page);
  if (needed > usable) {
    const size_t enough = (needed + kReserve) / (kReserveShare - 1) * kReserveShare + kMi;
    return too_small(limit, beside, shape, o, kv_left, kv_needed, enough);
  }
  return o.kv_memory_bytes > 0 ? o.kv_memory_bytes : kv_left;
}

}  // namespace batchwright

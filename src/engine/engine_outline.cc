#include "engine/engine_outline.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <utility>

#include "base/status_macros.h"
#include "engine/calibration.h"
#include "engine/kv_pages.h"
#include "engine/memory_plan.h"
#include "engine/request_check.h"
#include "formats/gguf.h"
#include "platform/cpu.h"
#include "platform/posix_file_system.h"
#include "text/vocabulary_gguf.h"

namespace batchwright {
namespace {

constexpr int kMaxThreads = 1024;
constexpr int kMaxBatch = 1 << 16;
constexpr int kMaxBatchTokens = 1 << 20;
// A measured budget is never below: prompts in smaller pieces would read their pages too often.
constexpr int kBudgetMin = 128;

}  // namespace

Result<EngineOptions> resolve_engine_options(const EngineOptions& options) {
  EngineOptions resolved = options;
  BATCHWRIGHT_ASSIGN_OR_RETURN(const Isa isa, select_isa(options.isa));
  resolved.isa = isa_name(isa);
  if (resolved.threads == 0) resolved.threads = usable_cpus();
  BATCHWRIGHT_RETURN_IF_ERROR(check_range("threads", resolved.threads, 1, kMaxThreads));
  BATCHWRIGHT_RETURN_IF_ERROR(check_range("max_batch", resolved.max_batch, 1, kMaxBatch));
  if (resolved.max_batch_tokens == 0) resolved.max_batch_tokens = kDefaultBatchTokens;
  BATCHWRIGHT_RETURN_IF_ERROR(check_range("max_batch_tokens", resolved.max_batch_tokens, 1, kMaxBatchTokens));
  resolved.max_batch_tokens = std::max(resolved.max_batch_tokens, resolved.max_batch);
  BATCHWRIGHT_RETURN_IF_ERROR(check_range("context_length", resolved.context_length, 0, 1 << 24));
  return resolved;
}

int measured_batch_tokens(const CostModel& model, int max_batch) {
  return std::max(max_batch, std::clamp(model.token_budget(kDefaultBatchTokens), kBudgetMin, kDefaultBatchTokens));
}

Status resolve_memory(const GgufFile& file, const ModelShape& shape, EngineOptions& options) {
  if (options.context_length == 0) options.context_length = shape.context_length;
  if (options.context_length > shape.context_length) {
    return invalid_argument(fmt::format("context_length is {}; the model was trained for {}", options.context_length,
                                        shape.context_length));
  }
  BATCHWRIGHT_ASSIGN_OR_RETURN(options.kv_memory_bytes, kv_budget(file, shape, options));
  return {};
}

Result<ModelInfo> describe_model(const std::string& path, const GgufFile& file, const ModelShape& shape) {
  ModelInfo info;
  BATCHWRIGHT_ASSIGN_OR_RETURN(const std::string_view chat_template, file.string_or("tokenizer.chat_template", ""));
  info.path = path;
  info.architecture = shape.architecture;
  info.name = shape.name;
  info.file_bytes = file.file_bytes();
  info.hash = file.hash();
  info.vocabulary_size = shape.vocabulary;
  info.chat_template = std::string(chat_template);
  return info;
}

Result<std::shared_ptr<const Vocabulary>> load_model_vocabulary(const GgufFile& file, const ModelShape& shape) {
  BATCHWRIGHT_ASSIGN_OR_RETURN(auto vocabulary, load_vocabulary(file));
  if (vocabulary->size() == shape.vocabulary) return vocabulary;
  return invalid_data(fmt::format("{}: tokenizer.ggml.tokens holds {} tokens, token_embd.weight {} rows", file.path(),
                                  vocabulary->size(), shape.vocabulary));
}

Result<EngineOutline> read_engine_outline(const std::string& path, const EngineOptions& options,
                                          const std::string& cache_folder) {
  EngineOutline outline;
  BATCHWRIGHT_ASSIGN_OR_RETURN(outline.options, resolve_engine_options(options));
  BATCHWRIGHT_ASSIGN_OR_RETURN(GgufFile opened, GgufFile::open(path));
  outline.file = std::make_unique<const GgufFile>(std::move(opened));
  const GgufFile& file = *outline.file;
  BATCHWRIGHT_ASSIGN_OR_RETURN(outline.shape, read_model_shape(file));
  BATCHWRIGHT_ASSIGN_OR_RETURN(outline.vocabulary, load_model_vocabulary(file, outline.shape));
  BATCHWRIGHT_ASSIGN_OR_RETURN(outline.tokenizer, Tokenizer::create(outline.vocabulary));
  BATCHWRIGHT_ASSIGN_OR_RETURN(outline.info, describe_model(path, file, outline.shape));
  for (const GgufTensor& tensor : file.tensors()) outline.info.parameters += tensor.elements();
  EngineOptions& resolved = outline.options;
  BATCHWRIGHT_RETURN_IF_ERROR(resolve_memory(file, outline.shape, resolved));
  outline.info.context_length = resolved.context_length;
  BATCHWRIGHT_ASSIGN_OR_RETURN(outline.kv, resolve_kv_pages(outline.shape, resolved));
  const auto files = posix_file_system();
  const CalibrationStore store(*files, cache_folder);
  outline.cost_model = store.load(
      calibration_key(processor_name(), resolved.isa, resolved.threads, outline.info.hash, resolved.kv_format));
  if (outline.cost_model && options.max_batch_tokens == 0) {
    resolved.max_batch_tokens = measured_batch_tokens(*outline.cost_model, resolved.max_batch);
  }
  return outline;
}

}  // namespace batchwright

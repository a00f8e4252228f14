// An engine without its weights: all that planning a job needs of a model's file and of the machine.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "batchwright/engine.h"
#include "engine/kv_pages.h"
#include "formats/gguf.h"
#include "model/model_shape.h"
#include "schedule/cost_model.h"
#include "text/tokenizer.h"
#include "text/vocabulary.h"

namespace batchwright {

struct EngineOutline {
  std::unique_ptr<const GgufFile> file;
  EngineOptions options;  // as an engine resolves them
  ModelInfo info;         // parameters: of all tensors
  ModelShape shape;
  std::shared_ptr<const Vocabulary> vocabulary;
  std::shared_ptr<const Tokenizer> tokenizer;
  KvPages kv;
  // What is kept of steps' costs here; with it options.max_batch_tokens is what an engine would take.
  std::optional<CostModel> cost_model;
};

// Reads the file's metadata, no tensor (but for the hash, where it is not kept). cache_folder: of
// CalibrationOptions. Errors: those of Engine::load().
Result<EngineOutline> read_engine_outline(const std::string& path, const EngineOptions& options,
                                          const std::string& cache_folder);

// What the file's metadata say; parameters and context_length are left to the caller.
Result<ModelInfo> describe_model(const std::string& path, const GgufFile& file, const ModelShape& shape);

// As many tokens as the model has embeddings; kInvalidData where the file has more or fewer.
Result<std::shared_ptr<const Vocabulary>> load_model_vocabulary(const GgufFile& file, const ModelShape& shape);

// Options with which there can be an engine: threads, isa and max_batch_tokens are set where they were left open.
Result<EngineOptions> resolve_engine_options(const EngineOptions& options);

// A step's tokens by a measured model, where options left them open.
int measured_batch_tokens(const CostModel& model, int max_batch);

// Sets context_length and kv_memory_bytes where they were left open. Before anything is loaded: what does not fit into
// memory is refused at once (kv_budget()).
Status resolve_memory(const GgufFile& file, const ModelShape& shape, EngineOptions& options);

}  // namespace batchwright

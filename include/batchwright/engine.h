// The engine: a model, its KV cache and its workers, running many requests together.
//
//   auto engine = Engine::load("model.gguf", {});
//   engine.value()->submit(std::move(request));
//   while (engine.value()->active() > 0) {
//     for (Completion& done : engine.value()->step()) { ... }
//   }
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "batchwright/options.h"
#include "batchwright/request.h"
#include "batchwright/status.h"

namespace batchwright {

struct CostModel;
class Tokenizer;
class Vocabulary;

struct ModelInfo {
  std::string path;
  std::string architecture;
  std::string name;
  int64_t parameters = 0;
  uint64_t file_bytes = 0;
  std::string hash;  // XXH3-128 of the file, 32 hex digits
  int context_length = 0;
  int vocabulary_size = 0;
  std::string chat_template;  // empty where the file has none
};

// What kept a step from holding more.
enum class StepLimit {
  kNothing,    // everything that was submitted is in it or in flight
  kMaxTokens,  // EngineOptions::max_batch_tokens
  kMaxBatch,   // EngineOptions::max_batch
  kKvMemory,   // pages for the next request's prompt
};

// Counters since the engine was made; consistent with each other as of the last finished step.
struct EngineStats {
  int64_t steps = 0;
  int64_t prompt_tokens = 0;           // of admitted requests, all choices
  int64_t prompt_tokens_computed = 0;  // without those found in shared pages; recomputed ones count again
  int64_t generated_tokens = 0;
  int64_t preemptions = 0;     // sequences that gave their pages up and were computed again
  double steps_filled = 0;     // a step counts as the share of its token budget that it used; steps_filled / steps is
                               // the mean fill
  double seconds_prefill = 0;  // a step's time is divided by its rows
  double seconds_decode = 0;
  StepLimit last_step_limit = StepLimit::kNothing;
  int sequences_running = 0;
  int sequences_waiting = 0;
  int64_t kv_pages_total = 0;
  int64_t kv_pages_used = 0;
  size_t kv_memory_bytes = 0;
  size_t kv_bytes_touched = 0;  // of pages that were ever used: of the others no memory is taken
  size_t weight_bytes = 0;
  // Median over the steps that were predicted of |predicted / true seconds - 1|; 0 without a cost model.
  double cost_model_error = 0;
  int64_t steps_predicted = 0;
};

// How an engine comes to know what steps cost on this machine.
struct CalibrationOptions {
  // Where measurements are kept from one run to the next; empty: nothing is kept.
  std::string cache_folder;
  // What the caller is about to compute. Where nothing is kept, it is measured (up to seconds_max) if this would take
  // longer than seconds_worth at the speed of a first step.
  double tokens = 0;
  double seconds_worth = 60;
  double seconds_max = 4;
  // Called before it measures, and after that with why the measurement is not kept - empty where it is. Either may be
  // empty.
  std::function<void()> measuring = {};
  std::function<void(const std::string& why_not_kept)> measured = {};
  // Measures in any case, and keeps that instead of what is there.
  bool anew = false;
  // Measurements count although other programs use the machine: they are kept, and decide. For tests.
  bool accept_unsteady = false;
};

// One step: what it held, and where its time went. The three parts of its time follow each other without a gap.
struct StepRecord {
  int64_t step = 0;              // counted from 1; 0: there was none yet
  double begin_seconds = 0;      // since the engine was made
  double seconds = 0;            // the sum of:
  double seconds_plan = 0;       // choosing the tokens and their pages
  double seconds_forward = 0;    // the model, sampling on the workers included
  double seconds_hand_on = 0;    // giving tokens to their requests, and pages back
  double seconds_predicted = 0;  // what the cost model said of the whole; 0: there is none

  int token_budget = 0;            // tokens that it could hold
  int decode_tokens = 0;           // computed in it: tokens of answers,
  int prompt_tokens_computed = 0;  // and of prompts; recomputed ones count again
  // Where in their sequences these stand: sums of positions, and of prompts the mean tokens of the runs that they came
  // in, each as often as it has tokens.
  int64_t decode_positions = 0;
  int64_t prompt_positions = 0;
  double prompt_run_tokens = 0;
  // Tokens of prompts, each choice's, that its sequences got past for the first time, and how many of these they found
  // in shared pages.
  int64_t prompt_tokens = 0;
  int64_t prompt_tokens_shared = 0;
  int logits_rows = 0;
  int64_t generated_tokens = 0;  // that answers got since the step before; some need no computing

  // While the model ran.
  int sequences_running = 0;
  int sequences_waiting = 0;
  int64_t kv_pages_used = 0;  // held by sequences
  int64_t kv_pages_total = 0;
  size_t kv_bytes_used = 0;
  size_t kv_bytes_total = 0;
  int64_t preemptions = 0;  // sequences that gave their pages up for this step

  int tokens() const { return decode_tokens + prompt_tokens_computed; }
};

// What the stages of one name - of all layers together - took since the engine was made.
struct StageStats {
  std::string name;
  double seconds = 0;        // from barrier to barrier
  double multiply_adds = 0;  // of matrix products with weights; 0 for other stages
  double weight_bytes = 0;   // read from memory, once a step
};

// Not thread-safe except where noted: one thread drives it; its workers are inside.
class Engine {
 public:
  // Loads the model, packs its weights, checks the selected kernels against known answers.
  static Result<std::unique_ptr<Engine>> load(const std::string& path, const EngineOptions& options);

  virtual ~Engine() = default;

  virtual const ModelInfo& model() const = 0;
  virtual const EngineOptions& options() const = 0;  // as resolved: threads, isa, kv_memory_bytes, context_length
  virtual const Vocabulary& vocabulary() const = 0;  // thread-safe
  virtual const Tokenizer& tokenizer() const = 0;    // thread-safe

  // The text's tokens, BOS first where the model asks for it. trusted: names of control tokens ("<|im_end|>") in the
  // text become those tokens; otherwise they are text like any other. Thread-safe.
  virtual std::vector<TokenId> tokenize(std::string_view text, bool trusted) const = 0;

  // Queues a request. One that can never run (empty prompt, token out of range, prompt beyond the context, parameter
  // out of range) comes back from the next step as a failed completion that names the field, the value and the limit.
  virtual void submit(Request request) = 0;

  // Drops a request and frees its pages; it gives no completion. Unknown ids are ignored.
  virtual void cancel(uint64_t request_id) = 0;

  // Requests that were submitted and have not been given back.
  virtual int64_t active() const = 0;

  // Runs one forward pass over what is admitted; returns the requests that ended with it. Empty and without effect
  // where nothing is active. A Status only for what stops the whole engine, which then can only be asked for its stats
  // and destroyed: kResourceExhausted where memory ran out.
  virtual Result<std::vector<Completion>> step() = 0;

  // A snapshot; may be called from any thread.
  virtual EngineStats stats() const = 0;

  // Learns what steps cost on this machine, from what is kept or by measuring, as the options say; from then on every
  // step is predicted and checked, and a max_batch_tokens of 0 is what pays here. Nothing may be active. An error says
  // why nothing was learned or kept; the engine works as before.
  virtual Status calibrate(const CalibrationOptions& /*options*/) { return {}; }

  // What calibrate learned; null before. Valid until the next call of it.
  virtual const CostModel* cost_model() const { return nullptr; }

  // Of the step that ended last; the same from any thread. Its record is there when step() returns.
  virtual StepRecord last_step() const { return {}; }

  // In the order of a step. Not while a step runs; what one step took is the difference of two calls.
  virtual std::vector<StageStats> stage_stats() const { return {}; }

  // Log-probability of each token given those before it, for scoring texts: result[i] is that of tokens[i] for
  // i >= first, from one pass over `tokens` alone. Used by `eval`. Nothing else may be active.
  virtual Result<std::vector<float>> score(std::span<const TokenId> tokens, int first) = 0;
};

}  // namespace batchwright

#include "batchwright/engine.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <mutex>
#include <new>
#include <unordered_map>
#include <utility>

#include "base/check.h"
#include "base/hash.h"
#include "base/status_macros.h"
#include "cache/page_cache.h"
#include "decode/logprobs.h"
#include "engine/kv_pages.h"
#include "engine/sequence.h"
#include "formats/gguf.h"
#include "model/model.h"
#include "platform/cpu.h"
#include "platform/thread_pool.h"
#include "schedule/scheduler.h"
#include "text/tokenizer.h"
#include "text/vocabulary_gguf.h"

namespace batchwright {
namespace {

constexpr int kMaxThreads = 1024;
constexpr int kMaxBatch = 1 << 16;
constexpr int kMaxBatchTokens = 1 << 20;

std::string file_hash(std::span<const std::byte> bytes) {
  constexpr size_t kPiece = size_t{16} << 20;
  Hasher128 hasher;
  for (size_t at = 0; at < bytes.size(); at += kPiece) {
    const auto piece = bytes.subspan(at, std::min(kPiece, bytes.size() - at));
    hasher.update({reinterpret_cast<const char*>(piece.data()), piece.size()});
  }
  return hasher.digest().hex();
}

Status check_range(const char* field, int64_t value, int64_t least, int64_t most) {
  if (value >= least && value <= most) return {};
  return invalid_argument(fmt::format("{} is {}; it must be from {} to {}", field, value, least, most));
}

class EngineImpl final : public Engine {
 public:
  static Result<std::unique_ptr<Engine>> create(const std::string& path, const EngineOptions& options);

  const ModelInfo& model() const override { return info_; }
  const EngineOptions& options() const override { return options_; }
  const Vocabulary& vocabulary() const override { return *vocabulary_; }
  const Tokenizer& tokenizer() const override { return *tokenizer_; }
  std::vector<TokenId> tokenize(std::string_view text, bool trusted) const override;
  void submit(Request request) override;
  void cancel(uint64_t request_id) override;
  int64_t active() const override { return static_cast<int64_t>(requests_.size() + ended_.size()); }
  Result<std::vector<Completion>> step() override;
  EngineStats stats() const override;
  std::vector<StageStats> stage_stats() const override;
  Result<std::vector<float>> score(std::span<const TokenId> tokens, int first) override;

 private:
  struct SequenceRef {
    RequestState* request;
    int choice;
  };
  // What a row of logits gave, made by the workers.
  struct Outcome {
    Status status;
    SampledToken sampled;
  };

  EngineImpl() = default;
  Status resolve_options(const EngineOptions& options);
  Status set_up_cache();
  Status validate(const Request& request) const;
  void start_choice(RequestState& state, int choice);
  void consume_logits(int worker, int index, std::span<float> logits);
  void collect_rows(const Step& step, const ForwardResult& result);
  void finish(RequestState& state, Status status);
  void end_sequence(RequestState& state, int choice);
  int64_t count_prompt_rows(const Step& step) const;
  StepLimit step_limit() const;
  std::vector<Completion> take_completions();

  EngineOptions options_;
  Isa isa_ = Isa::kScalar;
  ModelInfo info_;
  std::shared_ptr<const Vocabulary> vocabulary_;
  std::shared_ptr<const Tokenizer> tokenizer_;
  std::unique_ptr<ThreadPool> pool_;
  std::unique_ptr<Model> model_;
  std::unique_ptr<PageCache> cache_;
  std::unique_ptr<Scheduler> scheduler_;

  std::unordered_map<uint64_t, std::unique_ptr<RequestState>> requests_;
  std::unordered_map<int64_t, SequenceRef> sequences_;
  std::vector<Completion> ended_;  // to be given back by the next step

  const Step* step_ = nullptr;
  std::vector<Outcome> outcomes_;
  std::vector<SamplerScratch> sampler_scratch_;

  mutable std::mutex stats_mutex_;
  EngineStats stats_;
};

Status EngineImpl::resolve_options(const EngineOptions& options) {
  options_ = options;
  BATCHWRIGHT_ASSIGN_OR_RETURN(isa_, select_isa(options.isa));
  options_.isa = isa_name(isa_);
  if (options_.threads == 0) options_.threads = usable_cpus();
  BATCHWRIGHT_RETURN_IF_ERROR(check_range("threads", options_.threads, 1, kMaxThreads));
  BATCHWRIGHT_RETURN_IF_ERROR(check_range("max_batch", options_.max_batch, 1, kMaxBatch));
  BATCHWRIGHT_RETURN_IF_ERROR(check_range("max_batch_tokens", options_.max_batch_tokens, 1, kMaxBatchTokens));
  options_.max_batch_tokens = std::max(options_.max_batch_tokens, options_.max_batch);
  BATCHWRIGHT_RETURN_IF_ERROR(check_range("context_length", options_.context_length, 0, 1 << 24));
  return {};
}

Status EngineImpl::set_up_cache() {
  const ModelShape& shape = model_->shape();
  if (options_.context_length == 0) options_.context_length = shape.context_length;
  if (options_.context_length > shape.context_length) {
    return invalid_argument(fmt::format("context_length is {}; the model was trained for {}", options_.context_length,
                                        shape.context_length));
  }
  if (options_.kv_memory_bytes == 0) options_.kv_memory_bytes = available_memory_bytes() / 2;
  BATCHWRIGHT_ASSIGN_OR_RETURN(const std::vector<int32_t> pages,
                               plan_kv_pages(shape, options_.kv_format, options_.kv_memory_bytes,
                                             options_.context_length, options_.max_batch, options_.max_batch_tokens));
  BATCHWRIGHT_RETURN_IF_ERROR(model_->allocate_kv(options_.kv_format, pages));
  std::vector<PageClassSpec> specs;
  const std::vector<PageClass> classes = page_classes(shape);
  for (size_t c = 0; c < classes.size(); ++c) {
    specs.push_back({classes[c].window, pages[c]});
    stats_.kv_pages_total += pages[c];
    stats_.kv_memory_bytes += static_cast<size_t>(pages[c]) * page_bytes(shape, classes[c], options_.kv_format);
  }
  cache_ = std::make_unique<PageCache>(std::move(specs));
  SchedulerOptions scheduling;
  scheduling.max_batch = options_.max_batch;
  scheduling.max_batch_tokens = options_.max_batch_tokens;
  scheduling.share_prefixes = options_.share_prefixes;
  scheduling.prefill_first = options_.prefill_first;
  scheduler_ = std::make_unique<Scheduler>(scheduling, *cache_);
  return {};
}

Result<std::unique_ptr<Engine>> EngineImpl::create(const std::string& path, const EngineOptions& options) {
  auto engine = std::unique_ptr<EngineImpl>(new EngineImpl());
  BATCHWRIGHT_RETURN_IF_ERROR(engine->resolve_options(options));
  BATCHWRIGHT_ASSIGN_OR_RETURN(const GgufFile file, GgufFile::open(path));
  BATCHWRIGHT_ASSIGN_OR_RETURN(engine->vocabulary_, load_vocabulary(file));
  BATCHWRIGHT_ASSIGN_OR_RETURN(engine->tokenizer_, Tokenizer::create(engine->vocabulary_));
  BATCHWRIGHT_ASSIGN_OR_RETURN(const std::string_view chat_template, file.string_or("tokenizer.chat_template", ""));
  engine->info_.chat_template = std::string(chat_template);
  engine->info_.hash = file_hash(file.bytes());
  engine->pool_ = std::make_unique<ThreadPool>(engine->options_.threads);
  BATCHWRIGHT_ASSIGN_OR_RETURN(engine->model_,
                               Model::load(file, *engine->pool_, engine->isa_, engine->options_.max_batch_tokens));
  const ModelShape& shape = engine->model_->shape();
  if (engine->vocabulary_->size() != shape.vocabulary) {
    return invalid_data(fmt::format("{}: tokenizer.ggml.tokens holds {} tokens, token_embd.weight {} rows", path,
                                    engine->vocabulary_->size(), shape.vocabulary));
  }
  engine->info_.path = path;
  engine->info_.architecture = shape.architecture;
  engine->info_.name = shape.name;
  engine->info_.parameters = engine->model_->parameters();
  engine->info_.file_bytes = file.file_bytes();
  engine->info_.vocabulary_size = shape.vocabulary;
  BATCHWRIGHT_RETURN_IF_ERROR(engine->set_up_cache());
  engine->info_.context_length = engine->options_.context_length;
  engine->stats_.weight_bytes = engine->model_->weight_bytes();
  engine->sampler_scratch_.resize(static_cast<size_t>(engine->options_.threads));
  return std::unique_ptr<Engine>(std::move(engine));
}

// Requests

Status EngineImpl::validate(const Request& request) const {
  const auto bad = [](std::string message) { return invalid_argument(std::move(message)); };
  const int context = options_.context_length;
  const auto prompt_tokens = static_cast<int64_t>(request.prompt.size());
  if (request.prompt.empty()) return bad("prompt is empty; at least one token is needed");
  for (const TokenId token : request.prompt) {
    if (!vocabulary_->contains(token)) {
      return bad(fmt::format("prompt holds the token {}; ids go from 0 to {}", token, vocabulary_->size() - 1));
    }
  }
  BATCHWRIGHT_RETURN_IF_ERROR(check_range("max_tokens", request.max_tokens, 0, INT32_MAX));
  if (prompt_tokens + (request.max_tokens > 0 ? 1 : 0) > context) {
    return bad(fmt::format("the prompt has {} tokens; the context of {} leaves room for at most {}", prompt_tokens,
                           context, request.max_tokens > 0 ? context - 1 : context));
  }
  BATCHWRIGHT_RETURN_IF_ERROR(check_range("n", request.n, 1, 1 << 16));
  BATCHWRIGHT_RETURN_IF_ERROR(check_range("min_tokens", request.min_tokens, 0, INT32_MAX));
  BATCHWRIGHT_RETURN_IF_ERROR(check_range("top_logprobs", request.top_logprobs, -1, vocabulary_->size()));
  for (const TokenId token : request.stop_token_ids) {
    if (!vocabulary_->contains(token)) {
      return bad(fmt::format("stop_token_ids holds {}; ids go from 0 to {}", token, vocabulary_->size() - 1));
    }
  }
  return validate_sampling(request.sampling, vocabulary_->size());
}

std::vector<TokenId> EngineImpl::tokenize(std::string_view text, bool trusted) const {
  EncodeOptions options;
  options.parse_special = trusted;
  options.add_bos = true;
  return tokenizer_->encode(text, options);
}

void EngineImpl::submit(Request request) {
  auto state = std::make_unique<RequestState>();
  state->completion.id = request.id;
  Status status = validate(request);
  if (status.ok() && requests_.contains(request.id)) {
    status = invalid_argument(fmt::format("the request id {} is in use", request.id));
  }
  if (status.ok()) {
    auto stops = StopStrings::make(request.stop_strings);
    status = stops.status();
    if (stops.ok()) state->stop_strings = std::move(*stops);
  }
  if (!status.ok()) {
    state->completion.status = std::move(status);
    ended_.push_back(std::move(state->completion));
    return;
  }
  state->request = std::move(request);
  state->completion.prompt_tokens = static_cast<int>(state->request.prompt.size());
  if (state->request.prompt_logprobs) state->completion.prompt_logprobs.resize(state->request.prompt.size());
  RequestState& kept = *state;
  requests_.emplace(kept.request.id, std::move(state));
  kept.open_choices = kept.request.n;
  for (int choice = 0; choice < kept.request.n; ++choice) start_choice(kept, choice);
  if (kept.open_choices == 0) finish(kept, {});
}

void EngineImpl::start_choice(RequestState& state, int choice) {
  const Request& request = state.request;
  const int room = options_.context_length - static_cast<int>(request.prompt.size());
  const bool scored = request.prompt_logprobs && choice == 0;
  auto& own = *state.choices.emplace_back(std::make_unique<ChoiceState>(
      request, choice, std::min(request.max_tokens, room), state.stop_strings, *vocabulary_, row_kernels(isa_)));
  if (request.max_tokens == 0 && !scored) {
    own.end_empty();
    state.sequences.push_back(-1);
    --state.open_choices;
    return;
  }
  SequenceSpec spec;
  spec.prompt = request.prompt;
  spec.full_logits = own.needs_logits();
  spec.prompt_logits_from = scored ? 0 : -1;
  const int64_t sequence = scheduler_->add(std::move(spec));
  state.sequences.push_back(sequence);
  sequences_.emplace(sequence, SequenceRef{&state, choice});
  const std::lock_guard lock(stats_mutex_);
  stats_.prompt_tokens += static_cast<int64_t>(request.prompt.size());
}

void EngineImpl::end_sequence(RequestState& state, int choice) {
  int64_t& sequence = state.sequences[static_cast<size_t>(choice)];
  if (sequence < 0) return;
  state.completion.prompt_tokens_computed += scheduler_->prompt_rows(sequence);
  scheduler_->remove(sequence);
  sequences_.erase(sequence);
  sequence = -1;
  --state.open_choices;
}

void EngineImpl::cancel(uint64_t request_id) {
  const auto it = requests_.find(request_id);
  if (it == requests_.end()) return;
  for (int choice = 0; choice < it->second->request.n; ++choice) end_sequence(*it->second, choice);
  requests_.erase(it);
}

// Ends a request, with an error or (an OK status) as it is.
void EngineImpl::finish(RequestState& state, Status status) {
  for (size_t choice = 0; choice < state.sequences.size(); ++choice) end_sequence(state, static_cast<int>(choice));
  if (status.ok()) {
    for (auto& choice : state.choices) state.completion.choices.push_back(std::move(choice->choice()));
  } else {
    state.completion.prompt_logprobs.clear();
  }
  state.completion.status = std::move(status);
  ended_.push_back(std::move(state.completion));
  requests_.erase(state.request.id);
}

// Steps

// On the workers: everything that needs the whole row.
void EngineImpl::consume_logits(int worker, int index, std::span<float> logits) {
  const LogitsRow& row = step_->logits[static_cast<size_t>(index)];
  const SequenceRef& ref = sequences_.at(row.sequence);
  RequestState& state = *ref.request;
  Outcome& outcome = outcomes_[static_cast<size_t>(index)];
  const int position = step_->positions[static_cast<size_t>(row.row)];
  const auto next = static_cast<size_t>(position) + 1;
  const RowKernels& kernels = row_kernels(isa_);
  if (next < state.request.prompt.size()) {
    auto logprobs =
        token_logprobs(logits, state.request.prompt[next], std::max(0, state.request.top_logprobs), kernels);
    outcome.status = logprobs.status();
    if (logprobs.ok()) state.completion.prompt_logprobs[next] = std::move(*logprobs);
    return;
  }
  if (state.request.max_tokens == 0) return;
  const ChoiceState& choice = *state.choices[static_cast<size_t>(ref.choice)];
  auto sampled = choice.sampler().sample(logits, static_cast<int>(next), choice.suppressed(),
                                         sampler_scratch_[static_cast<size_t>(worker)]);
  outcome.status = sampled.status();
  if (sampled.ok()) outcome.sampled = std::move(*sampled);
}

Result<std::vector<Completion>> EngineImpl::step() {
  const FloatEnvironment environment;
  using Clock = std::chrono::steady_clock;
  const auto begin = Clock::now();
  if (!sequences_.empty()) {
    const Step& step = scheduler_->plan();
    BATCHWRIGHT_CHECK(step.rows() > 0);
    step_ = &step;
    outcomes_.assign(step.logits.size(), {});
    const ForwardResult& result = model_->forward(
        step, [this](int worker, int index, std::span<float> logits) { consume_logits(worker, index, logits); });
    const int64_t prompt_rows = count_prompt_rows(step);
    const StepLimit limit = step_limit();
    collect_rows(step, result);
    const std::lock_guard lock(stats_mutex_);
    const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
    const double share = static_cast<double>(prompt_rows) / step.rows();
    ++stats_.steps;
    stats_.last_step_limit = limit;
    stats_.prompt_tokens_computed += prompt_rows;
    stats_.seconds_prefill += seconds * share;
    stats_.seconds_decode += seconds * (1 - share);
  }
  return take_completions();
}

// A row that failed takes its request with it and nothing of it is shared; then the step's pages are published, and the
// sampled tokens handed on.
void EngineImpl::collect_rows(const Step& step, const ForwardResult& result) {
  for (const Run& run : step.runs) {
    const bool failed =
        std::any_of(result.row_failed.begin() + run.first_row, result.row_failed.begin() + run.first_row + run.count,
                    [](uint8_t f) { return f != 0; });
    const auto it = sequences_.find(run.sequence);
    if (!failed || it == sequences_.end()) continue;
    finish(*it->second.request, internal_error("the model gave a value that is not finite for this prompt"));
  }
  scheduler_->commit();

  for (size_t i = 0; i < step.logits.size(); ++i) {
    const LogitsRow& row = step.logits[i];
    const auto it = sequences_.find(row.sequence);
    if (it == sequences_.end()) continue;
    const SequenceRef ref = it->second;
    RequestState& state = *ref.request;
    ChoiceState& choice = *state.choices[static_cast<size_t>(ref.choice)];
    Outcome& outcome = outcomes_[i];
    const int next = step.positions[static_cast<size_t>(row.row)] + 1;
    if (!row.full) {
      auto sampled = choice.sampler().sample_argmax(result.argmax[i], next);
      outcome.status = sampled.status();
      if (sampled.ok()) outcome.sampled = std::move(*sampled);
    }
    if (!outcome.status.ok()) {
      finish(state, outcome.status);
      continue;
    }
    if (next < state.completion.prompt_tokens) continue;  // a score of the prompt
    bool ended = false;
    if (state.request.max_tokens == 0) {
      choice.end_empty();
      ended = true;
    } else {
      const TokenId token = outcome.sampled.token;
      ended = choice.take(std::move(outcome.sampled));
      if (!ended) {
        scheduler_->append(row.sequence, token);
        scheduler_->set_full_logits(row.sequence, choice.needs_logits());
      }
      const std::lock_guard lock(stats_mutex_);
      ++stats_.generated_tokens;
    }
    if (!ended) continue;
    end_sequence(state, ref.choice);
    if (state.open_choices == 0) finish(state, {});
  }
}

StepLimit EngineImpl::step_limit() const {
  if (scheduler_->out_of_pages()) return StepLimit::kKvMemory;
  if (scheduler_->waiting() > 0 && scheduler_->running() >= options_.max_batch) return StepLimit::kMaxBatch;
  if (scheduler_->out_of_tokens()) return StepLimit::kMaxTokens;
  return StepLimit::kNothing;
}

int64_t EngineImpl::count_prompt_rows(const Step& step) const {
  int64_t rows = 0;
  for (const Run& run : step.runs) {
    const auto prompt = static_cast<int>(sequences_.at(run.sequence).request->request.prompt.size());
    rows += std::clamp(prompt - run.first_position, 0, run.count);
  }
  return rows;
}

std::vector<Completion> EngineImpl::take_completions() {
  std::vector<Completion> completions = std::exchange(ended_, {});
  const std::lock_guard lock(stats_mutex_);
  stats_.preemptions = scheduler_->preemptions();
  stats_.sequences_running = scheduler_->running();
  stats_.sequences_waiting = scheduler_->waiting();
  stats_.kv_pages_used = 0;
  for (int c = 0; c < cache_->classes(); ++c) stats_.kv_pages_used += cache_->held(c);
  return completions;
}

EngineStats EngineImpl::stats() const {
  const std::lock_guard lock(stats_mutex_);
  return stats_;
}

std::vector<StageStats> EngineImpl::stage_stats() const {
  std::vector<StageStats> all;
  for (const StageCost& cost : model_->stage_costs()) {
    auto it = std::find_if(all.begin(), all.end(), [&](const StageStats& s) { return s.name == cost.name; });
    if (it == all.end()) it = all.insert(all.end(), StageStats{cost.name});
    it->seconds += cost.seconds;
    it->multiply_adds += cost.multiply_adds_a_row * static_cast<double>(cost.rows);
    it->weight_bytes += cost.weight_bytes * static_cast<double>(cost.steps);
  }
  return all;
}

Result<std::vector<float>> EngineImpl::score(std::span<const TokenId> tokens, int first) {
  BATCHWRIGHT_CHECK(active() == 0);
  const FloatEnvironment environment;
  const auto size = static_cast<int64_t>(tokens.size());
  BATCHWRIGHT_RETURN_IF_ERROR(check_range("tokens to score", size, 2, options_.context_length));
  BATCHWRIGHT_RETURN_IF_ERROR(check_range("first token to score", first, 1, size - 1));
  for (const TokenId token : tokens) {
    BATCHWRIGHT_RETURN_IF_ERROR(check_range("token", token, 0, vocabulary_->size() - 1));
  }
  std::vector<float> logprobs(tokens.size(), 0.0F);
  SequenceSpec spec;
  spec.prompt.assign(tokens.begin(), tokens.end() - 1);
  spec.full_logits = true;
  spec.prompt_logits_from = first - 1;
  const int64_t sequence = scheduler_->add(std::move(spec));
  Status failure;
  for (int64_t computed = 0; computed < size - 1 && failure.ok();) {
    const Step& step = scheduler_->plan();
    BATCHWRIGHT_CHECK(step.rows() > 0);
    computed += step.rows();
    std::vector<Status> statuses(step.logits.size());
    const ForwardResult& result = model_->forward(step, [&](int /*worker*/, int index, std::span<float> logits) {
      const auto target =
          static_cast<size_t>(step.positions[static_cast<size_t>(step.logits[static_cast<size_t>(index)].row)]) + 1;
      auto logprob = target_logprob(logits, tokens[target], row_kernels(isa_));
      statuses[static_cast<size_t>(index)] = logprob.status();
      if (logprob.ok()) logprobs[target] = *logprob;
    });
    for (const uint8_t failed : result.row_failed) {
      if (failed != 0) failure = internal_error("the model gave a value that is not finite for this text");
    }
    for (Status& status : statuses) {
      if (failure.ok() && !status.ok()) failure = std::move(status);
    }
    scheduler_->commit();
  }
  scheduler_->remove(sequence);
  if (!failure.ok()) return failure;
  return logprobs;
}

}  // namespace

Result<std::unique_ptr<Engine>> Engine::load(const std::string& path, const EngineOptions& options) {
  const FloatEnvironment environment;
  try {
    return EngineImpl::create(path, options);
  } catch (const std::bad_alloc&) {
    return resource_exhausted(path + ": there is not enough memory to load the model");
  }
}

}  // namespace batchwright

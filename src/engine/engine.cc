#include "batchwright/engine.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <new>
#include <unordered_map>
#include <utility>

#include "base/check.h"
#include "base/out_of_memory.h"
#include "base/status_macros.h"
#include "cache/page_cache.h"
#include "decode/logprobs.h"
#include "engine/answer_work.h"
#include "engine/engine_outline.h"
#include "engine/kv_pages.h"
#include "engine/memory_plan.h"
#include "engine/request_check.h"
#include "engine/scoring.h"
#include "engine/sequence.h"
#include "engine/step_accounts.h"
#include "engine/step_costs.h"
#include "formats/gguf.h"
#include "model/model.h"
#include "platform/cpu.h"
#include "platform/memory_limit.h"
#include "platform/thread_pool.h"
#include "schedule/scheduler.h"
#include "text/tokenizer.h"
#include "text/vocabulary_gguf.h"

namespace batchwright {
namespace {

// Request::reused_tokens for a sequence after which others of the same request come.
int reused_by_own(const Request& request) {
  return request.reused_tokens < 0 ? -1 : static_cast<int>(request.prompt.size());
}

// Of so many positions from the first on.
int64_t sum_of_positions(int first, int count) { return int64_t{count} * first + int64_t{count} * (count - 1) / 2; }

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
  EngineStats stats() const override { return accounts_.stats(); }
  StepRecord last_step() const override { return accounts_.last_step(); }
  std::vector<StageStats> stage_stats() const override { return costs_.stage_stats(*model_); }
  Status calibrate(const CalibrationOptions& options) override;
  const CostModel* cost_model() const override { return costs_.model(); }
  Result<std::vector<float>> score(std::span<const TokenId> tokens, int first) override;

 private:
  struct SequenceRef {
    RequestState* request;
    int choice;       // -1: this sequence scores a path of the allowed answers
    int path = -1;    // the scorer's
    int reached = 0;  // positions that were computed or found so far; given up pages do not count against it
  };
  // What a row of logits gave, made by the workers.
  struct Outcome {
    Status status;
    SampledToken sampled;
    bool out_of_memory = false;
  };

  EngineImpl() = default;
  Status resolve_options(const EngineOptions& options);
  Status set_up_cache();
  Result<std::shared_ptr<const TokenTrie>> trie_of(const std::shared_ptr<const AllowedAnswers>& answers);
  Status prepare(RequestState& state);
  void start_choice(RequestState& state, int choice);
  void start_paths(RequestState& state);
  Status score_path(const SequenceRef& ref, int known, std::span<const float> logits) const;
  void consume_logits(int worker, int index, std::span<float> logits);
  void collect_rows(const Step& step, const ForwardResult& result);
  bool hand_on(int64_t sequence, const SequenceRef& ref, SampledToken sampled);
  void finish(RequestState& state, Status status);
  void end_sequence(RequestState& state, int64_t sequence);
  void end_choice(RequestState& state, int choice);
  void end_path(RequestState& state, size_t path);
  void end_all(RequestState& state);
  StepRecord describe(const Step& step);
  StepLimit step_limit() const;
  Result<std::vector<Completion>> take_step();

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
  // The last list of allowed answers, and what was made of it.
  std::shared_ptr<const AllowedAnswers> last_answers_;
  std::shared_ptr<const TokenTrie> last_trie_;

  bool budget_is_free_ = false;  // max_batch_tokens was left open
  StepCosts costs_;

  const Step* step_ = nullptr;
  std::vector<Outcome> outcomes_;
  std::vector<SamplerScratch> sampler_scratch_;

  using Clock = std::chrono::steady_clock;
  const Clock::time_point start_ = Clock::now();
  StepAccounts accounts_;
};

Status EngineImpl::resolve_options(const EngineOptions& options) {
  BATCHWRIGHT_ASSIGN_OR_RETURN(options_, resolve_engine_options(options));
  BATCHWRIGHT_ASSIGN_OR_RETURN(isa_, select_isa(options_.isa));
  budget_is_free_ = options.max_batch_tokens == 0;
  return {};
}

Status EngineImpl::set_up_cache() {
  BATCHWRIGHT_ASSIGN_OR_RETURN(KvPages pages, resolve_kv_pages(model_->shape(), options_));
  BATCHWRIGHT_RETURN_IF_ERROR(model_->allocate_kv(options_.kv_format, pages.counts));
  accounts_.set_pages(pages);
  cache_ = std::make_unique<PageCache>(std::move(pages.specs));
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
  BATCHWRIGHT_ASSIGN_OR_RETURN(const ModelShape expected, read_model_shape(file));
  BATCHWRIGHT_RETURN_IF_ERROR(resolve_memory(file, expected, engine->options_));
  BATCHWRIGHT_ASSIGN_OR_RETURN(engine->vocabulary_, load_model_vocabulary(file, expected));
  BATCHWRIGHT_ASSIGN_OR_RETURN(engine->tokenizer_, Tokenizer::create(engine->vocabulary_));
  BATCHWRIGHT_ASSIGN_OR_RETURN(engine->info_, describe_model(path, file, expected));
  // What the vocabulary was made from would stand beside the weights.
  file.release_metadata();
  return_freed_memory();
  engine->pool_ = std::make_unique<ThreadPool>(engine->options_.threads);
  BATCHWRIGHT_ASSIGN_OR_RETURN(engine->model_,
                               Model::load(file, *engine->pool_, engine->isa_, engine->options_.max_batch_tokens));
  engine->info_.parameters = engine->model_->parameters();
  BATCHWRIGHT_RETURN_IF_ERROR(engine->set_up_cache());
  engine->info_.context_length = engine->options_.context_length;
  engine->accounts_.set_weight_bytes(engine->model_->weight_bytes());
  engine->sampler_scratch_.resize(static_cast<size_t>(engine->options_.threads));
  return std::unique_ptr<Engine>(std::move(engine));
}

// Requests

Result<std::shared_ptr<const TokenTrie>> EngineImpl::trie_of(const std::shared_ptr<const AllowedAnswers>& answers) {
  if (answers == last_answers_) return last_trie_;
  BATCHWRIGHT_ASSIGN_OR_RETURN(TokenTrie trie, make_trie(*answers, *vocabulary_));
  last_trie_ = std::make_shared<const TokenTrie>(std::move(trie));
  last_answers_ = answers;
  return last_trie_;
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
  Status status = check_request(request, *vocabulary_, options_.context_length);
  if (status.ok() && requests_.contains(request.id)) {
    status = invalid_argument(fmt::format("the request id {} is in use", request.id));
  }
  state->request = std::move(request);
  if (status.ok()) status = prepare(*state);
  if (!status.ok()) {
    state->completion.status = std::move(status);
    ended_.push_back(std::move(state->completion));
    return;
  }
  RequestState& kept = *state;
  requests_.emplace(kept.request.id, std::move(state));
  kept.open_choices = kept.request.n;
  for (int choice = 0; choice < kept.request.n; ++choice) start_choice(kept, choice);
  start_paths(kept);
  if (kept.scorer == nullptr || kept.scorer->paths().empty()) {
    const int64_t last = *std::max_element(kept.sequences.begin(), kept.sequences.end());
    if (last >= 0) scheduler_->set_reused_tokens(last, kept.request.reused_tokens);
  }
  if (kept.done()) finish(kept, {});
}

// What a valid request needs before its choices start.
Status EngineImpl::prepare(RequestState& state) {
  const Request& request = state.request;
  BATCHWRIGHT_ASSIGN_OR_RETURN(state.stop_strings, StopStrings::make(request.stop_strings));
  if (request.allowed_answers != nullptr) {
    BATCHWRIGHT_ASSIGN_OR_RETURN(state.trie, trie_of(request.allowed_answers));
    BATCHWRIGHT_RETURN_IF_ERROR(check_answers(request, *state.trie, options_.context_length));
  }
  if (request.answer_logprobs) {
    state.scorer = std::make_unique<AnswerScorer>(*state.trie, vocabulary_->end_of_generation(), row_kernels(isa_));
  }
  state.completion.prompt_tokens = static_cast<int>(request.prompt.size());
  if (request.prompt_logprobs) state.completion.prompt_logprobs.resize(request.prompt.size());
  return {};
}

void EngineImpl::start_choice(RequestState& state, int choice) {
  const Request& request = state.request;
  const bool scored = request.prompt_logprobs && choice == 0;
  const int limit = answer_tokens_max(request, options_.context_length);
  auto& own = *state.choices.emplace_back(std::make_unique<ChoiceState>(
      request, choice, limit, state.stop_strings, state.trie.get(), *vocabulary_, row_kernels(isa_)));
  bool ended = false;
  if (request.max_tokens == 0 && !scored) {
    own.end_empty();
    ended = true;
  } else if (state.scorer == nullptr || choice > 0) {
    // The scorer's first row is that of the first choice.
    ended = own.take_forced();
  }
  const std::vector<TokenId>& begun = own.choice().tokens;
  accounts_.add_generated(own.generated());
  if (ended) {
    state.sequences.push_back(-1);
    --state.open_choices;
    return;
  }
  SequenceSpec spec;
  spec.prompt = request.prompt;
  spec.prompt.insert(spec.prompt.end(), begun.begin(), begun.end());
  spec.answer_tokens = static_cast<int>(begun.size());
  spec.full_logits = own.needs_logits();
  spec.prompt_logits_from = scored ? 0 : -1;
  spec.reused_tokens = reused_by_own(request);
  spec.most_tokens = limit - static_cast<int>(begun.size());
  spec.expected_tokens =
      std::min(limit, request.expected_tokens < 0 ? limit : request.expected_tokens) - static_cast<int>(begun.size());
  if (request.expected_beyond) {
    spec.expected_beyond = [&request, known = spec.answer_tokens](int generated) {
      return request.expected_beyond(generated + known) - known;
    };
  }
  const int64_t sequence = scheduler_->add(std::move(spec));
  state.sequences.push_back(sequence);
  sequences_.emplace(sequence, SequenceRef{&state, choice});
  accounts_.add_prompt(request.prompt.size());
}

// Each of the scorer's paths is a sequence of its own that begins like the choices'; so many at once as can run.
void EngineImpl::start_paths(RequestState& state) {
  if (state.scorer == nullptr) return;
  const auto& paths = state.scorer->paths();
  const auto at_once = static_cast<size_t>(options_.max_batch);
  for (size_t& p = state.paths_started; p < paths.size() && state.path_sequences.size() < at_once; ++p) {
    const std::vector<TokenId> tokens = state.trie->path(paths[p].last);
    SequenceSpec spec;
    spec.prompt = state.request.prompt;
    spec.prompt.insert(spec.prompt.end(), tokens.begin(), tokens.end());
    spec.answer_tokens = paths[p].length;
    spec.full_logits = true;
    spec.prompt_logits_from = static_cast<int>(state.request.prompt.size()) + paths[p].owned_from - 1;
    spec.reused_tokens = p + 1 == paths.size() ? state.request.reused_tokens : reused_by_own(state.request);
    const int64_t sequence = scheduler_->add(std::move(spec));
    state.path_sequences.emplace(p, sequence);
    sequences_.emplace(sequence, SequenceRef{&state, -1, static_cast<int>(p)});
  }
}

void EngineImpl::end_sequence(RequestState& state, int64_t sequence) {
  state.completion.prompt_tokens_computed += scheduler_->prompt_rows(sequence);
  scheduler_->remove(sequence);
  sequences_.erase(sequence);
}

void EngineImpl::end_choice(RequestState& state, int choice) {
  int64_t& sequence = state.sequences[static_cast<size_t>(choice)];
  if (sequence < 0) return;
  end_sequence(state, sequence);
  sequence = -1;
  --state.open_choices;
}

void EngineImpl::end_path(RequestState& state, size_t path) {
  end_sequence(state, state.path_sequences.at(path));
  state.path_sequences.erase(path);
}

void EngineImpl::end_all(RequestState& state) {
  for (size_t choice = 0; choice < state.sequences.size(); ++choice) end_choice(state, static_cast<int>(choice));
  while (!state.path_sequences.empty()) end_path(state, state.path_sequences.begin()->first);
}

void EngineImpl::cancel(uint64_t request_id) {
  const auto it = requests_.find(request_id);
  if (it == requests_.end()) return;
  end_all(*it->second);
  requests_.erase(it);
}

// Ends a request, with an error or (an OK status) as it is.
void EngineImpl::finish(RequestState& state, Status status) {
  end_all(state);
  if (status.ok() && state.scorer != nullptr) {
    auto logprobs = state.scorer->result(*state.request.allowed_answers);
    status = logprobs.status();
    if (logprobs.ok()) state.completion.answer_logprobs = std::move(*logprobs);
  }
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
  if (ref.path >= 0) {
    outcome.status = score_path(ref, position + 1, logits);
    return;
  }
  if (next < state.request.prompt.size()) {
    auto logprobs =
        token_logprobs(logits, state.request.prompt[next], std::max(0, state.request.top_logprobs), kernels);
    outcome.status = logprobs.status();
    if (logprobs.ok()) state.completion.prompt_logprobs[next] = std::move(*logprobs);
    return;
  }
  if (state.request.max_tokens == 0) return;
  const ChoiceState& choice = *state.choices[static_cast<size_t>(ref.choice)];
  if (state.scorer != nullptr && ref.choice == 0 && next == state.request.prompt.size()) {
    outcome.status = state.scorer->score(TokenTrie::kRoot, logits);
    if (!outcome.status.ok()) return;
  }
  auto sampled = choice.sample(logits, static_cast<int>(next), sampler_scratch_[static_cast<size_t>(worker)]);
  outcome.status = sampled.status();
  if (sampled.ok()) outcome.sampled = std::move(*sampled);
}

// The row after the first `known` tokens of a path's sequence.
Status EngineImpl::score_path(const SequenceRef& ref, int known, std::span<const float> logits) const {
  const RequestState& state = *ref.request;
  const AnswerScorer::Path& path = state.scorer->paths()[static_cast<size_t>(ref.path)];
  TokenTrie::Node node = path.last;
  for (int left = state.completion.prompt_tokens + path.length - known; left > 0; --left) {
    node = state.trie->parent(node);
  }
  return state.scorer->score(node, logits);
}

Result<std::vector<Completion>> EngineImpl::step() {
  try {
    return take_step();
  } catch (const std::bad_alloc&) {
    return out_of_memory();
  }
}

Result<std::vector<Completion>> EngineImpl::take_step() {
  const FloatEnvironment environment;
  const auto begin = Clock::now();
  if (!sequences_.empty()) {
    const int64_t preemptions_before = scheduler_->preemptions();
    const Step& step = scheduler_->plan();
    BATCHWRIGHT_CHECK(step.rows() > 0);
    StepRecord record = describe(step);
    record.preemptions = scheduler_->preemptions() - preemptions_before;
    step_ = &step;
    outcomes_.assign(step.logits.size(), {});
    const StepLimit limit = step_limit();
    const auto planned = Clock::now();
    const ForwardResult& result =
        model_->forward(step, [this](int worker, int index, std::span<float> logits) noexcept {
          const Status consumed = catch_out_of_memory([&] { return consume_logits(worker, index, logits), Status(); });
          outcomes_[static_cast<size_t>(index)].out_of_memory = !consumed.ok();
        });
    const auto failed = [](const Outcome& outcome) { return outcome.out_of_memory; };
    if (std::any_of(outcomes_.begin(), outcomes_.end(), failed)) return out_of_memory();
    const auto computed = Clock::now();
    const double predicted = costs_.predict(step);
    collect_rows(step, result);
    const auto end = Clock::now();
    const auto seconds = [](Clock::duration d) { return std::chrono::duration<double>(d).count(); };
    record.begin_seconds = seconds(begin - start_);
    record.seconds = seconds(end - begin);
    record.seconds_plan = seconds(planned - begin);
    record.seconds_forward = seconds(computed - planned);
    record.seconds_hand_on = seconds(end - computed);
    record.seconds_predicted = costs_.check(predicted, record.seconds);
    accounts_.close(record, limit);
  }
  accounts_.update(*scheduler_, *cache_, costs_.checked());
  return std::exchange(ended_, {});
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
    Outcome& outcome = outcomes_[i];
    const int next = step.positions[static_cast<size_t>(row.row)] + 1;
    if (!row.full) {
      auto sampled = state.choices[static_cast<size_t>(ref.choice)]->sample_argmax(result.argmax[i], next);
      outcome.status = sampled.status();
      if (sampled.ok()) outcome.sampled = std::move(*sampled);
    }
    if (!outcome.status.ok()) {
      finish(state, outcome.status);
      continue;
    }
    if (ref.path >= 0) {
      const auto path = static_cast<size_t>(ref.path);
      if (next < state.completion.prompt_tokens + state.scorer->paths()[path].length) continue;
      end_path(state, path);
      start_paths(state);
    } else {
      if (next < state.completion.prompt_tokens) continue;  // a score of the prompt
      if (!hand_on(row.sequence, ref, std::move(outcome.sampled))) continue;
      end_choice(state, ref.choice);
    }
    if (state.done()) finish(state, {});
  }
}

// Gives a choice its token; true where the choice has ended.
bool EngineImpl::hand_on(int64_t sequence, const SequenceRef& ref, SampledToken sampled) {
  ChoiceState& choice = *ref.request->choices[static_cast<size_t>(ref.choice)];
  if (ref.request->request.max_tokens == 0) {
    choice.end_empty();
    return true;
  }
  const auto known = choice.choice().tokens.size();
  const int generated = choice.generated();
  const bool ended = choice.take(std::move(sampled));
  if (!ended) {
    scheduler_->append(sequence, std::span(choice.choice().tokens).subspan(known));
    scheduler_->set_full_logits(sequence, choice.needs_logits());
  }
  accounts_.add_generated(choice.generated() - generated);
  return ended;
}

StepLimit EngineImpl::step_limit() const {
  if (scheduler_->out_of_pages()) return StepLimit::kKvMemory;
  if (scheduler_->waiting() > 0 && scheduler_->running() >= options_.max_batch) return StepLimit::kMaxBatch;
  if (scheduler_->out_of_tokens()) return StepLimit::kMaxTokens;
  return StepLimit::kNothing;
}

// What the planned step holds; its times are still to come.
StepRecord EngineImpl::describe(const Step& step) {
  StepRecord record;
  record.token_budget = options_.max_batch_tokens;
  record.logits_rows = static_cast<int>(step.logits.size());
  double squares = 0;
  for (const Run& run : step.runs) {
    SequenceRef& ref = sequences_.at(run.sequence);
    const auto prompt = static_cast<int>(ref.request->request.prompt.size());
    const int computed = std::clamp(prompt - run.first_position, 0, run.count);
    record.prompt_tokens_computed += computed;
    record.decode_tokens += run.count - computed;
    record.prompt_positions += sum_of_positions(run.first_position, computed);
    record.decode_positions += sum_of_positions(run.first_position + computed, run.count - computed);
    squares += double{1} * computed * computed;
    if (ref.path >= 0) continue;  // its prompt is that of the choices
    const int from = std::min(ref.reached, prompt);
    record.prompt_tokens_shared += std::max(0, std::min(run.first_position, prompt) - from);
    ref.reached = std::max(ref.reached, run.first_position + run.count);
    record.prompt_tokens += std::min(ref.reached, prompt) - from;
  }
  if (squares > 0) record.prompt_run_tokens = squares / record.prompt_tokens_computed;
  accounts_.describe_sequences(*scheduler_, *cache_, record);
  return record;
}

// What steps cost

Status EngineImpl::calibrate(const CalibrationOptions& options) {
  BATCHWRIGHT_CHECK(active() == 0);
  const FloatEnvironment environment;
  CalibrationLimits limits;
  limits.max_tokens = budget_is_free_ ? std::max(options_.max_batch, kDefaultBatchTokens) : options_.max_batch_tokens;
  limits.context_length = options_.context_length;
  limits.threads = options_.threads;
  limits.seconds = options.seconds_max;
  const std::string key =
      calibration_key(processor_name(), options_.isa, options_.threads, info_.hash, options_.kv_format);
  Status status = costs_.calibrate(*model_, *cache_, key, limits, options);
  if (costs_.decides() && budget_is_free_) {
    options_.max_batch_tokens = measured_batch_tokens(*costs_.model(), options_.max_batch);
    scheduler_->set_max_batch_tokens(options_.max_batch_tokens);
  }
  return status;
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
  return score_tokens(*model_, *scheduler_, row_kernels(isa_), tokens, first);
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

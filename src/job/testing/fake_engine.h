// An Engine without a model, for tests: answers with the prompt's bytes, in an order that mixes the rows up.
#pragma once

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "batchwright/engine.h"
#include "text/vocabulary.h"

namespace batchwright {

class FakeEngine : public Engine {
 public:
  FakeEngine() {
    info_.path = "fake.gguf";
    info_.architecture = "fake";
    info_.name = "Fake";
    info_.hash = "00112233445566778899aabbccddeeff";
    options_.isa = "scalar";
    options_.threads = 1;
    options_.max_batch = 4;
    options_.context_length = 1000;
  }

  void set_hash(std::string hash) { info_.hash = std::move(hash); }

  // Fails the whole engine at this step (from 1); 0: never.
  int fail_at_step = 0;
  // Called at the beginning of each step, with its number.
  std::function<void(int)> on_step;
  // Requests with this byte in the prompt fail alone.
  TokenId poison = '#';
  // Requests that never end.
  TokenId endless = '~';

  const ModelInfo& model() const override { return info_; }
  const EngineOptions& options() const override { return options_; }
  const Vocabulary& vocabulary() const override { return *vocabulary_; }
  const Tokenizer& tokenizer() const override { std::abort(); }

  std::vector<TokenId> tokenize(std::string_view /*text*/, bool /*trusted*/) const override { std::abort(); }

  void submit(Request request) override {
    stats_.prompt_tokens += static_cast<int64_t>(request.prompt.size()) * request.n;
    expected_tokens.push_back(request.expected_tokens);
    requests_.push_back(std::move(request));
    ++submitted;
    largest_active = std::max(largest_active, active());
    publish();
  }
  void cancel(uint64_t id) override {
    std::erase_if(requests_, [id](const Request& r) { return r.id == id; });
  }
  int64_t active() const override { return static_cast<int64_t>(requests_.size()); }

  Result<std::vector<Completion>> step() override {
    ++stats_.steps;
    stats_.steps_filled += 0.25;
    publish();
    if (on_step) on_step(static_cast<int>(stats_.steps));
    if (stats_.steps == fail_at_step) return internal_error("the fake engine broke");
    std::vector<Completion> done;
    // Of the first few, those whose number the step divides oddly: the later ones first.
    const size_t running = std::min<size_t>(requests_.size(), static_cast<size_t>(options_.max_batch));
    for (size_t i = running; i-- > 0;) {
      if (is_endless(requests_[i]) || (requests_[i].id + static_cast<uint64_t>(stats_.steps)) % 3 == 0) continue;
      done.push_back(answer(requests_[i]));
      requests_.erase(requests_.begin() + static_cast<int64_t>(i));
    }
    stats_.sequences_running = static_cast<int>(std::min<size_t>(requests_.size(), 4));
    stats_.sequences_waiting = static_cast<int>(requests_.size()) - stats_.sequences_running;
    publish();
    return done;
  }

  // Keeps nothing, and knows what steps cost all the same where it is given a folder.
  Status calibrate(const CalibrationOptions& options) override {
    calibrations.push_back(options);
    stats_.steps_predicted = options.cache_folder.empty() ? 0 : 1;
    stats_.cost_model_error = 0.25;
    return invalid_data("the fake engine keeps nothing");
  }
  EngineStats stats() const override {
    const std::lock_guard lock(*mutex_);
    return published_;
  }
  Result<std::vector<float>> score(std::span<const TokenId> /*tokens*/, int /*first*/) override {
    return unsupported("the fake engine scores nothing");
  }

  int64_t largest_active = 0;
  int64_t submitted = 0;
  std::vector<int> expected_tokens;  // of those submitted
  std::vector<CalibrationOptions> calibrations;

 private:
  void publish() {
    const std::lock_guard lock(*mutex_);
    published_ = stats_;
  }

  bool is_endless(const Request& request) const {
    return std::find(request.prompt.begin(), request.prompt.end(), endless) != request.prompt.end();
  }

  Completion answer(const Request& request) {
    Completion completion;
    completion.id = request.id;
    completion.prompt_tokens = static_cast<int>(request.prompt.size());
    if (std::find(request.prompt.begin(), request.prompt.end(), poison) != request.prompt.end()) {
      completion.status = invalid_argument("the prompt holds a poisoned token");
      return completion;
    }
    for (int i = 0; i < request.n; ++i) {
      Choice choice;
      for (const TokenId token : request.prompt) {
        if (token < 256) choice.text += static_cast<char>(token);
      }
      choice.text += " #" + std::to_string(request.sampling.seed % 1000) + "/" + std::to_string(i);
      choice.generated_tokens = static_cast<int>(choice.text.size());
      stats_.generated_tokens += choice.generated_tokens;
      completion.choices.push_back(std::move(choice));
    }
    stats_.prompt_tokens_computed += completion.prompt_tokens;
    return completion;
  }

  static std::shared_ptr<const Vocabulary> two_tokens() {
    VocabularyData data;
    data.kind = VocabularyKind::kSpm;
    data.tokens = {"<unk>", "</s>"};
    data.scores = {0, 0};
    data.types = {static_cast<int32_t>(TokenType::kUnknown), static_cast<int32_t>(TokenType::kControl)};
    data.eos = 1;
    return *Vocabulary::create(data);
  }

  std::shared_ptr<const Vocabulary> vocabulary_ = two_tokens();
  ModelInfo info_;
  EngineOptions options_;
  EngineStats stats_;
  std::unique_ptr<std::mutex> mutex_ = std::make_unique<std::mutex>();  // engines are moved
  EngineStats published_;
  std::vector<Request> requests_;
};

}  // namespace batchwright

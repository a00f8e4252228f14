// Tokenising English prose, in bytes a second: BATCHWRIGHT_TEST_MODELS names the folder of the models.
#include <benchmark/benchmark.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "formats/gguf.h"
#include "text/detokenizer.h"
#include "text/tokenizer.h"
#include "text/vocabulary_gguf.h"

namespace batchwright {
namespace {

constexpr const char* kQwen = "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf";
constexpr const char* kGemma = "gemma-3-270m-q4_k_m.gguf";

std::string model_path(const char* file_name) {
  const char* folder = std::getenv("BATCHWRIGHT_TEST_MODELS");
  return std::string(folder == nullptr ? "." : folder) + "/" + file_name;
}

std::shared_ptr<const Tokenizer> load(benchmark::State& state, const char* file_name) {
  const auto file = GgufFile::open(model_path(file_name));
  if (!file.ok()) {
    state.SkipWithError(file.status().message().c_str());
    return nullptr;
  }
  return Tokenizer::create(load_vocabulary(*file).value()).value();
}

// The licences that every Debian system has.
std::string prose() {
  std::string text;
  for (const char* name : {"Apache-2.0", "GPL-2", "GPL-3", "LGPL-2.1", "GFDL-1.3"}) {
    std::ifstream file(std::string("/usr/share/common-licenses/") + name);
    text.append(std::istreambuf_iterator<char>(file), {});
  }
  return text;
}

// In prompts of range(0) bytes.
void encode_prose(benchmark::State& state, const char* file_name) {
  const auto tokenizer = load(state, file_name);
  if (tokenizer == nullptr) return;
  const std::string text = prose();
  const auto prompt_bytes = static_cast<size_t>(state.range(0));
  for (auto _ : state) {
    for (size_t at = 0; at < text.size(); at += prompt_bytes) {
      benchmark::DoNotOptimize(tokenizer->encode(std::string_view(text).substr(at, prompt_bytes)));
    }
  }
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(text.size()));
}
BENCHMARK_CAPTURE(encode_prose, qwen2, kQwen)->Arg(512)->Arg(1 << 20)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(encode_prose, gemma3, kGemma)->Arg(512)->Arg(1 << 20)->Unit(benchmark::kMillisecond);

// Before anything is remembered of the words: a new tokeniser each time.
void encode_prose_cold(benchmark::State& state, const char* file_name) {
  const auto loaded = load(state, file_name);
  if (loaded == nullptr) return;
  const std::string text = prose();
  for (auto _ : state) {
    state.PauseTiming();
    const auto file = GgufFile::open(model_path(file_name));
    auto tokenizer = Tokenizer::create(load_vocabulary(file.value()).value()).value();
    state.ResumeTiming();
    benchmark::DoNotOptimize(tokenizer->encode(text));
    state.PauseTiming();
    tokenizer.reset();
    state.ResumeTiming();
  }
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(text.size()));
}
BENCHMARK_CAPTURE(encode_prose_cold, qwen2, kQwen)->Unit(benchmark::kMillisecond)->Iterations(5);
BENCHMARK_CAPTURE(encode_prose_cold, gemma3, kGemma)->Unit(benchmark::kMillisecond)->Iterations(5);

void load_tokenizer(benchmark::State& state, const char* file_name) {
  for (auto _ : state) benchmark::DoNotOptimize(load(state, file_name));
}
BENCHMARK_CAPTURE(load_tokenizer, qwen2, kQwen)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(load_tokenizer, gemma3, kGemma)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace batchwright

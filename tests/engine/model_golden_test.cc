// Logits and perplexities of the tiny models against the independent fp64 reference (tests/reference).

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "batchwright/engine.h"
#include "cache/page_cache.h"
#include "formats/gguf.h"
#include "model/model.h"
#include "platform/cpu.h"
#include "schedule/scheduler.h"
#include "text/tokenizer.h"

namespace batchwright {
namespace {

struct Case {
  const char* model;
  // Largest difference of a logit allowed, as a share of the logits' standard deviation. What separates F32 models from
  // the reference is rounding alone; quantised products round their activations to 8 bits.
  double tolerance;
  double perplexity_tolerance;  // relative
};
constexpr Case kCases[] = {
    {"tiny-qwen2-f32", 2e-5, 0.001},  {"tiny-qwen2-f16", 2e-5, 0.001},  {"tiny-qwen2-legacy", 0.15, 0.02},
    {"tiny-qwen2-k", 0.15, 0.02},     {"tiny-gemma3-f32", 2e-5, 0.001}, {"tiny-gemma3-bf16", 2e-5, 0.001},
    {"tiny-gemma3-q8_0", 0.15, 0.02},
};

std::string model_path(const std::string& name) { return std::string(BATCHWRIGHT_TINY_MODELS) + "/" + name + ".gguf"; }

nlohmann::json golden(const std::string& name) {
  std::ifstream in(std::string(BATCHWRIGHT_GOLDEN) + "/" + name + ".json");
  return nlohmann::json::parse(in);
}

// The logits after every token of a sequence, in prefill chunks of `budget`.
std::vector<std::vector<float>> all_logits(Model& model, const std::vector<TokenId>& tokens, int budget) {
  std::vector<PageClassSpec> specs;
  std::vector<int32_t> pages;
  for (const PageClass& page_class : page_classes(model.shape())) {
    specs.push_back({page_class.window, 16});
    pages.push_back(16);
  }
  EXPECT_TRUE(model.allocate_kv(KvFormat::kF32, pages).ok());
  PageCache cache(specs);
  SchedulerOptions options;
  options.max_batch = 1;
  options.max_batch_tokens = budget;
  Scheduler scheduler(options, cache);
  SequenceSpec spec;
  spec.prompt = tokens;
  spec.prompt_logits_from = 0;
  spec.full_logits = true;
  scheduler.add(std::move(spec));
  std::vector<std::vector<float>> logits(tokens.size());
  for (size_t done = 0; done < tokens.size();) {
    const Step& step = scheduler.plan();
    done += static_cast<size_t>(step.rows());
    const ForwardResult& result = model.forward(step, [&](int /*worker*/, int index, std::span<float> row) {
      const int32_t at = step.logits[static_cast<size_t>(index)].row;
      logits[static_cast<size_t>(step.positions[static_cast<size_t>(at)])].assign(row.begin(), row.end());
    });
    for (const uint8_t failed : result.row_failed) EXPECT_EQ(failed, 0);
    scheduler.commit();
  }
  return logits;
}

class ModelGolden : public testing::TestWithParam<Case> {};

TEST_P(ModelGolden, LogitsEqualTheReference) {
  const Case& c = GetParam();
  const auto expected = golden(c.model);
  auto file = GgufFile::open(model_path(c.model));
  ASSERT_TRUE(file.ok()) << file.status().message();
  ThreadPool pool(2);
  auto model = Model::load(*file, pool, strongest_isa(), 64);
  ASSERT_TRUE(model.ok()) << model.status().message();
  double worst = 0;
  int compared = 0;
  for (const auto& sequence : expected["sequences"]) {
    const auto logits = all_logits(**model, sequence["tokens"].get<std::vector<TokenId>>(), 64);
    for (const auto& row : sequence["rows"]) {
      const auto want = row["logits"].get<std::vector<double>>();
      const auto& got = logits[row["position"].get<size_t>()];
      ASSERT_EQ(got.size(), want.size());
      double mean = 0;
      double square = 0;
      for (const double w : want) mean += w / static_cast<double>(want.size());
      for (const double w : want) square += (w - mean) * (w - mean) / static_cast<double>(want.size());
      for (size_t i = 0; i < want.size(); ++i) {
        worst = std::max(worst, std::abs(static_cast<double>(got[i]) - want[i]) / std::sqrt(square));
      }
      ++compared;
    }
  }
  RecordProperty("worst", std::to_string(worst));
  EXPECT_GT(compared, 1);
  EXPECT_LT(worst, c.tolerance);
}

TEST_P(ModelGolden, PerplexityEqualsTheReference) {
  const Case& c = GetParam();
  const auto expected = golden(c.model);
  if (!expected.contains("perplexity")) GTEST_SKIP() << "no golden perplexity";
  const auto& want = expected["perplexity"];
  EngineOptions options;
  options.kv_format = KvFormat::kF32;
  options.kv_memory_bytes = size_t{64} << 20;
  auto engine = Engine::load(model_path(c.model), options);
  ASSERT_TRUE(engine.ok()) << engine.status().message();

  std::ifstream in(want["text"].get<std::string>());
  if (!in) GTEST_SKIP() << "this machine has no " << want["text"];
  std::stringstream text;
  text << in.rdbuf();
  EncodeOptions encoding;
  encoding.add_bos = true;
  const auto tokens = (*engine)->tokenizer().encode(text.str(), encoding);
  ASSERT_EQ(tokens.size(), want["tokens"].get<size_t>());

  const auto context = want["context"].get<size_t>();
  const Vocabulary& vocabulary = (*engine)->vocabulary();
  double sum = 0;
  int count = 0;
  for (size_t chunk = 0; chunk < want["chunks"].get<size_t>(); ++chunk) {
    std::vector<TokenId> part(tokens.begin() + static_cast<ptrdiff_t>(chunk * context),
                              tokens.begin() + static_cast<ptrdiff_t>((chunk + 1) * context));
    if (vocabulary.add_bos()) part[0] = *vocabulary.bos();
    const int first = static_cast<int>(context / 2) + 1;
    auto logprobs = (*engine)->score(part, first);
    ASSERT_TRUE(logprobs.ok()) << logprobs.status().message();
    for (size_t i = static_cast<size_t>(first); i < context; ++i, ++count) sum -= (*logprobs)[i];
    const double perplexity = std::exp(sum / count);
    EXPECT_NEAR(perplexity / want["running"][chunk].get<double>(), 1.0, c.perplexity_tolerance) << "chunk " << chunk;
  }
}

INSTANTIATE_TEST_SUITE_P(Tiny, ModelGolden, testing::ValuesIn(kCases), [](const auto& param) {
  std::string name = param.param.model;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

}  // namespace
}  // namespace batchwright

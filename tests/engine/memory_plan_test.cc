// What is planned of memory from a file's metadata alone, against engines that are loaded from it.
#include "engine/memory_plan.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "batchwright/engine.h"
#include "engine/kv_pages.h"
#include "formats/gguf.h"
#include "model/model.h"
#include "model/model_memory.h"
#include "platform/cpu.h"
#include "platform/thread_pool.h"

namespace batchwright {
namespace {

class MemoryPlanTest : public ::testing::TestWithParam<const char*> {
 protected:
  static std::string path() { return std::string(BATCHWRIGHT_TINY_MODELS) + "/tiny-" + GetParam() + ".gguf"; }
};

TEST_P(MemoryPlanTest, AModelTakesWhatItsFileSays) {
  const auto file = GgufFile::open(path());
  ASSERT_TRUE(file.ok()) << file.status().message();
  const auto shape = read_model_shape(*file);
  ASSERT_TRUE(shape.ok());
  for (const int threads : {1, 3}) {
    for (const int rows : {1, 37, 512}) {
      ThreadPool pool(threads);
      const auto model = Model::load(*file, pool, strongest_isa(), rows);
      ASSERT_TRUE(model.ok()) << model.status().message();
      const auto planned = model_memory(*file, *shape, rows, threads);
      ASSERT_TRUE(planned.ok()) << planned.status().message();
      EXPECT_EQ(planned->step_buffers, (*model)->buffer_bytes()) << rows << " rows, " << threads << " threads";
      // A matrix begins on a boundary of 64 bytes.
      EXPECT_GE(planned->weights, (*model)->weight_bytes());
      EXPECT_LE(planned->weights, (*model)->weight_bytes() + 64 * file->tensors().size());
    }
  }
}

// The limit that a refusal names does, and the KV cache it leaves is as large as can be.
TEST_P(MemoryPlanTest, WhatARefusalNamesWouldDo) {
  EngineOptions options;
  options.threads = 1;
  options.max_batch_tokens = 64;
  options.memory_bytes = 1000;
  const auto refused = Engine::load(path(), options);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.status().code(), StatusCode::kInvalidArgument);
  const std::string& message = refused.status().message();
  const std::string before = "give at least ";
  const size_t at = message.find(before);
  ASSERT_NE(at, std::string::npos) << message;
  size_t unit = 0;
  const double mib = std::stod(message.substr(at + before.size()), &unit);
  ASSERT_TRUE(message.substr(at + before.size() + unit).starts_with("MiB")) << message;
  const auto enough = static_cast<size_t>(mib * 0x1p20);

  options.memory_bytes = enough;
  const auto loaded = Engine::load(path(), options);
  ASSERT_TRUE(loaded.ok()) << loaded.status().message();
  options.memory_bytes = enough - enough / 10;
  EXPECT_FALSE(Engine::load(path(), options).ok());

  options.memory_bytes = 4 * enough;
  const auto roomy = Engine::load(path(), options);
  ASSERT_TRUE(roomy.ok());
  EXPECT_GT((*roomy)->options().kv_memory_bytes, (*loaded)->options().kv_memory_bytes + 2 * enough);
  EXPECT_LE((*roomy)->stats().kv_memory_bytes, (*roomy)->options().kv_memory_bytes);

  // What the caller needs is not given to pages.
  options.caller_memory_bytes = enough;
  const auto shared = Engine::load(path(), options);
  ASSERT_TRUE(shared.ok());
  EXPECT_NEAR(static_cast<double>((*shared)->options().kv_memory_bytes),
              static_cast<double>((*roomy)->options().kv_memory_bytes - enough), 0.08 * static_cast<double>(enough));
  options.caller_memory_bytes = 4 * enough;
  EXPECT_FALSE(Engine::load(path(), options).ok());
}

TEST_P(MemoryPlanTest, KvMemoryThatTheLimitDoesNotHoldIsRefused) {
  EngineOptions options;
  options.threads = 1;
  options.memory_bytes = size_t{100} << 20;
  options.kv_memory_bytes = size_t{99} << 20;
  const auto refused = Engine::load(path(), options);
  ASSERT_FALSE(refused.ok());
  EXPECT_NE(refused.status().message().find("--kv-memory"), std::string::npos) << refused.status().message();
  options.kv_memory_bytes = size_t{30} << 20;
  const auto loaded = Engine::load(path(), options);
  ASSERT_TRUE(loaded.ok()) << loaded.status().message();
  EXPECT_EQ((*loaded)->options().kv_memory_bytes, size_t{30} << 20);
  EXPECT_LE((*loaded)->stats().kv_memory_bytes, size_t{30} << 20);
}

TEST_P(MemoryPlanTest, LeastKvBytesAreTheLeast) {
  const auto file = GgufFile::open(path());
  ASSERT_TRUE(file.ok());
  const auto shape = read_model_shape(*file);
  ASSERT_TRUE(shape.ok());
  for (const int context : {1, 64, 65, 500}) {
    const size_t least = least_kv_bytes(*shape, KvFormat::kF16, context, 96);
    const auto pages = plan_kv_pages(*shape, KvFormat::kF16, least, context, 8, 96);
    ASSERT_TRUE(pages.ok()) << pages.status().message();
    EXPECT_FALSE(plan_kv_pages(*shape, KvFormat::kF16, least - 1, context, 8, 96).ok());
    size_t bytes = 0;
    const auto classes = page_classes(*shape);
    for (size_t c = 0; c < classes.size(); ++c) {
      bytes += static_cast<size_t>((*pages)[c]) * page_bytes(*shape, classes[c], KvFormat::kF16);
    }
    EXPECT_EQ(bytes, least);
  }
}

TEST_P(MemoryPlanTest, AJobsShareGrowsThePeakByItself) {
  const auto file = GgufFile::open(path());
  ASSERT_TRUE(file.ok());
  const auto shape = read_model_shape(*file);
  ASSERT_TRUE(shape.ok());
  EngineOptions options;
  options.threads = 2;
  MemoryUse use;
  const auto without = plan_memory(*file, *shape, options, use);
  ASSERT_TRUE(without.ok());
  use.kv_bytes = size_t{500} << 20;
  use.caller_bytes = size_t{40} << 20;
  const auto with = plan_memory(*file, *shape, options, use);
  ASSERT_TRUE(with.ok());
  const size_t grown = with->peak() - without->peak();
  EXPECT_GE(grown, use.kv_bytes + use.caller_bytes - std::max(without->loading, without->buffers));
  EXPECT_LE(grown, (use.kv_bytes + use.caller_bytes) * 11 / 10);
  use.full_logits = false;
  EXPECT_EQ(plan_memory(*file, *shape, options, use)->peak() + size_t{16} * 4 * static_cast<size_t>(shape->vocabulary),
            with->peak());
}

INSTANTIATE_TEST_SUITE_P(TinyModels, MemoryPlanTest,
                         ::testing::Values("qwen2-f32", "qwen2-k", "gemma3-q8_0", "gemma3-f32"),
                         [](const auto& param_info) {
                           std::string name = param_info.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

}  // namespace
}  // namespace batchwright

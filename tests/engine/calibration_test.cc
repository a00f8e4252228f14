// Measuring what steps cost: nothing of it shows in answers, pages or counters, and what is kept is used again.

#include "engine/calibration.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "base/memory_file_system.h"
#include "batchwright/engine.h"
#include "engine/synthetic_step.h"
#include "platform/cpu.h"
#include "platform/posix_file_system.h"

namespace batchwright {
namespace {

namespace fs = std::filesystem;

CostModel sample_model() {
  CostModel model;
  model.shape.classes = {{}};
  model.layers = CostCurve({{1, 0.5}, {8, 0.75}});
  model.pair_seconds = 1.5e-9;
  return model;
}

class CalibrationTest : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    // Tests run beside each other.
    folder_ = fs::path(testing::TempDir()) / ("batchwright-calibration-" + std::to_string(::getpid()));
    fs::remove_all(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  static std::unique_ptr<Engine> load(EngineOptions options = {}) {
    options.threads = 2;
    if (options.context_length == 0) options.context_length = 256;
    options.max_batch = 8;
    options.kv_memory_bytes = size_t{64} << 20;
    auto loaded = Engine::load(std::string(BATCHWRIGHT_TINY_MODELS) + "/" + GetParam() + ".gguf", options);
    EXPECT_TRUE(loaded.ok()) << loaded.status().message();
    return std::move(*loaded);
  }

  // Always measures.
  CalibrationOptions always() const {
    return {.cache_folder = folder_.string(),
            .tokens = 1e9,
            .seconds_worth = 0,
            .seconds_max = 60,
            .accept_unsteady = true};
  }

  static std::map<uint64_t, std::vector<TokenId>> answers(Engine& engine) {
    std::mt19937 random(7);
    for (uint64_t id = 1; id <= 12; ++id) {
      Request r;
      r.id = id;
      for (size_t i = 0; i < 3 + 9 * id; ++i) r.prompt.push_back(static_cast<TokenId>(random() % 200));
      r.max_tokens = 20;
      r.ignore_eos = true;
      r.sampling.temperature = id % 2 == 0 ? 0.0F : 0.8F;
      engine.submit(std::move(r));
    }
    std::map<uint64_t, std::vector<TokenId>> all;
    while (engine.active() > 0) {
      auto done = engine.step();
      EXPECT_TRUE(done.ok());
      for (Completion& c : *done) {
        EXPECT_TRUE(c.status.ok()) << c.status.message();
        all[c.id] = c.choices.at(0).tokens;
      }
    }
    return all;
  }

  fs::path folder_;
};

TEST_P(CalibrationTest, MeasuringLeavesNothingBehind) {
  const auto plain = load();
  const auto measured = load();
  const auto begin = std::chrono::steady_clock::now();
  ASSERT_TRUE(measured->calibrate(always()).ok());
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(120));
  ASSERT_NE(measured->cost_model(), nullptr);

  const EngineStats stats = measured->stats();
  EXPECT_EQ(stats.steps, 0);
  EXPECT_EQ(stats.kv_pages_used, 0);
  EXPECT_EQ(stats.seconds_prefill + stats.seconds_decode, 0);
  for (const StageStats& stage : measured->stage_stats()) {
    EXPECT_NEAR(stage.seconds, 0, 1e-9) << stage.name;
    EXPECT_EQ(stage.multiply_adds, 0) << stage.name;
  }

  EXPECT_EQ(answers(*measured), answers(*plain));
  EXPECT_EQ(measured->stats().kv_pages_used, 0);
  EXPECT_EQ(measured->stats().prompt_tokens_computed, plain->stats().prompt_tokens_computed);
  EXPECT_EQ(measured->stats().steps_predicted, measured->stats().steps);
  EXPECT_GT(measured->stats().cost_model_error, 0);
  EXPECT_EQ(plain->stats().steps_predicted, 0);
  EXPECT_EQ(plain->stats().cost_model_error, 0);
}

TEST_P(CalibrationTest, TheModelIsOfThisEngine) {
  const auto engine = load();
  ASSERT_TRUE(engine->calibrate(always()).ok());
  const CostModel& model = *engine->cost_model();
  EXPECT_EQ(model.shape.threads, 2);
  EXPECT_GE(model.layers.points().size(), 8U);
  EXPECT_EQ(model.layers.points().front().count, 1);
  EXPECT_EQ(model.layers.points().back().count, 512);
  EXPECT_GE(model.argmax.points().size(), 8U);
  EXPECT_EQ(model.full.points().back().count, 64);
  EXPECT_GT(model.layers.at(512), model.layers.at(1));
  EXPECT_LE(model.layers.at(128) / 128, model.layers.at(64) / 64 * 1.000001);
  EXPECT_LE(model.layers.at(512) / 512, model.layers.at(128) / 128 * 1.000001);
  EXPECT_GT(model.argmax.at(64), 0);
  EXPECT_GT(model.full.at(16), 0);
  EXPECT_GT(model.pair_seconds + model.row_page_seconds + model.visit_seconds, 0);
  EXPECT_EQ(engine->options().max_batch_tokens, std::max(128, model.token_budget(512)));
}

TEST_P(CalibrationTest, ThePagesOfOneSequenceAreEnough) {
  Result<std::unique_ptr<Engine>> engine = internal_error("none is large enough");
  EngineOptions options;
  options.threads = 2;
  options.context_length = 256;
  for (size_t kib = 64; kib <= 4096 && !engine.ok(); kib += 64) {
    options.kv_memory_bytes = kib << 10;
    engine = Engine::load(std::string(BATCHWRIGHT_TINY_MODELS) + "/" + GetParam() + ".gguf", options);
  }
  ASSERT_TRUE(engine.ok()) << engine.status().message();
  ASSERT_TRUE((*engine)->calibrate(always()).ok());
  EXPECT_GT((*engine)->cost_model()->layers.at(1), 0);
  EXPECT_EQ((*engine)->stats().kv_pages_used, 0);
}

TEST_P(CalibrationTest, WhatIsKeptIsUsedAgain) {
  const auto first = load();
  ASSERT_TRUE(first->calibrate(always()).ok());
  const CostModel measured = *first->cost_model();

  // Nothing to compute: only what is kept counts.
  CalibrationOptions kept_only = always();
  kept_only.tokens = 0;
  const auto second = load();
  ASSERT_TRUE(second->calibrate(kept_only).ok());
  ASSERT_NE(second->cost_model(), nullptr);
  EXPECT_EQ(*second->cost_model(), measured);

  ASSERT_EQ(std::distance(fs::directory_iterator(folder_), fs::directory_iterator()), 1);
  const fs::path file = *fs::directory_iterator(folder_);
  std::ofstream(file, std::ios::trunc) << "{\"version\":1}";
  const auto third = load();
  ASSERT_TRUE(third->calibrate(kept_only).ok());
  EXPECT_EQ(third->cost_model(), nullptr);
  ASSERT_TRUE(third->calibrate(always()).ok());
  EXPECT_NE(third->cost_model(), nullptr);
  EXPECT_GT(fs::file_size(file), 100U);
}

TEST_P(CalibrationTest, WhatIsAskedForAnewIsMeasured) {
  const auto first = load();
  ASSERT_TRUE(first->calibrate(always()).ok());
  CostModel other = *first->cost_model();
  other.factor = 1e-6;
  const std::string key = calibration_key(processor_name(), first->options().isa, first->options().threads,
                                          first->model().hash, first->options().kv_format);
  const auto files = posix_file_system();
  const CalibrationStore store(*files, folder_.string());
  ASSERT_TRUE(store.save(key, other).ok());
  CalibrationOptions anew = always();
  anew.tokens = 0;
  anew.anew = true;
  const auto second = load();
  ASSERT_TRUE(second->calibrate(anew).ok());
  EXPECT_EQ(second->cost_model()->factor, 1);
  EXPECT_EQ(*store.load(key), *second->cost_model());
}

TEST_P(CalibrationTest, SmallJobsAreNotMeasuredFor) {
  const auto engine = load();
  CalibrationOptions options = always();
  options.seconds_worth = 1e6;
  for (const double tokens : {0.0, 1000.0, 5000.0}) {
    options.tokens = tokens;
    ASSERT_TRUE(engine->calibrate(options).ok());
    EXPECT_EQ(engine->cost_model(), nullptr) << tokens;
    EXPECT_EQ(engine->options().max_batch_tokens, 512);
  }
  EXPECT_FALSE(fs::exists(folder_));
  options.tokens = 1e12;
  ASSERT_TRUE(engine->calibrate(options).ok());
  EXPECT_NE(engine->cost_model(), nullptr);
}

TEST_P(CalibrationTest, WhereNothingCanBeKeptTheModelIsThereAllTheSame) {
  std::ofstream(folder_) << "a file, not a folder";
  const auto engine = load();
  EXPECT_FALSE(engine->calibrate(always()).ok());
  EXPECT_NE(engine->cost_model(), nullptr);
  EXPECT_EQ(answers(*engine).size(), 12U);
}

TEST_P(CalibrationTest, ABudgetThatIsGivenStays) {
  EngineOptions options;
  options.max_batch_tokens = 40;
  options.context_length = 64;  // no room for a second page
  const auto engine = load(options);
  ASSERT_TRUE(engine->calibrate(always()).ok());
  EXPECT_EQ(engine->options().max_batch_tokens, 40);
  EXPECT_LE(engine->cost_model()->layers.points().back().count, 40);
}

INSTANTIATE_TEST_SUITE_P(Tiny, CalibrationTest, testing::Values("tiny-qwen2-k", "tiny-gemma3-q8_0"),
                         [](const auto& param) {
                           std::string name = param.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

TEST(CalibrationStoreTest, KeepsByKeyAndNeverBelievesWhatIsDamaged) {
  MemoryFileSystem files;
  const CalibrationStore store(files, "cache");
  EXPECT_FALSE(store.load("a").has_value());
  ASSERT_TRUE(store.save("a", sample_model()).ok());
  EXPECT_EQ(store.load("a"), sample_model());
  EXPECT_FALSE(store.load("b").has_value());

  // Under the other's name.
  files.write(store.path("b"), files.content(store.path("a")));
  EXPECT_FALSE(store.load("b").has_value());
  files.write(store.path("a"), std::string(size_t{2} << 20, ' ') + files.content(store.path("a")));
  EXPECT_FALSE(store.load("a").has_value());

  ASSERT_TRUE(store.save("a", sample_model()).ok());
  EXPECT_TRUE(store.remove("a").ok());
  EXPECT_FALSE(store.load("a").has_value());
  EXPECT_TRUE(store.remove("a").ok());

  const CalibrationStore nowhere(files, "");
  EXPECT_TRUE(nowhere.save("a", sample_model()).ok());
  EXPECT_FALSE(nowhere.load("a").has_value());
}

TEST(CalibrationStoreTest, AFailedWriteLeavesTheOldFile) {
  for (const char* const operation : {"make_folder", "create", "append", "sync", "close", "rename"}) {
    MemoryFileSystem files;
    const CalibrationStore store(files, "cache");
    ASSERT_TRUE(store.save("a", sample_model()).ok());
    CostModel other = sample_model();
    other.fixed_seconds = 7;
    files.set_fault(planned_fault({.operation = operation}));
    EXPECT_FALSE(store.save("a", other).ok()) << operation;
    files.set_fault({});
    EXPECT_EQ(store.load("a"), sample_model()) << operation;
  }
}

TEST(CalibrationKeyTest, NamesAllThatASpeedDependsOn) {
  const std::string key = calibration_key("cpu", "avx2", 2, "hash", KvFormat::kF16);
  EXPECT_NE(key, calibration_key("other", "avx2", 2, "hash", KvFormat::kF16));
  EXPECT_NE(key, calibration_key("cpu", "vnni", 2, "hash", KvFormat::kF16));
  EXPECT_NE(key, calibration_key("cpu", "avx2", 3, "hash", KvFormat::kF16));
  EXPECT_NE(key, calibration_key("cpu", "avx2", 2, "hash2", KvFormat::kF16));
  EXPECT_NE(key, calibration_key("cpu", "avx2", 2, "hash", KvFormat::kF32));
}

TEST(SyntheticStepTest, NoTwoRowsWriteToOnePlace) {
  PageCache cache({{0, 40}, {100, 40}});
  BlockTable table;
  const int blocks = cache.reserve(table, 16);
  ASSERT_EQ(blocks, 16);
  for (const SyntheticShape& shape :
       std::vector<SyntheticShape>{{.runs = 64, .first_position = 512},
                                   {.runs = 16, .tokens_a_run = 64},
                                   {.runs = 64, .first_position = 640, .shared_blocks = 10},
                                   {.tokens_a_run = 64, .first_position = 320}}) {
    const Step step = make_synthetic_step(shape, cache, table, 50);
    ASSERT_EQ(step.rows(), shape.tokens());
    for (const ClassPlan& plan : step.classes) {
      std::set<std::pair<PageId, int>> places;
      for (int row = 0; row < step.rows(); ++row) {
        const auto r = static_cast<size_t>(row);
        EXPECT_TRUE(places.emplace(plan.write_pages[r], step.positions[r] % kPagePositions).second) << row;
      }
    }
  }
  // What is not shared is read once, as far as there are enough pages.
  const Step own = make_synthetic_step({.runs = 4, .first_position = 192}, cache, table, 50);
  std::set<PageId> read;
  for (const AttentionGroup& group : own.classes[0].levels[0]) {
    for (const PageId page : group.pages) EXPECT_TRUE(read.insert(page).second) << page;
  }
  EXPECT_EQ(read.size(), 16U);
  // What is shared is one group of all rows.
  const Step shared = make_synthetic_step({.runs = 8, .first_position = 640, .shared_blocks = 10}, cache, table, 50);
  ASSERT_EQ(shared.classes[0].levels[0].size(), 1U);
  EXPECT_EQ(shared.classes[0].levels[0][0].rows.size(), 8U);
  EXPECT_EQ(shared.classes[0].levels[0][0].pages.size(), 10U);
  cache.release(table);
  EXPECT_EQ(cache.held(0), 0);
}

}  // namespace
}  // namespace batchwright

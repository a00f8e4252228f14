// What is kept of a machine follows the steps of the jobs that run on it. The steps' seconds are made up here.

#include "engine/step_costs.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <memory>
#include <string>

#include "formats/gguf.h"
#include "platform/cpu.h"
#include "platform/posix_file_system.h"
#include "platform/thread_pool.h"

namespace batchwright {
namespace {

namespace fs = std::filesystem;

const char* const kKey = "a key";

CostModel kept_model() {
  CostModel model;
  model.shape.classes = {{}};
  model.layers = CostCurve({{1, 0.001}, {8, 0.002}});
  model.factor = 2;
  return model;
}

class StepCostsTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::path(testing::TempDir()) / ("batchwright-step-costs-" + std::to_string(::getpid()));
    fs::remove_all(folder_);
    ASSERT_TRUE(store().save(kKey, kept_model()).ok());
    auto file = GgufFile::open(std::string(BATCHWRIGHT_TINY_MODELS) + "/tiny-qwen2-k.gguf");
    ASSERT_TRUE(file.ok()) << file.status().message();
    auto model = Model::load(*file, pool_, strongest_isa(), 8);
    ASSERT_TRUE(model.ok()) << model.status().message();
    model_ = std::move(*model);
    // Takes what is kept, and measures nothing.
    ASSERT_TRUE(costs_.calibrate(*model_, cache_, kKey, {}, {.cache_folder = folder_.string()}).ok());
    ASSERT_EQ(*costs_.model(), kept_model());
  }
  void TearDown() override { fs::remove_all(folder_); }

  CalibrationStore store() { return {*files_, folder_.string()}; }
  double kept_factor() { return store().load(kKey).value_or(CostModel{}).factor; }

  std::unique_ptr<FileSystem> files_ = posix_file_system();
  fs::path folder_;
  ThreadPool pool_{1};
  std::unique_ptr<Model> model_;
  PageCache cache_{{{0, 4}}};
  StepCosts costs_;
};

TEST_F(StepCostsTest, WhatIsKeptComesNearer) {
  // The machine takes three times what it is said to.
  double seconds = 0;
  for (; seconds < 0.9; seconds += 0.03) costs_.check(0.01, 0.03);
  EXPECT_EQ(kept_factor(), 2) << "a second of steps is too little to say anything";
  for (; seconds < 1.1; seconds += 0.03) costs_.check(0.01, 0.03);
  EXPECT_NEAR(kept_factor(), 2 * std::pow(3, 1 / (1 + CostCheck::kFollowSeconds)), 0.02);
  for (; seconds < 2.5 * CostCheck::kFollowSeconds; seconds += 0.03) costs_.check(0.01, 0.03);
  EXPECT_GT(kept_factor(), 2 * std::sqrt(3)) << "after kFollowSeconds more than half of the way";
  EXPECT_LT(kept_factor(), 2 * 3.0);
  EXPECT_EQ(costs_.model()->factor, 2) << "not in the middle of a job";

  CostModel expected = kept_model();
  expected.factor = kept_factor();
  EXPECT_EQ(*store().load(kKey), expected) << "nothing but the factor";
}

// One factor can't put it right: the next job measures anew.
TEST_F(StepCostsTest, WhatIsWrongDoesNotStay) {
  for (int64_t step = 1; step < CostCheck::kDoubtSteps; ++step) costs_.check(0.001, step % 2 == 0 ? 0.0001 : 0.01);
  EXPECT_TRUE(store().load(kKey).has_value());
  costs_.check(0.001, 0.0001);
  EXPECT_FALSE(store().load(kKey).has_value());
  // Nor does it come back.
  for (int i = 0; i < 10000; ++i) costs_.check(0.001, 0.001);
  EXPECT_FALSE(store().load(kKey).has_value());
}

TEST_F(StepCostsTest, WhatIsRightStays) {
  for (int i = 0; i < 2000; ++i) costs_.check(0.001, i % 2 == 0 ? 0.00095 : 0.00105);
  EXPECT_NEAR(kept_factor(), 2, 1e-9);
}

}  // namespace
}  // namespace batchwright

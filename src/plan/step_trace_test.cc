#include "plan/step_trace.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/json.h"
#include "base/memory_file_system.h"

namespace batchwright {
namespace {

StepRecord step(int64_t number) {
  StepRecord record;
  record.step = number;
  record.begin_seconds = 0.3 * static_cast<double>(number);
  record.seconds_plan = 0.01;
  record.seconds_forward = 0.2;
  record.seconds_hand_on = 0.02;
  record.seconds = 0.23;
  record.token_budget = 512;
  record.decode_tokens = static_cast<int>(number);
  record.prompt_tokens_computed = number % 2 == 0 ? 100 : 0;
  record.prompt_tokens_shared = 64 * number;
  record.kv_bytes_used = size_t{3} << 20;
  record.sequences_running = 2;
  return record;
}

// What the stages took until the end of a step, in all layers.
std::vector<StageStats> stages(int64_t number) {
  const auto steps = static_cast<double>(number);
  return {{"gate up", 0.1 * steps, 0, 0}, {"not \"used\"", 0, 0, 0}, {"down", 0.05 * steps, 0, 0}};
}

double number_of(const JsonValue& event, const char* name) {
  const JsonValue* const value = event.find(name);
  return value != nullptr && value->is_number() ? value->as_double() : -1;
}

std::string text_of(const JsonValue& event, const char* name) {
  const JsonValue* const value = event.find(name);
  return value != nullptr && value->is_string() ? value->as_string() : "";
}

class StepTraceTest : public testing::Test {
 protected:
  std::vector<JsonValue> events() const {
    const auto parsed = parse_json(files_.content("trace.json"));
    EXPECT_TRUE(parsed.ok()) << parsed.status().message() << "\n" << files_.content("trace.json");
    std::vector<JsonValue> all;
    if (parsed.ok()) all.assign(parsed->as_array().begin(), parsed->as_array().end());
    return all;
  }
  std::vector<JsonValue> events(const char* category) const {
    std::vector<JsonValue> some;
    for (const JsonValue& event : events()) {
      if (text_of(event, "cat") == category) some.push_back(event);
    }
    return some;
  }

  MemoryFileSystem files_;
};

TEST_F(StepTraceTest, AStepHoldsItsPhasesAndTheForwardPassItsStages) {
  auto trace = StepTrace::create(files_, "trace.json");
  ASSERT_TRUE(trace.ok());
  (*trace)->leave_out(stages(4));
  (*trace)->add(step(5), stages(5));
  (*trace)->add(step(6), stages(6));
  ASSERT_TRUE((*trace)->close().ok());

  const std::vector<JsonValue> steps = events("step");
  ASSERT_EQ(steps.size(), 2U);
  EXPECT_EQ(text_of(steps[0], "name"), "decode");
  EXPECT_EQ(text_of(steps[1], "name"), "decode and prefill");
  EXPECT_DOUBLE_EQ(number_of(steps[0], "ts"), 1.5e6);
  EXPECT_DOUBLE_EQ(number_of(steps[0], "dur"), 0.23e6);
  const JsonValue& arguments = *steps[1].find("args");
  EXPECT_EQ(number_of(arguments, "decode_tokens"), 6);
  EXPECT_EQ(number_of(arguments, "prompt_tokens_computed"), 100);
  EXPECT_EQ(number_of(arguments, "prompt_tokens_shared"), 6 * 64);

  const std::vector<JsonValue> phases = events("phase");
  ASSERT_EQ(phases.size(), 6U);
  double at = number_of(steps[0], "ts");
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_DOUBLE_EQ(number_of(phases[i], "ts"), at);
    at += number_of(phases[i], "dur");
  }
  EXPECT_DOUBLE_EQ(at, number_of(steps[0], "ts") + number_of(steps[0], "dur"));

  // Of this step alone, within the forward pass; what took no time is left out.
  const std::vector<JsonValue> stage_events = events("stage");
  ASSERT_EQ(stage_events.size(), 4U);
  EXPECT_EQ(text_of(stage_events[0], "name"), "gate up");
  EXPECT_DOUBLE_EQ(number_of(stage_events[0], "ts"), number_of(phases[1], "ts"));
  EXPECT_NEAR(number_of(stage_events[0], "dur"), 0.1e6, 0.01);
  EXPECT_EQ(text_of(stage_events[1], "name"), "down");
  EXPECT_NEAR(number_of(stage_events[1], "dur"), 0.05e6, 0.01);
}

TEST_F(StepTraceTest, StagesNeverReachBeyondTheForwardPass) {
  auto trace = StepTrace::create(files_, "trace.json");
  ASSERT_TRUE(trace.ok());
  (*trace)->add(step(1), {{"gate up", 0.15, 0, 0}, {"down", 7, 0, 0}});
  ASSERT_TRUE((*trace)->close().ok());
  const JsonValue forward = events("phase").at(1);
  const JsonValue last = events("stage").at(1);
  EXPECT_DOUBLE_EQ(number_of(last, "ts") + number_of(last, "dur"),
                   number_of(forward, "ts") + number_of(forward, "dur"));
}

TEST_F(StepTraceTest, CountersFollowTheStepsAndEndAtNothing) {
  auto trace = StepTrace::create(files_, "trace.json");
  ASSERT_TRUE(trace.ok());
  (*trace)->add(step(2), {});
  ASSERT_TRUE((*trace)->close().ok());
  std::vector<double> decode;
  std::vector<double> memory;
  for (const JsonValue& event : events()) {
    if (text_of(event, "ph") != "C") continue;
    const JsonValue& arguments = *event.find("args");
    if (text_of(event, "name") == "tokens of a step") decode.push_back(number_of(arguments, "decode"));
    if (text_of(event, "name") == "KV memory, MiB") memory.push_back(number_of(arguments, "used"));
  }
  EXPECT_EQ(decode, (std::vector<double>{2, 0}));
  EXPECT_EQ(memory, (std::vector<double>{3, 0}));
}

TEST_F(StepTraceTest, ARunThatIsKilledLeavesValidJson) {
  auto trace = StepTrace::create(files_, "trace.json");
  ASSERT_TRUE(trace.ok());
  EXPECT_EQ(events().size(), 2U);  // names
  for (int64_t number = 1; number <= 1000; ++number) {
    (*trace)->add(step(number), stages(number));
    if (number % 50 != 0) continue;
    // No more than the last second's steps are missing.
    EXPECT_GE(static_cast<int64_t>(events("step").size()), number - 4);
  }
  // The writes are few.
  EXPECT_LT(files_.operations("append"), 500U);
}

TEST_F(StepTraceTest, WhatCannotBeWrittenEndsTheTraceAndLeavesItWhole) {
  for (const char* const operation : {"append", "truncate", "close"}) {
    for (const auto lasts : {FaultPlan::Lasts::kOnce, FaultPlan::Lasts::kForEver}) {
      for (uint64_t at = 1; at <= 8; ++at) {
        files_.set_fault(planned_fault({.operation = operation, .at = at, .lasts = lasts}));
        const uint64_t faults = files_.faults();
        auto trace = StepTrace::create(files_, "trace.json");
        ASSERT_TRUE(trace.ok());
        for (int64_t number = 1; number <= 30; ++number) (*trace)->add(step(number), stages(number));
        const Status status = (*trace)->close();
        EXPECT_EQ(status.ok(), files_.faults() == faults) << operation << " " << at;
        EXPECT_TRUE(status.ok() || status.message().find("trace.json") != std::string::npos) << status.message();
        files_.set_fault(nullptr);
        // Where not even the end could be written, readers of the format do without it.
        std::string content = files_.content("trace.json");
        if (!parse_json(content).ok() && lasts == FaultPlan::Lasts::kForEver) content += "]";
        EXPECT_TRUE(parse_json(content).ok()) << operation << " " << at << "\n" << content;
      }
    }
  }
}

TEST_F(StepTraceTest, AFileThatCannotBeMade) {
  files_.set_fault(planned_fault({.operation = "create"}));
  EXPECT_EQ(StepTrace::create(files_, "trace.json").status().code(), StatusCode::kIoError);
}

}  // namespace
}  // namespace batchwright

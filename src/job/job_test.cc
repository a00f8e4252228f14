#include "job/job.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <new>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/json.h"
#include "job/testing/job_fixture.h"

namespace batchwright {
namespace {

class JobTest : public JobFixture {};

using Names = std::set<std::string>;

TEST_F(JobTest, EveryRowEndsOnce) {
  const JobOutcome outcome = run_rows(rows(300));
  ASSERT_TRUE(outcome.status.ok()) << outcome.status.message();
  EXPECT_EQ(outcome.report.rows_ok, 300);
  EXPECT_EQ(outcome.report.rows_failed, 0);
  EXPECT_EQ(outputs(), (Names{"out.jsonl", "out.jsonl.journal", "out.jsonl.report.json"}));
  std::map<std::string, int> seen;
  for (const std::string& line : lines_of(files_.content("out.jsonl"))) ++seen[id_of(line)];
  EXPECT_EQ(seen.size(), 300U);
  for (const auto& [id, count] : seen) EXPECT_EQ(count, 1) << id;
  EXPECT_LE(engine_.largest_active, 8);
}

TEST_F(JobTest, ALineInFull) {
  ASSERT_TRUE(run_rows("{\"custom_id\":\"a\",\"prompt\":\"hi\",\"seed\":5}\n").status.ok());
  const std::string text = files_.content("out.jsonl");
  const std::string hash = text.substr(text.find("batch_req_") + 10, 32);
  EXPECT_EQ(text, fmt::format(
                      R"({{"id":"batch_req_{0}","custom_id":"a","response":{{"status_code":200,"request_id":"req_{0}",)"
                      R"("body":{{"id":"cmpl-{0}","object":"text_completion","created":0,"model":"Fake","choices":)"
                      R"([{{"index":0,"text":"hi #5/0","logprobs":null,"finish_reason":"length"}}],)"
                      R"("usage":{{"prompt_tokens":3,"completion_tokens":7,"total_tokens":10}},)"
                      R"("system_fingerprint":"00112233445566778899aabbccddeeff-n1"}}}},"error":null}})"
                      "\n",
                      hash));
}

TEST_F(JobTest, LinesDependOnTheRowAlone) {
  ASSERT_TRUE(run_rows(rows(50)).status.ok());
  std::vector<std::string> first = lines_of(files_.content("out.jsonl"));
  std::vector<std::string> shuffled = lines_of(rows(50));
  std::reverse(shuffled.begin(), shuffled.end());
  options_.output = "again.jsonl";
  ASSERT_TRUE(run_rows(fmt::format("{}\n", fmt::join(shuffled, "\n\n"))).status.ok());
  std::vector<std::string> second = lines_of(files_.content("again.jsonl"));
  EXPECT_NE(first, second);
  std::sort(first.begin(), first.end());
  std::sort(second.begin(), second.end());
  EXPECT_EQ(first, second);
}

TEST_F(JobTest, OrderedOutputIsInTheOrderOfTheInput) {
  options_.ordered = true;
  std::string content = rows(100);
  content.insert(content.find('\n') + 1,
                 "{\"custom_id\":\"bad\",\"prompt\":5}\n{\"custom_id\":\"p\",\"prompt\":\"#\"}\n");
  const JobOutcome outcome = run_rows(content + "no json");
  ASSERT_TRUE(outcome.status.ok()) << outcome.status.message();
  const auto lines = lines_of(files_.content("out.jsonl"));
  ASSERT_EQ(lines.size(), 100U);
  for (size_t i = 0; i < lines.size(); ++i) EXPECT_EQ(id_of(lines[i]), fmt::format("r{}", i));
  const auto errors = lines_of(files_.content("out.jsonl.errors.jsonl"));
  ASSERT_EQ(errors.size(), 3U);
  EXPECT_EQ(id_of(errors[0]), "bad");
  EXPECT_EQ(id_of(errors[1]), "p");
  EXPECT_EQ(id_of(errors[2]), "(none)");
  EXPECT_EQ(outputs(), (Names{"out.jsonl", "out.jsonl.errors.jsonl", "out.jsonl.journal", "out.jsonl.report.json"}));
}

TEST_F(JobTest, BadRowsFailAlone) {
  const JobOutcome outcome = run_rows(
      "{\"custom_id\":\"ok\",\"prompt\":\"x\"}\n"
      "not json\n"
      "{\"custom_id\":\"n\",\"prompt\":\"x\",\"n\":1000000000}\n"
      "{\"custom_id\":\"long\",\"prompt\":\"" +
      std::string(2000, 'y') +
      "\"}\n"
      "{\"custom_id\":\"poison\",\"prompt\":\"#\"}\n"
      "{\"custom_id\":\"emb\",\"url\":\"/v1/embeddings\",\"body\":{}}\n");
  ASSERT_TRUE(outcome.status.ok());
  EXPECT_EQ(outcome.report.rows_ok, 1);
  EXPECT_EQ(outcome.report.rows_failed, 5);
  std::map<std::string, JsonValue> errors;
  for (const std::string& line : lines_of(files_.content("out.jsonl.errors.jsonl"))) {
    errors[id_of(line)] = parse_json(line).value();
  }
  ASSERT_EQ(errors.size(), 5U);
  const auto error_of = [&](const std::string& id) {
    return *errors[id].find("response")->find("body")->find("error");
  };
  EXPECT_EQ(errors["(none)"].find("line")->as_int64(), 2);
  EXPECT_EQ(errors["n"].find("line")->as_int64(), 3);
  EXPECT_EQ(errors["n"].find("response")->find("status_code")->as_int64(), 400);
  EXPECT_EQ(error_of("n").find("param")->as_string(), "n");
  EXPECT_NE(error_of("n").find("message")->as_string().find("1000000000"), std::string::npos);
  EXPECT_NE(error_of("long").find("message")->as_string().find("2001 tokens long; the context holds 1000"),
            std::string::npos);
  EXPECT_EQ(error_of("poison").find("message")->as_string(), "the prompt holds a poisoned token");
  EXPECT_EQ(error_of("emb").find("param")->as_string(), "url");
}

TEST_F(JobTest, TheReport) {
  ASSERT_TRUE(
      run_rows("{\"prompt\":\"x\",\"stream\":true}\n{\"prompt\":\"y\",\"stream\":false,\"zz\":1}\n").status.ok());
  const auto report = parse_json(files_.content("out.jsonl.report.json")).value();
  EXPECT_EQ(report.find("outcome")->as_string(), "complete");
  for (const char* const name : {"rows_ok",
                                 "rows_failed",
                                 "rows_resumed",
                                 "attempts",
                                 "prompt_tokens",
                                 "prompt_tokens_computed",
                                 "generated_tokens",
                                 "steps",
                                 "preemptions",
                                 "seconds",
                                 "seconds_load",
                                 "tokens_per_second_prompt",
                                 "tokens_per_second_generated",
                                 "rows_per_hour",
                                 "peak_memory_bytes",
                                 "kv_memory_bytes",
                                 "kv_touched_bytes",
                                 "isa",
                                 "threads",
                                 "batchwright_version",
                                 "model",
                                 "model_hash",
                                 "limited_by"}) {
    EXPECT_NE(report.find(name), nullptr) << name;
  }
  EXPECT_EQ(report.find("rows_ok")->as_int64(), 2);
  EXPECT_EQ(report.find("prompt_tokens")->as_int64(), 4);
  EXPECT_GT(report.find("steps")->as_int64(), 0);
  EXPECT_EQ(report.find("mean_fill")->as_double(), 0.25);
  EXPECT_EQ(report.find("peak_memory_bytes")->as_int64(), 77);
  EXPECT_EQ(report.find("seconds_load")->as_double(), 0.5);
  EXPECT_EQ(report.find("ignored_fields")->find("stream")->as_int64(), 2);
  EXPECT_EQ(report.find("ignored_fields")->find("zz")->as_int64(), 1);
}

TEST_F(JobTest, TheEngineIsCalibratedOnceTheRowsArePlanned) {
  cache_folder_ = "cache";
  ASSERT_TRUE(run_rows(rows(5)).status.ok());
  ASSERT_EQ(engine_.calibrations.size(), 1U);
  EXPECT_EQ(engine_.calibrations[0].cache_folder, "cache");
  // A first token, and "text 0" to "text 4", a token a byte; no page is whole.
  EXPECT_EQ(engine_.calibrations[0].tokens, 5 * 7);
  const auto report = parse_json(files_.content("out.jsonl.report.json")).value();
  ASSERT_NE(report.find("cost_model_error"), nullptr);
  EXPECT_EQ(report.find("cost_model_error")->as_double(), 0.25);
}

TEST_F(JobTest, WithoutPredictionsTheReportNamesNoError) {
  ASSERT_TRUE(run_rows(rows(5)).status.ok());
  EXPECT_EQ(parse_json(files_.content("out.jsonl.report.json")).value().find("cost_model_error"), nullptr);
}

TEST_F(JobTest, LimitTakesTheFirstRows) {
  options_.limit = 3;
  options_.ordered = true;
  ASSERT_EQ(run_rows(rows(10)).report.rows_ok, 3);
  const auto lines = lines_of(files_.content("out.jsonl"));
  EXPECT_EQ(id_of(lines.back()), "r2");
}

TEST_F(JobTest, CreatedOnlyWhenAskedFor) {
  options_.stamp_created = true;
  ASSERT_TRUE(run_rows(rows(1)).status.ok());
  EXPECT_NE(files_.content("out.jsonl").find("\"created\":1234,"), std::string::npos);
}

TEST_F(JobTest, WhatIsThereIsNotTouched) {
  for (const char* const there : {"out.jsonl", "out.jsonl.partial", "out.jsonl.errors.jsonl"}) {
    files_.write(there, "precious");
    EXPECT_EQ(run_rows(rows(1)).status.code(), StatusCode::kInvalidArgument) << there;
    EXPECT_EQ(files_.content(there), "precious");
    ASSERT_TRUE(files_.remove(there).ok());
  }
  options_.output = options_.input;
  options_.start = JobStart::kOverwrite;
  EXPECT_EQ(run_rows(rows(1)).status.code(), StatusCode::kInvalidArgument);
}

TEST_F(JobTest, OverwriteReplacesAllOfAnEarlierRun) {
  files_.write("out.jsonl", "old");
  files_.write("out.jsonl.errors.jsonl", "old");
  files_.write("out.jsonl.partial", "old");
  files_.write("out.jsonl.errors.jsonl.partial", "old");
  options_.start = JobStart::kOverwrite;
  ASSERT_TRUE(run_rows(rows(2)).status.ok());
  EXPECT_EQ(outputs(), (Names{"out.jsonl", "out.jsonl.journal", "out.jsonl.report.json"}));
  EXPECT_EQ(lines_of(files_.content("out.jsonl")).size(), 2U);
}

TEST_F(JobTest, JobsThatCannotBegin) {
  EXPECT_EQ(run().status.code(), StatusCode::kNotFound);
  EXPECT_EQ(run_rows("").status.code(), StatusCode::kInvalidData);
  EXPECT_EQ(run_rows(rows(3) + rows(1)).status.code(), StatusCode::kInvalidData);
  EXPECT_EQ(outputs(), Names{});
  files_.write("job.jsonl", rows(3));
  { const auto never_run = open(); }
  EXPECT_EQ(outputs(), Names{});
}

TEST_F(JobTest, StandardInputIsCopiedFirst) {
  options_.input = "-";
  files_.set_standard_input(rows(100));
  {
    const auto job = open();
    ASSERT_TRUE(job.ok());
    EXPECT_EQ(files_.content("out.jsonl.input"), rows(100));
    EXPECT_TRUE((*job)->run(engine_, encoder_, 0, nullptr).status.ok());
  }
  EXPECT_EQ(outputs(), (Names{"out.jsonl", "out.jsonl.journal", "out.jsonl.report.json"}));
  // One whose journal is missing is not written over.
  files_.write("next.jsonl.input", "rows");
  options_.output = "next.jsonl";
  EXPECT_EQ(run().status.code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(files_.content("next.jsonl.input"), "rows");
}

TEST_F(JobTest, StandardOutputTakesFailedRowsToo) {
  options_.input = "-";
  options_.output = "-";
  options_.ordered = true;
  files_.set_standard_input(rows(40) + "bad\n" + "{\"custom_id\":\"last\",\"prompt\":\"z\"}");
  const JobOutcome outcome = run();
  ASSERT_TRUE(outcome.status.ok()) << outcome.status.message();
  const auto lines = lines_of(files_.standard_output_content());
  ASSERT_EQ(lines.size(), 42U);
  for (size_t i = 0; i < 40; ++i) EXPECT_EQ(id_of(lines[i]), fmt::format("r{}", i));
  EXPECT_EQ(id_of(lines[40]), "(none)");
  EXPECT_EQ(id_of(lines[41]), "last");
  EXPECT_EQ(outputs(), Names{});
}

TEST_F(JobTest, AStopLetsWhatRunsEnd) {
  engine_.on_step = [this](int step) {
    clock_ = step;
    if (step == 5) stop_ = true;
  };
  const JobOutcome outcome = run_rows(rows(500));
  EXPECT_EQ(outcome.status.code(), StatusCode::kInterrupted);
  EXPECT_EQ(outcome.report.outcome, "interrupted");
  EXPECT_GT(outcome.report.rows_ok, 0);
  EXPECT_LT(outcome.report.rows_ok, 100);
  EXPECT_EQ(engine_.active(), 0);
  EXPECT_EQ(outputs(), (Names{"out.jsonl.index", "out.jsonl.journal", "out.jsonl.partial", "out.jsonl.plan",
                              "out.jsonl.report.json"}));
  const auto lines = lines_of(files_.content("out.jsonl.partial"));
  EXPECT_EQ(static_cast<int64_t>(lines.size()), outcome.report.rows_ok);
  // The same command goes on.
  stop_ = false;
  const JobOutcome second = run();
  ASSERT_TRUE(second.status.ok()) << second.status.message();
  EXPECT_EQ(second.report.rows_ok, 500);
  EXPECT_EQ(second.report.rows_resumed, outcome.report.rows_ok);
  EXPECT_EQ(lines_of(files_.content("out.jsonl")).size(), 500U);
}

TEST_F(JobTest, AStopWaitsTenSecondsAtMost) {
  int stopped_at = 0;
  engine_.on_step = [&](int step) {
    clock_ = step;
    // The rows come from another thread, at any step.
    if (stopped_at == 0 && engine_.submitted == 3 && engine_.active() == 1) {
      stopped_at = step;
      stop_ = true;
    }
  };
  const JobOutcome outcome = run_rows("{\"prompt\":\"~ for ever\"}\n" + rows(2));
  EXPECT_EQ(outcome.status.code(), StatusCode::kInterrupted);
  EXPECT_EQ(outcome.report.rows_ok, 2);
  EXPECT_EQ(engine_.active(), 0);
  EXPECT_EQ(engine_.stats().steps, stopped_at + 10);
}

TEST_F(JobTest, AStopWhileTheRowsAreReadLeavesNothing) {
  stop_ = true;
  EXPECT_EQ(run_rows(rows(5)).status.code(), StatusCode::kInterrupted);
  EXPECT_EQ(outputs(), Names{});
}

TEST_F(JobTest, AnEngineThatBreaksStopsTheJob) {
  engine_.fail_at_step = 4;
  const JobOutcome outcome = run_rows(rows(100));
  EXPECT_EQ(outcome.status.code(), StatusCode::kInternal);
  EXPECT_EQ(outcome.report.outcome, "failed");
  EXPECT_EQ(outcome.report.error, "the fake engine broke");
  EXPECT_TRUE(files_.has("out.jsonl.partial"));
  EXPECT_FALSE(files_.has("out.jsonl"));
}

TEST_F(JobTest, MemoryThatRunsOutLeavesAJobThatGoesOn) {
  engine_.on_step = [](int step) {
    if (step == 4) throw std::bad_alloc();
  };
  const JobOutcome stopped = run_rows(rows(100));
  EXPECT_EQ(stopped.status.code(), StatusCode::kResourceExhausted);
  EXPECT_EQ(stopped.report.outcome, "failed");
  EXPECT_NE(stopped.report.error.find("memory ran out"), std::string::npos) << stopped.report.error;
  EXPECT_GT(stopped.report.rows_ok, 0);
  EXPECT_FALSE(files_.has("out.jsonl"));

  engine_ = FakeEngine();
  const JobOutcome ended = run();
  EXPECT_TRUE(ended.status.ok()) << ended.status.message();
  EXPECT_EQ(ended.report.rows_ok, 100);
  EXPECT_EQ(ended.report.rows_resumed, stopped.report.rows_ok);
}

// A disk that fails at the k-th call of each kind, once or for ever: an I/O error, never a complete-looking output with
// lines missing, never a line twice.
TEST_F(JobTest, FailingFilesNeverLookComplete) {
  const std::string content = rows(20) + "bad\n";
  for (const bool ordered : {false, true}) {
    for (const char* const operation :
         {"append", "sync", "close", "rename", "remove", "create", "read", "sync_folder"}) {
      for (const bool for_ever : {false, true}) {
        for (int k = 1; k <= 12; ++k) {
          SCOPED_TRACE(fmt::format("{} {} {}{}", ordered, operation, k, for_ever ? " for ever" : ""));
          MemoryFileSystem files;
          files.write("job.jsonl", content);
          int calls = 0;
          bool failed = false;
          files.set_fault([&](const std::string& name, const std::string& path) -> Status {
            if (name != operation || path == "job.jsonl") return {};
            ++calls;
            if (calls < k || (calls > k && !for_ever)) return {};
            failed = true;
            return io_error(path + ": No space left on device");
          });
          JobOptions options = options_;
          options.ordered = ordered;
          const JobEnvironment environment{[] { return 0.0; }, [] { return int64_t{0}; }, [] { return false; },
                                           [] { return size_t{0}; }, nullptr};
          FakeEngine engine;
          auto job = Job::open(files, options, environment);
          const Status status = job.ok() ? (*job)->run(engine, encoder_, 0, nullptr).status : job.status();
          files.set_fault(nullptr);
          // What a complete job no longer needs may stay.
          const bool left_over = operation == std::string("remove") && status.ok() && files.has("out.jsonl");
          if (failed && !left_over) {
            EXPECT_EQ(status.code(), StatusCode::kIoError) << status.message();
          } else {
            EXPECT_TRUE(status.ok()) << status.message();
          }
          std::set<std::string> ids;
          for (const std::string& line : lines_of(files.content("out.jsonl"))) {
            EXPECT_TRUE(ids.insert(id_of(line)).second) << line;
          }
          if (files.has("out.jsonl")) {
            EXPECT_EQ(ids.size(), 20U);
            EXPECT_EQ(lines_of(files.content("out.jsonl.errors.jsonl")).size(), 1U);
          }
        }
      }
    }
  }
}

TEST_F(JobTest, AReaderThatGoesAway) {
  options_.output = "-";
  files_.set_fault([](const std::string& name, const std::string& path) {
    return name == "append" && path == "-" ? io_error("standard output: Broken pipe") : Status();
  });
  EXPECT_EQ(run_rows(rows(200)).status.code(), StatusCode::kIoError);
  EXPECT_EQ(engine_.active(), 0);
}

TEST_F(JobTest, AnInputThatBreaksOnTheWay) {
  // After the rows were looked at and put in order.
  std::atomic<int> reads{0};
  files_.set_fault([&](const std::string& name, const std::string& path) {
    return name == "read" && path == "job.jsonl" && ++reads > 80 ? io_error("job.jsonl: Input/output error") : Status();
  });
  const JobOutcome outcome = run_rows(rows(50));
  EXPECT_EQ(outcome.status.code(), StatusCode::kIoError);
  EXPECT_GT(outcome.report.rows_ok, 0);
  EXPECT_FALSE(files_.has("out.jsonl"));
}

}  // namespace
}  // namespace batchwright

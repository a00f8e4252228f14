#include "cli/cli.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <fstream>
#include <string>
#include <vector>

#include "base/format_bytes.h"
#include "cli/command.h"
#include "cli/exit_code.h"
#include "cli/progress.h"
#include "cli/suggest.h"

namespace batchwright {
namespace {

struct Ran {
  int code;
  std::string out;
  std::string err;
};

Ran run(const std::vector<const char*>& words) {
  std::vector<const char*> argv = {"batchwright"};
  argv.insert(argv.end(), words.begin(), words.end());
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  const int code = run_command_line(static_cast<int>(argv.size()), argv.data());
  std::fflush(stdout);
  std::fflush(stderr);
  return {code, testing::internal::GetCapturedStdout(), testing::internal::GetCapturedStderr()};
}

bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

TEST(CommandLine, HelpBeginsWithExamples) {
  for (const std::vector<const char*>& words : std::vector<std::vector<const char*>>{{"--help"},
                                                                                     {"run", "--help"},
                                                                                     {"plan", "--help"},
                                                                                     {"inspect", "--help"},
                                                                                     {"eval", "--help"},
                                                                                     {"bench", "--help"}}) {
    const Ran ran = run(words);
    EXPECT_EQ(ran.code, 0);
    EXPECT_EQ(ran.err, "");
    const size_t examples = ran.out.find("Examples:\n  batchwright ");
    ASSERT_NE(examples, std::string::npos) << ran.out;
    EXPECT_LT(examples, ran.out.find("Usage:"));
  }
  EXPECT_TRUE(contains(run({"--version"}).out, "batchwright 0."));
}

TEST(CommandLine, WrongWordsGetASuggestion) {
  const auto usage = [](const std::vector<const char*>& words) {
    const Ran ran = run(words);
    EXPECT_EQ(ran.code, kExitUsage) << ran.err;
    EXPECT_EQ(ran.out, "");
    return ran.err;
  };
  EXPECT_TRUE(contains(usage({"rnu"}), "did you mean run?"));
  EXPECT_TRUE(contains(usage({"insepct", "x"}), "did you mean inspect?"));
  EXPECT_TRUE(contains(usage({"frobnicate"}), "there are run, plan, verify, inspect, eval, bench"));
  EXPECT_TRUE(contains(usage({}), "run, plan, verify, inspect, eval, bench"));
  EXPECT_TRUE(contains(usage({"run", "j", "-m", "m", "-o", "o", "--max-bach", "3"}), "did you mean --max-batch?"));
  EXPECT_TRUE(contains(usage({"run", "j", "-m", "m", "-o", "o", "--xyzzy=3"}), "\"--xyzzy\" is no option of run\n"));
  EXPECT_TRUE(contains(usage({"run", "j", "-m", "m"}), "--output is required"));
  EXPECT_TRUE(contains(usage({"run", "j", "-m", "m", "-o", "o", "--max-batch", "0"}), "--max-batch"));
  EXPECT_TRUE(contains(usage({"run", "j", "-m", "m", "-o", "o", "--max-batch", "many"}), "--max-batch"));
  EXPECT_TRUE(contains(usage({"run", "j", "-m", "m", "-o", "o", "--kv-memory", "2XB"}), "--kv-memory"));
  EXPECT_TRUE(contains(usage({"run", "j", "-m", "m", "-o", "o", "--date", "today"}), "--date"));
}

TEST(CommandLine, FilesThatAreMissingOrWrong) {
  const std::string folder = testing::TempDir() + "batchwright-cli-" + std::to_string(::getpid());
  const std::string job = folder + "-job.jsonl";
  const std::string twice = folder + "-twice.jsonl";
  const std::string out = folder + "-out.jsonl";
  std::ofstream(job) << "{\"prompt\":\"a\"}\n";
  std::ofstream(twice) << "{\"custom_id\":\"a\",\"prompt\":\"\"}\n\n{\"custom_id\":\"a\",\"prompt\":\"\"}\n";
  const auto run_job = [&](const std::string& input, const std::string& model) {
    return run({"run", input.c_str(), "-m", model.c_str(), "-o", out.c_str()});
  };
  const Ran no_model = run_job(job, folder + "/none.gguf");
  EXPECT_EQ(no_model.code, kExitNoFile);
  EXPECT_TRUE(contains(no_model.err, "none.gguf"));
  EXPECT_EQ(run_job(folder + "/none.jsonl", job).code, kExitNoFile);
  const Ran duplicate = run_job(twice, job);
  EXPECT_EQ(duplicate.code, kExitBadInput);
  EXPECT_TRUE(contains(duplicate.err, "lines 1 and 3 have the same custom_id, \"a\"")) << duplicate.err;
  // A model that is none.
  const Ran damaged = run_job(job, twice);
  EXPECT_EQ(damaged.code, kExitBadInput) << damaged.err;
  EXPECT_EQ(run({"inspect", twice.c_str()}).code, kExitBadInput);
  EXPECT_EQ(run({"eval", twice.c_str(), "--text", job.c_str()}).code, kExitBadInput);
  EXPECT_EQ(run({"bench", "-m", twice.c_str()}).code, kExitBadInput);
  // Nothing is left of runs that never began.
  for (const char* const suffix : {"", ".partial", ".report.json", ".input"}) {
    EXPECT_NE(::access((out + suffix).c_str(), F_OK), 0) << suffix;
  }
  ::unlink(job.c_str());
  ::unlink(twice.c_str());
}

TEST(Suggest, Distances) {
  EXPECT_EQ(edit_distance("", "abc"), 3U);
  EXPECT_EQ(edit_distance("rnu", "run"), 1U);
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3U);
  const std::vector<std::string> known = {"--max-batch", "--max-batch-tokens", "--seed"};
  EXPECT_EQ(nearest_word("--max-batch-token", known), "--max-batch-tokens");
  EXPECT_EQ(nearest_word("--temperature", known), "");
  EXPECT_EQ(nearest_word(std::string(10000, 'x'), known), "");
}

TEST(ByteCounts, UnitsAndNonsense) {
  const auto parse = [](const char* text) { return parse_byte_count("--kv-memory", text); };
  EXPECT_EQ(parse("4096").value(), 4096U);
  EXPECT_EQ(parse("2GiB").value(), size_t{2} << 30);
  EXPECT_EQ(parse("512 MiB").value(), size_t{512} << 20);
  EXPECT_EQ(parse("1.5Gi").value(), size_t{3} << 29);
  EXPECT_EQ(parse("2GB").value(), 2'000'000'000U);
  EXPECT_EQ(parse("64k").value(), 64'000U);
  for (const char* const bad : {"", "GiB", "-1", "0", "nan", "inf", "1e300", "2XiB", "2 GiB extra", "0x"}) {
    const auto result = parse(bad);
    EXPECT_EQ(result.status().code(), StatusCode::kInvalidArgument) << bad;
  }
  EXPECT_EQ(format_bytes(1536), "1.5 KiB");
  EXPECT_EQ(format_bytes(12), "12 B");
}

TEST(Progress, Lines) {
  JobProgress progress;
  progress.rows_total = 200;
  progress.rows_ok = 48;
  progress.rows_failed = 2;
  progress.seconds = 10;
  progress.seconds_left = 30;
  progress.prompt_tokens = 5000;
  progress.prompt_tokens_computed = 500;
  progress.engine.generated_tokens = 200;
  EXPECT_EQ(progress_line(progress, size_t{3} << 29, 0),
            "50/200 rows, 2 failed | 500 prompt + 20 generated tokens/s | 90% shared | 1.5 GiB | 0:30 left");
  const std::string bar = progress_line(progress, size_t{3} << 29, 120);
  EXPECT_EQ(bar.substr(0, 8), "[#####..");
  EXPECT_LT(bar.size(), 120U);
  EXPECT_LT(progress_line(progress, 0, 40).size(), 40U);
  progress.engine.steps = 8;
  progress.engine.steps_filled = 2.2;
  EXPECT_EQ(progress_line(progress, size_t{3} << 29, 0),
            "50/200 rows, 2 failed | 500 prompt + 20 generated tokens/s | 90% shared, steps 28% full | 1.5 GiB | "
            "0:30 left");
  // A narrow terminal does without that, not without the time left.
  EXPECT_TRUE(contains(progress_line(progress, size_t{3} << 29, 100), "90% shared | 1.5 GiB | 0:30 left"));
  EXPECT_TRUE(contains(progress_event(progress, 7), "\"share_saved\":0.9,\"steps\":8,\"mean_fill\":0.275"));
  EXPECT_TRUE(contains(progress_event(progress, 7), "\"seconds_left\":30"));
  progress.rows_ok = progress.rows_failed = 0;
  progress.seconds_left = -1;
  EXPECT_TRUE(contains(progress_event(progress, 7), "\"seconds_left\":null"));
  // Before the first step, of a job that goes on with 60 rows done.
  progress.engine.steps = 0;
  progress.rows_ok = progress.rows_resumed = 60;
  progress.rows_planned = 128;
  EXPECT_EQ(progress_line(progress, 0, 80), "putting the rows in order: 128/140");
}

TEST(Progress, StagesSayWhatTakesLong) {
  double now = 100;
  const auto said = [&](ProgressStyle style) {
    testing::internal::CaptureStderr();
    StagePrinter printer(style, [&now] { return now; });
    // Too early, then the first line, too soon after it, and the next one.
    for (const double seconds : {0.5, 0.5, 0.1, 5.0}) {
      now += seconds;
      printer.at("reading the rows", std::lround(now), 200);
    }
    return testing::internal::GetCapturedStderr();
  };
  EXPECT_EQ(said(ProgressStyle::kLines), "reading the rows: 101/200\nreading the rows: 106/200\n");
  now = 100;
  EXPECT_EQ(said(ProgressStyle::kJson),
            "{\"event\":\"progress\",\"rows_total\":200,\"rows_planned\":101}\n"
            "{\"event\":\"progress\",\"rows_total\":200,\"rows_planned\":106}\n");
  EXPECT_EQ(said(ProgressStyle::kNone), "");
}

TEST(Progress, WholeFilesAreReadInSight) {
  const auto said = [&](ProgressStyle style, uint64_t total) {
    double now = 100;
    testing::internal::CaptureStderr();
    StagePrinter printer(style, [&now] { return now; });
    for (const double seconds : {0.5, 0.5, 0.1, 5.0}) {
      now += seconds;
      printer.read("reading a.jsonl", static_cast<uint64_t>(now) << 20, total);
    }
    return testing::internal::GetCapturedStderr();
  };
  EXPECT_EQ(said(ProgressStyle::kLines, uint64_t{1} << 28),
            "reading a.jsonl: 39% of 256.0 MiB\nreading a.jsonl: 41% of 256.0 MiB\n");
  EXPECT_EQ(said(ProgressStyle::kLines, 0), "reading a.jsonl: 101.0 MiB\nreading a.jsonl: 106.0 MiB\n");
  EXPECT_EQ(said(ProgressStyle::kJson, uint64_t{1} << 28),
            "{\"event\":\"progress\",\"bytes_total\":268435456,\"bytes_read\":105906176}\n"
            "{\"event\":\"progress\",\"bytes_total\":268435456,\"bytes_read\":111149056}\n");
  EXPECT_EQ(said(ProgressStyle::kNone, 0), "");
}

TEST(Progress, WhatComesBeforeTheFirstRow) {
  JobProgress progress;
  progress.rows_total = 200;
  progress.seconds = 1;
  const auto said = [&](const auto& use) {
    testing::internal::CaptureStderr();
    ProgressPrinter printer(ProgressStyle::kLines, [] { return size_t{0}; });
    use(printer);
    return testing::internal::GetCapturedStderr();
  };
  const auto show = [&](ProgressPrinter& printer) { printer.progressed(progress); };
  EXPECT_EQ(said(show), "");
  progress.rows_planned = 64;
  EXPECT_EQ(said(show), "putting the rows in order: 64/200\n");
  const auto measure = [](ProgressPrinter& printer) {
    printer.measuring();
    printer.measured("");
    printer.measured("a reason");
  };
  EXPECT_EQ(said(measure),
            "measuring what steps cost on this machine\nmeasured, and kept for later jobs\n"
            "measured, for this time only: a reason\n");
}

TEST(ExitCodes, OfEveryStatus) {
  EXPECT_EQ(exit_code({}), 0);
  EXPECT_EQ(exit_code(invalid_argument("")), 2);
  EXPECT_EQ(exit_code(invalid_data("")), 65);
  EXPECT_EQ(exit_code(unsupported("")), 65);
  EXPECT_EQ(exit_code(not_found("")), 66);
  EXPECT_EQ(exit_code(io_error("")), 74);
  EXPECT_EQ(exit_code(interrupted("")), 75);
  EXPECT_EQ(exit_code(resource_exhausted("")), 1);
  EXPECT_EQ(exit_code(internal_error("")), 1);
}

}  // namespace
}  // namespace batchwright

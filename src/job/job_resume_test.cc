// What becomes of what an earlier run left: going on, refusing, retrying, replacing.
#include <gmock/gmock.h>

#include <algorithm>
#include <map>
#include <utility>

#include "job/testing/job_fixture.h"
#include "schedule/answer_lengths.h"

namespace batchwright {
namespace {

using testing::Contains;
using testing::HasSubstr;
using Names = std::set<std::string>;

class JobResumeTest : public JobFixture {
 protected:
  JobResumeTest() { options_.sync_seconds = 0; }

  static std::string mixed_rows(int count) {
    std::string text;
    for (int i = 0; i < count; ++i) {
      if (i % 7 == 3) {
        text += fmt::format("{{\"custom_id\":\"bad{}\",\"prompt\":{}}}\n", i, i);
      } else {
        text += fmt::format("{{\"custom_id\":\"r{}\",\"prompt\":\"text {}\"}}\n", i, i);
      }
    }
    return text;
  }

  // The bytes of a run that nothing disturbed.
  std::map<std::string, std::string> undisturbed(const std::string& content) {
    MemoryFileSystem files;
    files.write("job.jsonl", content);
    JobOptions options = options_;
    options.start = JobStart::kContinue;
    options.retry_failed = false;
    const JobEnvironment environment{[] { return 0.0; }, [] { return int64_t{1234}; }, [] { return false; },
                                     [] { return size_t{0}; }, nullptr};
    FakeEngine engine;
    const auto job = Job::open(files, options, environment);
    EXPECT_TRUE(job.ok()) << job.status().message();
    EXPECT_TRUE((*job)->run(engine, encoder_, 0, nullptr).status.ok());
    return {{"out.jsonl", files.content("out.jsonl")}, {"errors", files.content("out.jsonl.errors.jsonl")}};
  }

  // Runs until the engine has made some steps.
  JobOutcome run_for(int steps) {
    engine_.fail_at_step = static_cast<int>(engine_.stats().steps) + steps;
    const JobOutcome outcome = run();
    engine_.fail_at_step = 0;
    // What was under way in the engine is gone with the process.
    engine_ = FakeEngine();
    return outcome;
  }

  void expect_refusal(const std::string& part) {
    const auto job = open();
    ASSERT_FALSE(job.ok());
    EXPECT_EQ(job.status().code(), StatusCode::kInvalidArgument) << job.status().message();
    EXPECT_THAT(job.status().message(), HasSubstr(part));
  }
};

TEST_F(JobResumeTest, OrderedOutputIsThatOfAnUndisturbedRun) {
  options_.ordered = true;
  const std::string content = mixed_rows(60);
  const auto expected = undisturbed(content);
  files_.write("job.jsonl", content);
  int attempts = 0;
  int64_t resumed = 0;
  JobOutcome outcome;
  do {
    outcome = run_for(4);
    ++attempts;
    EXPECT_EQ(outcome.report.attempts, attempts);
    EXPECT_GE(outcome.report.rows_resumed, resumed);
    resumed = outcome.report.rows_resumed;
    ASSERT_LT(attempts, 60);
  } while (!outcome.status.ok());
  EXPECT_GT(attempts, 4);
  EXPECT_GT(resumed, 0);
  EXPECT_EQ(files_.content("out.jsonl"), expected.at("out.jsonl"));
  EXPECT_EQ(files_.content("out.jsonl.errors.jsonl"), expected.at("errors"));
  EXPECT_EQ(outputs(), (Names{"out.jsonl", "out.jsonl.errors.jsonl", "out.jsonl.journal", "out.jsonl.report.json"}));
  EXPECT_EQ(outcome.report.rows_ok, 51);
  EXPECT_EQ(outcome.report.rows_failed, 9);
}

TEST_F(JobResumeTest, LengthsOfAnswersAreKnownFromRowsThatAreDone) {
  std::string content;
  for (int i = 0; i < 1000; ++i) content += fmt::format("{{\"prompt\":\"text {}\",\"max_tokens\":100}}\n", i);
  files_.write("job.jsonl", content);
  ASSERT_FALSE(run_for(150).status.ok());
  ASSERT_GE(read_journal(files_, "out.jsonl.journal", nullptr)->rows_done(), AnswerLengths::kEnough);
  ASSERT_TRUE(run().status.ok());
  // An answer is the prompt and a number. Without knowing that, the first would be expected to have 100 tokens.
  ASSERT_FALSE(engine_.expected_tokens.empty());
  for (const int tokens : engine_.expected_tokens) {
    ASSERT_GE(tokens, 8);
    ASSERT_LE(tokens, 20);
  }
}

TEST_F(JobResumeTest, RowsThatAreDoneAreNotRunAgain) {
  files_.write("job.jsonl", rows(40));
  ASSERT_FALSE(run_for(6).status.ok());
  const int64_t done = read_journal(files_, "out.jsonl.journal", nullptr)->rows_done();
  ASSERT_GT(done, 0);
  const AttemptProgress before = read_journal(files_, "out.jsonl.journal", nullptr)->progress();
  EXPECT_GT(before.steps, 0);
  const int64_t steps_before = engine_.stats().steps;
  const JobOutcome outcome = run();
  ASSERT_TRUE(outcome.status.ok()) << outcome.status.message();
  EXPECT_EQ(outcome.report.rows_resumed, done);
  // Of both runs; each step of this engine is a quarter full.
  EXPECT_EQ(outcome.report.steps, before.steps + engine_.stats().steps - steps_before);
  EXPECT_DOUBLE_EQ(mean_fill(outcome.report.steps, outcome.report.steps_filled), 0.25);
  // Prompts are "<BOS>text N": what the engine was given are the other rows.
  EXPECT_LT(engine_.stats().prompt_tokens, (40 - done + 1) * 8);
  EXPECT_EQ(outcome.report.prompt_tokens, read_journal(files_, "out.jsonl.journal", nullptr)->prompt_tokens);
}

TEST_F(JobResumeTest, AnotherJobIsRefusedByName) {
  files_.write("job.jsonl", rows(40));
  ASSERT_FALSE(run_for(6).status.ok());
  const JobOptions same = options_;
  const auto changed = [&](auto change, const std::string& part) {
    options_ = same;
    change(options_);
    expect_refusal(part);
  };
  changed([](JobOptions& o) { o.defaults.sampling.temperature = 0.9F; }, "--temperature was 1.0 and is now 0.9");
  changed([](JobOptions& o) { o.defaults.sampling.seed = UINT64_MAX; }, "--seed was 0 and is now 18446744073709551615");
  changed([](JobOptions& o) { o.defaults.max_tokens = 5; }, "--max-tokens was null and is now 5");
  changed([](JobOptions& o) { o.defaults.stop_strings = {"x"}; }, "--stop");
  changed([](JobOptions& o) { o.defaults.choice = {"yes", "no"}; }, "--choice");
  changed([](JobOptions& o) { o.defaults.choice_logprobs = true; }, "--choice-logprobs");
  changed([](JobOptions& o) { o.chat_template = "{{ messages }}"; }, "the text of --chat-template is another");
  changed([](JobOptions& o) { o.date = "2026-01-31"; }, "--date was \"\" and is now \"2026-01-31\"");
  changed([](JobOptions& o) { o.limits.messages = 5; }, "--limit-messages was 4096 and is now 5");
  changed([](JobOptions& o) { o.context_length = 77; }, "--context-length");
  changed([](JobOptions& o) { o.stamp_created = true; }, "--created");
  // Free to change.
  options_ = same;
  options_.ordered = true;
  options_.sync_seconds = 5;
  options_.limit = 39;
  options_.start = JobStart::kResume;
  EXPECT_TRUE(open().ok());

  options_ = same;
  std::string other = rows(40);
  other[other.rfind("text")] = 'T';
  files_.write("job.jsonl", other);
  expect_refusal("the rows have changed since the job began: line 40 of job.jsonl is another");
  files_.write("job.jsonl", rows(41));
  expect_refusal("line 41 of job.jsonl is another");
  // Without its index the journal still knows the rows.
  ASSERT_TRUE(files_.remove("out.jsonl.index").ok());
  expect_refusal("the number of rows was 40 and is now 41");
  files_.write("job.jsonl", other);
  expect_refusal("the rows are no longer what they were");
  files_.write("job.jsonl", rows(40));
  EXPECT_TRUE(run().status.ok());
}

TEST_F(JobResumeTest, AnotherModelIsRefused) {
  files_.write("job.jsonl", rows(40));
  ASSERT_FALSE(run_for(6).status.ok());
  const std::string journal = files_.content("out.jsonl.journal");
  engine_.set_hash("ffff");
  const JobOutcome outcome = run();
  EXPECT_EQ(outcome.status.code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(outcome.status.message(), HasSubstr("the model was"));
  EXPECT_THAT(outcome.status.message(), HasSubstr("ffff"));
  EXPECT_EQ(files_.content("out.jsonl.journal"), journal);
}

TEST_F(JobResumeTest, AFinishedJobIsLeftAlone) {
  files_.write("job.jsonl", mixed_rows(20));
  ASSERT_TRUE(run().status.ok());
  std::map<std::string, std::string> before;
  for (const std::string& path : files_.paths()) before[path] = files_.content(path);
  for (const JobStart start : {JobStart::kContinue, JobStart::kResume}) {
    options_.start = start;
    const auto job = open();
    ASSERT_TRUE(job.ok()) << job.status().message();
    ASSERT_TRUE((*job)->finished());
    EXPECT_EQ((*job)->finished()->rows_ok, 17);
    EXPECT_EQ((*job)->finished()->rows_failed, 3);
  }
  std::map<std::string, std::string> after;
  for (const std::string& path : files_.paths()) after[path] = files_.content(path);
  EXPECT_EQ(after, before);
  options_.start = JobStart::kContinue;
  options_.defaults.sampling.temperature = 0;
  expect_refusal("--temperature");
}

TEST_F(JobResumeTest, MoreRowsByAHigherLimit) {
  for (const bool ordered : {false, true}) {
    for (const char* const input : {"job.jsonl", "-"}) {
      SCOPED_TRACE(fmt::format("{} {}", ordered, input));
      files_ = MemoryFileSystem();
      engine_ = FakeEngine();
      const std::string content = mixed_rows(40);
      options_.ordered = true;
      options_.limit = 0;
      options_.input = "job.jsonl";
      const auto expected = undisturbed(content);
      options_.ordered = ordered;
      files_.write("job.jsonl", content);
      files_.set_standard_input(content);
      options_.input = input;
      options_.limit = 15;
      EXPECT_EQ(run().report.rows_total, 15);
      options_.limit = 25;
      // Interrupted in between, while the output is what a job of 15 rows has left.
      EXPECT_FALSE(run_for(2).status.ok());
      EXPECT_FALSE(files_.has("out.jsonl"));
      EXPECT_EQ(run().report.rows_total, 25);
      options_.limit = 10;
      EXPECT_TRUE(open().value()->finished());
      options_.limit = 0;
      options_.ordered = true;
      const JobOutcome outcome = run();
      ASSERT_TRUE(outcome.status.ok()) << outcome.status.message();
      EXPECT_EQ(outcome.report.rows_resumed, 25);
      EXPECT_EQ(files_.content("out.jsonl"), expected.at("out.jsonl"));
      EXPECT_EQ(lines_of(files_.content("out.jsonl.errors.jsonl")).size(), 6U);
      EXPECT_FALSE(files_.has("out.jsonl.input"));
    }
  }
}

TEST_F(JobResumeTest, FailedRowsAreRunAgainWhenAskedFor) {
  for (const bool ordered : {false, true}) {
    files_ = MemoryFileSystem();
    options_ = JobOptions();
    options_.input = "job.jsonl";
    options_.output = "out.jsonl";
    options_.ordered = ordered;
    options_.limits.n = 1;
    std::string content = rows(20);
    content += "{\"custom_id\":\"two\",\"prompt\":\"x\",\"n\":2}\nnot json\n";
    EXPECT_EQ(run_rows(content).report.rows_failed, 2);
    // Nothing else may be changed with it than limits that grow.
    options_.retry_failed = true;
    options_.limits.messages = 1;
    expect_refusal("--limit-messages");
    options_.limits.messages = 4096;
    options_.limits.n = 2;
    const JobOutcome outcome = run();
    ASSERT_TRUE(outcome.status.ok()) << outcome.status.message();
    EXPECT_EQ(outcome.report.rows_ok, 21);
    EXPECT_EQ(outcome.report.rows_failed, 1);
    EXPECT_EQ(outcome.report.rows_resumed, 20);
    const auto lines = lines_of(files_.content("out.jsonl"));
    ASSERT_EQ(lines.size(), 21U);
    EXPECT_TRUE(!ordered || id_of(lines.back()) == "two");
    EXPECT_EQ(lines_of(files_.content("out.jsonl.errors.jsonl")).size(), 1U);
    // The last of them ends well too: then no errors are left.
    options_.retry_failed = false;
    EXPECT_TRUE(open().value()->finished());
  }
}

TEST_F(JobResumeTest, RetriedRowsThatAllEndWellLeaveNoErrors) {
  options_.limits.n = 1;
  EXPECT_EQ(run_rows("{\"custom_id\":\"a\",\"prompt\":\"x\"}\n{\"custom_id\":\"b\",\"prompt\":\"x\",\"n\":2}\n")
                .report.rows_failed,
            1);
  EXPECT_TRUE(files_.has("out.jsonl.errors.jsonl"));
  options_.retry_failed = true;
  options_.limits.n = 2;
  EXPECT_EQ(run().report.rows_ok, 2);
  EXPECT_FALSE(files_.has("out.jsonl.errors.jsonl"));
}

TEST_F(JobResumeTest, ResumeInsistsOnAJournal) {
  files_.write("job.jsonl", rows(3));
  options_.start = JobStart::kResume;
  expect_refusal("--resume: there is no job to go on with");
  EXPECT_EQ(outputs(), Names{});
}

TEST_F(JobResumeTest, RestartMovesAside) {
  files_.write("job.jsonl", rows(20));
  ASSERT_FALSE(run_for(4).status.ok());
  const std::string partial = files_.content("out.jsonl.partial");
  options_.start = JobStart::kRestart;
  options_.defaults.sampling.temperature = 0;
  auto job = open();
  ASSERT_TRUE(job.ok()) << job.status().message();
  EXPECT_THAT((*job)->notes(), Contains(HasSubstr("out.jsonl.partial.old-1")));
  ASSERT_TRUE((*job)->run(engine_, encoder_, 0, nullptr).status.ok());
  job->reset();
  EXPECT_EQ(files_.content("out.jsonl.partial.old-1"), partial);
  EXPECT_TRUE(files_.has("out.jsonl.journal.old-1"));
  EXPECT_EQ(lines_of(files_.content("out.jsonl")).size(), 20U);
  ASSERT_TRUE(run().status.ok());
  EXPECT_TRUE(files_.has("out.jsonl.old-2"));
}

TEST_F(JobResumeTest, OverwriteGoesOnWithTheSameJobAndReplacesOthers) {
  files_.write("job.jsonl", rows(30));
  options_.start = JobStart::kOverwrite;
  ASSERT_FALSE(run_for(5).status.ok());
  EXPECT_GT(run_for(3).report.rows_resumed, 0);
  options_.defaults.sampling.temperature = 0;
  const JobOutcome outcome = run();
  ASSERT_TRUE(outcome.status.ok()) << outcome.status.message();
  EXPECT_EQ(outcome.report.rows_resumed, 0);
  EXPECT_EQ(outcome.report.attempts, 1);
  EXPECT_EQ(lines_of(files_.content("out.jsonl")).size(), 30U);
  // A job that cannot begin replaces nothing.
  const std::string good = files_.content("out.jsonl");
  files_.write("job.jsonl", rows(3) + rows(1));
  EXPECT_EQ(run().status.code(), StatusCode::kInvalidData);
  EXPECT_EQ(files_.content("out.jsonl"), good);
}

TEST_F(JobResumeTest, TwoRunsAtOnce) {
  files_.write("job.jsonl", rows(10));
  const auto first = open();
  ASSERT_TRUE(first.ok());
  const auto before = outputs();
  for (const JobStart start : {JobStart::kContinue, JobStart::kResume, JobStart::kRestart, JobStart::kOverwrite}) {
    options_.start = start;
    expect_refusal("another process");
    EXPECT_EQ(outputs(), before);
  }
  EXPECT_TRUE((*first)->run(engine_, encoder_, 0, nullptr).status.ok());
}

TEST_F(JobResumeTest, DamageIsNeverBelieved) {
  const std::string content = mixed_rows(30);
  options_.ordered = true;
  const auto expected = undisturbed(content);
  files_.write("job.jsonl", content);
  ASSERT_FALSE(run_for(6).status.ok());
  std::map<std::string, std::string> state;
  for (const std::string& path : files_.paths()) state[path] = files_.content(path);
  ASSERT_TRUE(state.count("out.jsonl.partial"));
  int refused = 0;
  int completed = 0;
  for (const char* const victim : {"out.jsonl.journal", "out.jsonl.index", "out.jsonl.plan", "out.jsonl.partial"}) {
    const std::string whole = state[victim];
    for (size_t at = 0; at < whole.size(); at += std::max<size_t>(1, whole.size() / 60)) {
      for (const bool cut : {false, true}) {
        SCOPED_TRACE(fmt::format("{} at {} of {}{}", victim, at, whole.size(), cut ? ", cut" : ""));
        files_ = MemoryFileSystem();
        for (const auto& [path, bytes] : state) files_.write(path, bytes);
        std::string damaged = cut ? whole.substr(0, at) : whole;
        if (!cut) damaged[at] = static_cast<char>(damaged[at] ^ 0x20);
        files_.write(victim, damaged);
        engine_ = FakeEngine();
        const JobOutcome outcome = run();
        if (outcome.status.ok()) {
          ++completed;
          EXPECT_EQ(files_.content("out.jsonl"), expected.at("out.jsonl"));
          EXPECT_EQ(files_.content("out.jsonl.errors.jsonl"), expected.at("errors"));
        } else {
          ++refused;
          EXPECT_TRUE(outcome.status.code() == StatusCode::kInvalidData ||
                      outcome.status.code() == StatusCode::kUnsupported ||
                      outcome.status.code() == StatusCode::kInvalidArgument)
              << outcome.status.message();
          EXPECT_FALSE(files_.has("out.jsonl"));
        }
      }
    }
  }
  EXPECT_GT(refused, 20);
  EXPECT_GT(completed, 100);
}

TEST_F(JobResumeTest, ResultsThatAreMissing) {
  files_.write("job.jsonl", mixed_rows(30));
  ASSERT_FALSE(run_for(6).status.ok());
  ASSERT_TRUE(files_.remove("out.jsonl.partial").ok());
  const JobOutcome outcome = run();
  EXPECT_EQ(outcome.status.code(), StatusCode::kInvalidData);
  EXPECT_THAT(outcome.status.message(), HasSubstr("out.jsonl.partial: is missing"));
  EXPECT_THAT(outcome.status.message(), HasSubstr("--restart"));
}

TEST_F(JobResumeTest, AStrangersFileIsNotReplaced) {
  files_.write("job.jsonl", rows(30));
  ASSERT_FALSE(run_for(6).status.ok());
  files_.write("out.jsonl", "precious");
  expect_refusal("out.jsonl: was not written by this job");
  EXPECT_EQ(files_.content("out.jsonl"), "precious");
}

TEST_F(JobResumeTest, TablesKeepTheirHeader) {
  options_.input = "job.csv";
  options_.output = "out.csv";
  options_.ordered = true;
  options_.format.kind = RowFileKind::kCsv;
  options_.format.prompt = "about {title}";
  options_.format.carry = {"title"};
  options_.format.endpoint = Endpoint::kCompletions;
  std::string table = "title,text\n";
  for (int i = 0; i < 30; ++i) table += fmt::format("\"t {}\",\"a, \"\"b\"\"\n{}\"\n", i, i);
  files_.write("job.csv", table);
  ASSERT_TRUE(run().status.ok());
  const std::string expected = files_.content("out.csv");
  EXPECT_THAT(expected, testing::StartsWith("custom_id,title,answer,finish_reason,prompt_tokens,completion_tokens\n"
                                            "row-1,t 0,"));
  EXPECT_EQ(lines_of(expected).size(), 31U);
  files_ = MemoryFileSystem();
  files_.write("job.csv", table);
  int attempts = 0;
  engine_ = FakeEngine();
  while (!run_for(3).status.ok()) ASSERT_LT(++attempts, 50);
  EXPECT_GT(attempts, 3);
  EXPECT_EQ(files_.content("out.csv"), expected);
  // A column of another name is another job, though its rows are the same bytes.
  files_.write("job.csv", "topic" + table.substr(5));
  options_.format.prompt = "about {topic}";
  options_.format.carry = {"topic"};
  expect_refusal("--prompt");
}

}  // namespace
}  // namespace batchwright

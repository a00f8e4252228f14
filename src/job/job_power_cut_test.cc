// Loss of power at any call of a job, in any legal state of what was not synced, again and again until the job is done.
// BATCHWRIGHT_POWER_CUTS: how many (500). BATCHWRIGHT_SEED: the first seed.
#include <algorithm>
#include <cstdlib>
#include <map>
#include <random>
#include <utility>

#include "job/testing/job_fixture.h"

namespace batchwright {
namespace {

uint64_t number_from_environment(const char* name, uint64_t fallback) {
  const char* const text = std::getenv(name);
  return text != nullptr ? std::strtoull(text, nullptr, 10) : fallback;
}

// The rows that a user has been told of.
class Reported : public JobObserver {
 public:
  void progressed(const JobProgress& progress) override {
    rows = std::max(rows, progress.rows_ok + progress.rows_failed);
  }
  int64_t rows = 0;
};

class JobPowerCutTest : public JobFixture {
 protected:
  struct Kind {
    const char* name;
    bool ordered = false;
    bool standard_input = false;
    bool table = false;
    // What stands at the output's place: nothing, or a complete job that is replaced, continued to its end, retried.
    enum class Before { kNothing, kOtherJob, kFewerRows, kFailedRows } before = Before::kNothing;
  };

  static std::string content_of(const Kind& kind) {
    std::string text = kind.table ? "title,note\n" : "";
    for (int i = 0; i < 14; ++i) {
      if (kind.table) {
        text += i == 6 ? "too,many,fields\n" : fmt::format("t{},\"n {}\"\n", i, i);
      } else {
        text += i % 6 == 4 ? fmt::format("{{\"custom_id\":\"b{}\",\"prompt\":\"x\",\"n\":2}}\n", i)
                           : fmt::format("{{\"custom_id\":\"r{}\",\"prompt\":\"text {}\"}}\n", i, i);
      }
    }
    return text;
  }

  static JobOptions options_of(const Kind& kind) {
    JobOptions o;
    o.output = kind.table ? "out.csv" : "out.jsonl";
    o.input = kind.standard_input ? "-" : kind.table ? "job.csv" : "job.jsonl";
    o.ordered = kind.ordered;
    o.limits.n = 1;
    if (kind.table) {
      o.format.kind = RowFileKind::kCsv;
      o.format.prompt = "about {title}";
      o.format.carry = {"note"};
      o.format.endpoint = Endpoint::kCompletions;
    }
    return o;
  }

  // A file system as it is before the run that is cut.
  MemoryFileSystem prepared(const Kind& kind) {
    MemoryFileSystem files;
    files.write(kind.table ? "job.csv" : "job.jsonl", content_of(kind));
    if (kind.before == Kind::Before::kNothing) return files;
    JobOptions options = options_of(kind);
    if (kind.before == Kind::Before::kOtherJob) options.defaults.sampling.temperature = 0;
    if (kind.before == Kind::Before::kFewerRows) options.limit = 8;
    const JobOutcome outcome = run_once(files, options, kind, nullptr);
    EXPECT_TRUE(outcome.status.ok()) << outcome.status.message();
    return files;
  }

  JobOutcome run_once(MemoryFileSystem& files, const JobOptions& options, const Kind& kind, Reported* reported) {
    if (kind.standard_input) files.set_standard_input(content_of(kind));
    const JobEnvironment environment{[this] { return clock_ = clock_ + 0.001; }, [] { return int64_t{1234}; },
                                     [] { return false; }, [] { return size_t{0}; }, nullptr};
    FakeEngine engine;
    const auto job = Job::open(files, options, environment);
    if (!job.ok()) return {job.status(), {}};
    if ((*job)->finished()) {
      JobOutcome outcome{{}, *(*job)->finished()};
      outcome.report.rows_resumed = outcome.report.rows_total;
      return outcome;
    }
    return (*job)->run(engine, encoder_, 0, reported);
  }
};

TEST_F(JobPowerCutTest, NoReportedRowIsLost) {
  using Before = JobPowerCutTest::Kind::Before;
  const std::vector<Kind> kinds = {{"plain"},
                                   {"ordered", true},
                                   {"standard input", false, true},
                                   {"table", true, false, true},
                                   {"replacing", true, false, false, Before::kOtherJob},
                                   {"more rows", false, false, false, Before::kFewerRows},
                                   {"more rows, ordered", true, false, false, Before::kFewerRows},
                                   {"retrying", true, false, false, Before::kFailedRows}};
  std::map<std::string, std::pair<std::string, std::string>> expected;
  std::map<std::string, uint64_t> calls;
  for (const Kind& kind : kinds) {
    MemoryFileSystem files = prepared({kind.name, true, kind.standard_input, kind.table});
    JobOptions options = options_of(kind);
    options.ordered = true;
    const uint64_t before = files.operations();
    ASSERT_TRUE(run_once(files, options, kind, nullptr).status.ok());
    calls[kind.name] = files.operations() - before;
    expected[kind.name] = {files.content(options.output), files.content(errors_path(options.output))};
    ASSERT_FALSE(expected[kind.name].second.empty());
  }

  const uint64_t cuts_wanted = number_from_environment("BATCHWRIGHT_POWER_CUTS", 500);
  uint64_t seed = number_from_environment("BATCHWRIGHT_SEED", 20261122);
  fmt::print("{} power cuts, first seed {}\n", cuts_wanted, seed);
  uint64_t cuts = 0;
  int64_t jobs = 0;
  int64_t rows_resumed = 0;
  for (; cuts < cuts_wanted; ++seed) {
    std::mt19937_64 random(seed);
    const Kind& kind = kinds[random() % kinds.size()];
    SCOPED_TRACE(fmt::format("{}, seed {}", kind.name, seed));
    MemoryFileSystem files = prepared(kind);
    JobOptions options = options_of(kind);
    options.start = kind.before == Before::kOtherJob ? JobStart::kOverwrite : JobStart::kContinue;
    options.retry_failed = kind.before == Before::kFailedRows;
    if (options.retry_failed) options.limits.n = 1 + static_cast<int64_t>(random() % 2);
    // Once told, always there - but a job that replaces another, or runs rows again, does so each time.
    Reported reported;
    for (int cut = 0; cut < 4 && cuts < cuts_wanted; ++cut, ++cuts) {
      options.sync_seconds = random() % 2 == 0 ? 0 : 0.004;
      FaultPlan plan;
      plan.at = 1 + random() % calls[kind.name];
      plan.lasts = FaultPlan::Lasts::kPowerOff;
      files.set_fault(planned_fault(plan));
      const JobOutcome outcome = run_once(files, options, kind, &reported);
      ASSERT_TRUE(outcome.status.ok() || outcome.status.code() == StatusCode::kIoError) << outcome.status.message();
      files.power_cut(random());
    }
    options.sync_seconds = 0;
    const JobOutcome outcome = run_once(files, options, kind, nullptr);
    ASSERT_TRUE(outcome.status.ok()) << outcome.status.message();
    ++jobs;
    rows_resumed += outcome.report.rows_resumed;
    if (kind.before == Before::kNothing || kind.before == Before::kFewerRows) {
      ASSERT_GE(outcome.report.rows_resumed, reported.rows);
    }
    auto answers = lines_of(files.content(options.output));
    auto errors = lines_of(files.content(errors_path(options.output)));
    auto answers_expected = lines_of(expected[kind.name].first);
    auto errors_expected = lines_of(expected[kind.name].second);
    if (!kind.ordered) {
      for (auto* const lines : {&answers, &errors, &answers_expected, &errors_expected}) {
        std::sort(lines->begin(), lines->end());
      }
    }
    if (options.limits.n == 1) {
      ASSERT_EQ(answers, answers_expected);
      ASSERT_EQ(errors, errors_expected);
    } else {
      ASSERT_EQ(answers.size(), 14U);
      ASSERT_TRUE(errors.empty());
    }
  }
  fmt::print("{} jobs brought to their end, {} rows resumed\n", jobs, rows_resumed);
  EXPECT_GT(rows_resumed, jobs);
}

}  // namespace
}  // namespace batchwright

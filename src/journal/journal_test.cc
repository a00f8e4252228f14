#include "journal/journal.h"

#include <gtest/gtest.h>

#include "base/little_endian.h"
#include "base/memory_file_system.h"
#include "journal/record_log.h"

namespace batchwright {
namespace {

RowRecord row(uint32_t number, uint64_t offset, ResultKind kind = ResultKind::kAnswer) {
  RowRecord r;
  r.row = number;
  r.kind = kind;
  r.offset = offset;
  r.length = 10;
  r.checksum = number * 7;
  r.key = {number, ~uint64_t{number}};
  r.prompt_tokens = 5;
  r.prompt_tokens_computed = 3;
  r.generated_tokens = 2;
  return r;
}

class JournalTest : public testing::Test {
 protected:
  std::unique_ptr<Journal> open() {
    auto journal = Journal::open(files_, "x.journal");
    EXPECT_TRUE(journal.ok()) << journal.status().message();
    return std::move(journal).value();
  }

  std::vector<uint32_t> rows() {
    std::vector<uint32_t> numbers;
    EXPECT_TRUE(read_journal(files_, "x.journal", [&](const RowRecord& r) {
                  numbers.push_back(r.row);
                  EXPECT_EQ(r.checksum, r.row * 7);
                  EXPECT_EQ(r.key, (Hash128{r.row, ~uint64_t{r.row}}));
                  return Status();
                }).ok());
    return numbers;
  }

  MemoryFileSystem files_;
};

using Numbers = std::vector<uint32_t>;

TEST_F(JournalTest, AddsUpWhatWasWritten) {
  {
    const auto journal = open();
    EXPECT_FALSE(journal->has_begun());
    ASSERT_TRUE(journal->begin().ok());
    ASSERT_TRUE(journal->write_attempt(100, "{\"a\":1}").ok());
    ASSERT_TRUE(journal->write_rows({row(3, 0), row(1, 10)}, {0.5, 3, 1.5, 0}).ok());
    ASSERT_TRUE(journal->write_rows({row(2, 0, ResultKind::kError)}, {1.5, 10, 4.5, 1}).ok());
  }
  {
    const auto journal = open();
    ASSERT_TRUE(journal->has_begun());
    EXPECT_EQ(journal->summary().attempts.size(), 1U);
    ASSERT_TRUE(journal->resume().ok());
    ASSERT_TRUE(journal->write_attempt(200, "{\"a\":2}").ok());
    ASSERT_TRUE(journal->write_rows({row(0, 20)}, {0.25, 2, 0.5, 4}).ok());
  }
  const auto journal = open();
  const JournalSummary& s = journal->summary();
  ASSERT_EQ(s.attempts.size(), 2U);
  EXPECT_EQ(s.attempts[0].unix_time, 100);
  EXPECT_EQ(s.attempts[0].parameters, "{\"a\":1}");
  EXPECT_EQ(s.attempts[0].progress.seconds, 1.5);
  EXPECT_EQ(s.attempts[0].progress.steps, 10);
  EXPECT_EQ(s.attempts[1].parameters, "{\"a\":2}");
  EXPECT_EQ(s.progress().seconds, 1.75);
  EXPECT_EQ(s.progress().steps, 12);
  EXPECT_EQ(s.progress().steps_filled, 5);
  EXPECT_EQ(s.progress().preemptions, 5);
  EXPECT_EQ(s.rows[0], 3);
  EXPECT_EQ(s.rows[1], 1);
  EXPECT_EQ(s.result_bytes[0], 30U);
  EXPECT_EQ(s.result_bytes[1], 10U);
  EXPECT_EQ(s.prompt_tokens, 20);
  EXPECT_EQ(s.prompt_tokens_computed, 12);
  EXPECT_EQ(s.generated_tokens, 8);
  EXPECT_FALSE(s.complete);
  EXPECT_EQ(s.dropped_bytes, 0U);
  EXPECT_EQ(rows(), (Numbers{3, 1, 2, 0}));
}

// Older programs wrote the seconds alone.
TEST_F(JournalTest, ReadsAProgressOfSecondsAlone) {
  {
    const auto journal = open();
    ASSERT_TRUE(journal->begin().ok());
    ASSERT_TRUE(journal->write_attempt(100, "{}").ok());
  }
  std::string payload;
  append_number(payload, 2.5);
  std::string record;
  append_log_record(record, 3, payload);
  const std::string begun = files_.content("x.journal");
  files_.write("x.journal", begun + record);
  const AttemptProgress progress = open()->summary().progress();
  EXPECT_EQ(progress.seconds, 2.5);
  EXPECT_EQ(progress.steps, 0);
  // No other size is believed.
  record.clear();
  append_log_record(record, 3, payload + "x");
  files_.write("x.journal", begun + record);
  EXPECT_EQ(Journal::open(files_, "x.journal").status().code(), StatusCode::kInvalidData);
}

TEST_F(JournalTest, GoesOnBehindWhatIsWhole) {
  {
    const auto journal = open();
    ASSERT_TRUE(journal->begin().ok());
    ASSERT_TRUE(journal->write_attempt(100, "{}").ok());
    ASSERT_TRUE(journal->write_rows({row(1, 0), row(2, 10)}, {1}).ok());
  }
  const std::string whole = files_.content("x.journal");
  files_.write("x.journal", whole + "torn");
  {
    const auto journal = open();
    EXPECT_EQ(journal->summary().dropped_bytes, 4U);
    EXPECT_EQ(journal->summary().valid_bytes, whole.size());
    ASSERT_TRUE(journal->resume().ok());
    EXPECT_EQ(files_.content("x.journal"), whole);
    ASSERT_TRUE(journal->write_rows({row(3, 20)}, {2}).ok());
  }
  EXPECT_EQ(rows(), (Numbers{1, 2, 3}));
}

TEST_F(JournalTest, IsRewrittenAsAWhole) {
  {
    const auto journal = open();
    ASSERT_TRUE(journal->begin().ok());
    ASSERT_TRUE(journal->write_attempt(100, "{\"a\":1}").ok());
    ASSERT_TRUE(journal->write_rows({row(1, 0), row(2, 10), row(3, 0, ResultKind::kError)}, {1, 6, 2.5, 3}).ok());
    ASSERT_TRUE(journal->write_complete({300, true}).ok());
  }
  {
    const auto journal = open();
    ASSERT_TRUE(journal->summary().complete);
    EXPECT_TRUE(journal->summary().complete->ordered);
    EXPECT_EQ(journal->summary().complete->unix_time, 300);
    ASSERT_TRUE(journal->rewrite({row(2, 0), row(1, 10)}).ok());
    EXPECT_FALSE(journal->summary().complete);
    EXPECT_EQ(journal->summary().progress().seconds, 1);
    EXPECT_EQ(journal->summary().progress().steps, 6);
    EXPECT_EQ(journal->summary().attempts.at(0).parameters, "{\"a\":1}");
    EXPECT_FALSE(Journal::open(files_, "x.journal").ok()) << "the new file must be locked too";
    ASSERT_TRUE(journal->write_rows({row(7, 20)}, {2}).ok());
  }
  EXPECT_EQ(rows(), (Numbers{2, 1, 7}));
}

TEST_F(JournalTest, WritesNothingAfterAnError) {
  const auto journal = open();
  ASSERT_TRUE(journal->begin().ok());
  int syncs = 0;
  files_.set_fault([&](const std::string& operation, const std::string& /*path*/) {
    return operation == "sync" && ++syncs == 1 ? io_error("full") : Status();
  });
  EXPECT_FALSE(journal->write_attempt(1, "{}").ok());
  const std::string content = files_.content("x.journal");
  EXPECT_EQ(journal->write_rows({row(1, 0)}, {1}).code(), StatusCode::kIoError);
  EXPECT_EQ(files_.content("x.journal"), content);
}

TEST_F(JournalTest, RefusesAFileThatIsNone) {
  files_.write("x.journal", "something else entirely");
  const auto journal = Journal::open(files_, "x.journal");
  ASSERT_FALSE(journal.ok());
  EXPECT_EQ(journal.status().code(), StatusCode::kInvalidData);
  EXPECT_EQ(files_.content("x.journal"), "something else entirely");
}

}  // namespace
}  // namespace batchwright

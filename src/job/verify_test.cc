#include "job/verify.h"

#include <gmock/gmock.h>

#include "job/testing/job_fixture.h"

namespace batchwright {
namespace {

using testing::HasSubstr;

class VerifyTest : public JobFixture {
 protected:
  static std::string mixed_rows() {
    return rows(30) +
           "not json\n{\"custom_id\":\"p\",\"prompt\":\"#\"}\n{\"custom_id\":\"n\",\"prompt\":\"x\",\"n\":2}\n";
  }

  Result<VerifyReport> verify(int64_t sample = 1000, const std::string& input = "") {
    VerifyOptions options;
    options.output = options_.output;
    options.input = input;
    options.sample = sample;
    auto verification = Verification::open(files_, options, nullptr);
    if (!verification.ok()) return verification.status();
    sample_size_ = (*verification)->sample_size();
    return (*verification)->run(engine_, encoder_, nullptr, nullptr);
  }

  int64_t sample_size_ = 0;
};

TEST_F(VerifyTest, AllRowsOfACompleteJob) {
  for (const bool ordered : {false, true}) {
    for (const bool table : {false, true}) {
      SCOPED_TRACE(fmt::format("{} {}", ordered, table));
      options_ = JobOptions();
      options_.input = "job.jsonl";
      options_.output = fmt::format("out{}{}", ordered, table ? ".csv" : "");
      options_.ordered = ordered;
      options_.stamp_created = true;
      ASSERT_TRUE(run_rows(mixed_rows()).status.ok());
      const auto report = verify();
      ASSERT_TRUE(report.ok()) << report.status().message();
      EXPECT_EQ(report->rows_equal, 33);
      EXPECT_TRUE(report->differences.empty());
      EXPECT_EQ(verify(10)->rows_equal, 10);
      EXPECT_EQ(sample_size_, 10);
    }
  }
}

TEST_F(VerifyTest, WhatAnUnfinishedJobHas) {
  engine_.fail_at_step = 5;
  ASSERT_FALSE(run_rows(mixed_rows()).status.ok());
  engine_ = FakeEngine();
  const auto report = verify();
  ASSERT_TRUE(report.ok()) << report.status().message();
  EXPECT_GT(report->rows_equal, 0);
  EXPECT_LT(report->rows_equal, 33);
  EXPECT_TRUE(report->differences.empty());
}

TEST_F(VerifyTest, ALineThatWasEdited) {
  options_.ordered = true;
  ASSERT_TRUE(run_rows(mixed_rows()).status.ok());
  std::string content = files_.content("out.jsonl");
  content[content.find("text 12 #")] = 'T';
  files_.write("out.jsonl", content);
  const auto report = verify();
  ASSERT_TRUE(report.ok()) << report.status().message();
  EXPECT_EQ(report->rows_equal, 32);
  ASSERT_EQ(report->differences.size(), 1U);
  const VerifyReport::Difference& difference = report->differences[0];
  EXPECT_EQ(difference.line, 13);
  EXPECT_EQ(difference.custom_id, "r12");
  EXPECT_TRUE(difference.was_edited);
  EXPECT_EQ(difference.found[difference.first_byte], 'T');
  EXPECT_EQ(difference.computed[difference.first_byte], 't');
}

TEST_F(VerifyTest, AnEngineThatAnswersOtherwise) {
  ASSERT_TRUE(run_rows(mixed_rows()).status.ok());
  engine_.poison = '1';
  const auto report = verify();
  ASSERT_TRUE(report.ok()) << report.status().message();
  EXPECT_GT(report->differences.size(), 5U);
  for (const auto& difference : report->differences) EXPECT_FALSE(difference.was_edited) << difference.custom_id;
}

TEST_F(VerifyTest, OtherRowsAndModelsAreRefused) {
  EXPECT_EQ(verify().status().code(), StatusCode::kNotFound);
  ASSERT_TRUE(run_rows(mixed_rows()).status.ok());
  files_.write("elsewhere", mixed_rows());
  files_.write("job.jsonl", rows(33));
  EXPECT_THAT(verify().status().message(), HasSubstr("does not hold the rows of the job"));
  EXPECT_EQ(verify(1000, "elsewhere")->rows_equal, 33);
  engine_.set_hash("ffff");
  EXPECT_THAT(verify(1000, "elsewhere").status().message(), HasSubstr("ffff"));
}

TEST_F(VerifyTest, RowsOfStandardInput) {
  options_.input = "-";
  files_.set_standard_input(rows(20));
  engine_.fail_at_step = 5;
  ASSERT_FALSE(run().status.ok());
  engine_ = FakeEngine();
  EXPECT_GT(verify()->rows_equal, 0);
  ASSERT_TRUE(run().status.ok());
  EXPECT_THAT(verify().status().message(), HasSubstr("--job FILE"));
  files_.write("kept.jsonl", rows(20));
  EXPECT_EQ(verify(1000, "kept.jsonl")->rows_equal, 20);
}

}  // namespace
}  // namespace batchwright

#include "job/finished_answers.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "job/testing/job_fixture.h"
#include "schedule/answer_lengths.h"

namespace batchwright {
namespace {

class FinishedAnswersTest : public JobFixture {
 protected:
  void open_rows(const std::string& content) {
    files_.write("job.jsonl", content);
    file_ = std::move(*files_.open_read("job.jsonl"));
    auto format = open_row_format(options_.format, options_.limits, *file_, "job.jsonl");
    ASSERT_TRUE(format.ok()) << format.status().message();
    format_ = std::move(*format);
    auto index = RowIndex::build(row_file(), {});
    ASSERT_TRUE(index.ok()) << index.status().message();
    index_ = std::move(*index);
  }
  RowFile row_file() const { return {*file_, *format_, "job.jsonl"}; }
  std::vector<FinishedAnswer> answers() const {
    return *finished_.answers(row_file(), index_, {encoder_, 1000, "model", options_.defaults, options_.limits});
  }
  void finish(uint32_t row, uint32_t generated, ResultKind kind = ResultKind::kAnswer) {
    RowRecord record;
    record.row = row;
    record.kind = kind;
    record.generated_tokens = generated;
    finished_.record(record);
  }

  std::unique_ptr<ReadableFile> file_;
  std::unique_ptr<RowFormat> format_;
  RowIndex index_;
  FinishedRows finished_;
};

TEST_F(FinishedAnswersTest, AreThoseOfEachChoiceInTheOrderOfEnding) {
  const std::string instruction(40, 'a');
  open_rows(
      fmt::format("{{\"prompt\":\"{0}1\",\"max_tokens\":50}}\n"
                  "{{\"prompt\":\"{0}2\",\"max_tokens\":50,\"n\":3}}\n"
                  "{{\"prompt\":5}}\n"
                  "{{\"prompt\":\"{0}4\",\"max_tokens\":60}}\n",
                  instruction));
  EXPECT_TRUE(answers().empty());
  finish(3, 60);
  finish(2, 0, ResultKind::kError);
  finish(2, 7);  // which a row that is wrong cannot have
  finish(1, 32);
  finish(0, 9);
  const std::vector<FinishedAnswer> all = answers();
  ASSERT_EQ(all.size(), 5U);
  const int tokens[] = {60, 11, 11, 11, 9};
  for (size_t i = 0; i < all.size(); ++i) {
    EXPECT_EQ(all[i].tokens, tokens[i]);
    EXPECT_EQ(all[i].tokens_max, i == 0 ? 60 : 50);
  }
  Request request;
  request.prompt = encoder_.encode_text(instruction + "anything", true);
  request.max_tokens = 50;
  EXPECT_EQ(all[1].group, answer_group(request));
  EXPECT_EQ(all[4].group, answer_group(request));
  EXPECT_NE(all[0].group, answer_group(request));
  finished_.clear();
  EXPECT_TRUE(answers().empty());
}

TEST_F(FinishedAnswersTest, OnlyTheLastAreRead) {
  open_rows(rows(2000));
  for (uint32_t row = 0; row < 2000; ++row) finish(row, row);
  std::vector<FinishedAnswer> last = answers();
  ASSERT_EQ(last.size(), FinishedRows::kRowsMax);
  EXPECT_EQ(last.front().tokens, 2000 - static_cast<int>(FinishedRows::kRowsMax));
  EXPECT_EQ(last.back().tokens, 1999);

  // Rows of half a megabyte.
  std::string content;
  for (int i = 0; i < 20; ++i)
    content += fmt::format("{{\"prompt\":\"b\",\"user\":\"{}\"}}\n", std::string(1 << 19, 'b'));
  open_rows(content);
  finished_.clear();
  for (uint32_t row = 0; row < 20; ++row) finish(row, row);
  last = answers();
  ASSERT_EQ(last.size(), FinishedRows::kBytesMax >> 19);
  EXPECT_EQ(last.back().tokens, 19);
}

}  // namespace
}  // namespace batchwright

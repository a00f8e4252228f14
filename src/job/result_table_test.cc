#include "job/result_table.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace batchwright {
namespace {

Completion completion_of(const std::vector<std::string>& texts) {
  Completion completion;
  completion.prompt_tokens = 7;
  for (const std::string& text : texts) {
    Choice& choice = completion.choices.emplace_back();
    choice.text = text;
    choice.generated_tokens = 3;
    choice.finish_reason = completion.choices.size() % 2 == 1 ? FinishReason::kStop : FinishReason::kLength;
  }
  return completion;
}

TEST(ResultTable, Header) {
  EXPECT_EQ(table_header({}, false), "custom_id,answer,finish_reason,prompt_tokens,completion_tokens\n");
  const std::vector<std::string> carried = {"title", "a,b"};
  EXPECT_EQ(table_header(carried, false),
            "custom_id,title,\"a,b\",answer,finish_reason,prompt_tokens,completion_tokens\n");
}

TEST(ResultTable, Records) {
  const std::vector<std::string> carried = {"", "say \"hi\""};
  EXPECT_EQ(table_record("row-1", carried, {}, completion_of({"two\nlines"}), false),
            "row-1,,\"say \"\"hi\"\"\",\"two\nlines\",stop,7,3\n");
  EXPECT_EQ(table_record(" a", {}, {}, completion_of({""}), false), "\" a\",,stop,7,3\n");
  EXPECT_EQ(table_record("a", {}, {}, completion_of({"=1+1", "say \"hi\""}), false),
            R"(a,"[""=1+1"",""say \""hi\""""]","[""stop"",""length""]",7,6)"
            "\n");
  ResponseShape echo;
  echo.endpoint = Endpoint::kCompletions;
  echo.echo = true;
  echo.echo_text = "Once, ";
  EXPECT_EQ(table_record("a", {}, echo, completion_of({"upon"}), false), "a,\"Once, upon\",stop,7,3\n");
}

TEST(ResultTable, ProbabilitiesOfAnswers) {
  EXPECT_EQ(table_header({}, true), "custom_id,answer,finish_reason,prompt_tokens,completion_tokens,probability\n");
  Completion completion = completion_of({"no"});
  completion.answer_logprobs = {{"yes", -1.0F, 0.75F}, {"no", -2.0F, 0.25F}};
  EXPECT_EQ(table_record("a", {}, {}, completion, true), "a,no,stop,7,3,0.25\n");
  Completion two = completion_of({"no", "yes"});
  two.answer_logprobs = completion.answer_logprobs;
  EXPECT_EQ(table_record("a", {}, {}, two, true),
            "a,\"[\"\"no\"\",\"\"yes\"\"]\",\"[\"\"stop\"\",\"\"length\"\"]\",7,6,\"[0.25,0.75]\"\n");
  // A row that asked for none.
  EXPECT_EQ(table_record("a", {}, {}, completion_of({"x"}), true), "a,x,stop,7,3,\n");
}

TEST(ResultTable, NamesThatAreTaken) {
  const std::vector<std::string> free = {"title", "Answer", "id"};
  EXPECT_TRUE(check_carried_names(free).ok());
  for (const char* const taken :
       {"custom_id", "answer", "finish_reason", "prompt_tokens", "completion_tokens", "probability"}) {
    const std::vector<std::string> names = {"title", taken};
    const Status status = check_carried_names(names);
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
    EXPECT_NE(status.message().find(taken), std::string::npos);
  }
}

}  // namespace
}  // namespace batchwright

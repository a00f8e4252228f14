#include "job/row.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "base/json_writer.h"

namespace batchwright {
namespace {

// "id endpoint body", or "!id param" with "-" for no id.
std::string parse(const std::string& line) {
  const auto parsed = parse_row(line, 7, {});
  if (const auto* const bad = std::get_if<RowError>(&parsed)) {
    EXPECT_FALSE(bad->error.message.empty());
    EXPECT_EQ(bad->error.status_code, 400);
    return "!" + bad->custom_id.value_or("-") + " " + bad->error.param;
  }
  const Row& row = std::get<Row>(parsed);
  return row.custom_id + (row.endpoint == Endpoint::kChatCompletions ? " chat " : " text ") + to_json(row.body);
}

TEST(Row, BatchForm) {
  EXPECT_EQ(parse(R"({"custom_id":"a","method":"POST","url":"/v1/chat/completions","body":{"messages":[]}})"),
            R"(a chat {"messages":[]})");
  EXPECT_EQ(parse(R"({"url":"/v1/completions","body":{"prompt":"x"}})"), R"(line-7 text {"prompt":"x"})");
  EXPECT_EQ(parse(R"({"custom_id":"a","url":"/v1/embeddings","body":{}})"), "!a url");
  EXPECT_EQ(parse(R"({"custom_id":"a","url":5,"body":{}})"), "!a url");
  EXPECT_EQ(parse(R"({"custom_id":"a","body":{}})"), "!a url");
  EXPECT_EQ(parse(R"({"custom_id":"a","url":"/v1/completions"})"), "!a body");
  EXPECT_EQ(parse(R"({"custom_id":"a","url":"/v1/completions","body":[]})"), "!a body");
  EXPECT_EQ(parse(R"({"custom_id":"a","method":"GET","url":"/v1/completions","body":{}})"), "!a method");
}

TEST(Row, ShortForms) {
  EXPECT_EQ(parse(R"({"messages":[1]})"), R"(line-7 chat {"messages":[1]})");
  EXPECT_EQ(parse(R"({"prompt":"x","max_tokens":3,"custom_id":"b"})"), R"(b text {"prompt":"x","max_tokens":3})");
  EXPECT_EQ(parse(R"({"prompt":"x","messages":[]})"), "!line-7 ");
  EXPECT_EQ(parse("{}"), "!line-7 ");
}

TEST(Row, CustomIds) {
  EXPECT_EQ(parse(R"({"custom_id":5,"prompt":"x"})"), "!- custom_id");
  EXPECT_EQ(parse(R"({"custom_id":"","prompt":"x"})"), "!- custom_id");
  EXPECT_EQ(parse(R"({"custom_id":null,"prompt":"x"})"), R"(line-7 text {"prompt":"x"})");
  EXPECT_EQ(parse(R"({"custom_id":")" + std::string(513, 'i') + R"(","prompt":"x"})"), "!- custom_id");
}

TEST(Row, LinesThatAreNoRows) {
  for (const std::string& line :
       {std::string("hello"), std::string("[1]"), std::string("5"), std::string("{\"prompt\":\"x\""),
        std::string("{\"prompt\":\"\xFF\"}"), std::string(R"({"prompt":"\ud800"})"), std::string("{\"prompt\":NaN}"),
        std::string("{\"prompt\":\"a\0b\"}", 16), std::string(R"({"prompt":"x","prompt":"y"})")}) {
    EXPECT_EQ(parse(line), "!- ") << line;
  }
  // Also where nobody looks.
  const std::string deep = std::string(1'000'000, '[') + std::string(1'000'000, ']');
  EXPECT_EQ(parse("{\"prompt\":\"x\",\"foo\":" + deep + "}"), "!- ");
  EXPECT_EQ(parse(std::string(1'000'000, '{')), "!- ");
}

}  // namespace
}  // namespace batchwright

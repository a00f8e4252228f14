#include "job/row.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "base/json_writer.h"
#include "base/memory_file_system.h"
#include "job/row_index.h"

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

class RowIndexTest : public testing::Test {
 protected:
  Result<RowIndex> build(const std::string& content, const ProtocolLimits& limits = {}) {
    files_.write("job", content);
    file_ = files_.open_read("job").value();
    return RowIndex::build(*file_, "job", limits, nullptr);
  }
  MemoryFileSystem files_;
  std::unique_ptr<ReadableFile> file_;
};

TEST_F(RowIndexTest, HoldsEveryLineThatIsNotEmpty) {
  const auto index = build("\n{\"prompt\":\"a\"}\nno json\n\n{\"custom_id\":\"x\",\"prompt\":\"b\"}");
  ASSERT_TRUE(index.ok()) << index.status().message();
  ASSERT_EQ(index->size(), 3);
  EXPECT_EQ((*index)[0].line, 2U);
  EXPECT_EQ((*index)[1].line, 3U);
  EXPECT_EQ((*index)[2].line, 5U);
  EXPECT_EQ(std::get<Row>(index->read(*file_, 0, {}).value()).custom_id, "line-2");
  EXPECT_TRUE(std::holds_alternative<RowError>(index->read(*file_, 1, {}).value()));
  EXPECT_EQ(std::get<Row>(index->read(*file_, 2, {}).value()).custom_id, "x");
}

TEST_F(RowIndexTest, DuplicatesNameBothLines) {
  const auto twice = build(R"({"custom_id":"a","prompt":""})"
                           "\n{\"prompt\":\"\"}\n"
                           R"({"custom_id":"a","url":"?"})"
                           "\n"
                           R"({"custom_id":"a","prompt":""})");
  EXPECT_EQ(twice.status().code(), StatusCode::kInvalidData);
  EXPECT_EQ(twice.status().message(), R"(job: lines 1 and 3 have the same custom_id, "a")");
  // One id given, the other by the place of its row.
  const auto generated = build("{\"custom_id\":\"line-2\",\"prompt\":\"\"}\n{\"prompt\":\"\"}");
  EXPECT_EQ(generated.status().message(), R"(job: lines 1 and 2 have the same custom_id, "line-2")");
  // Lines without an id are no duplicates of each other.
  EXPECT_EQ(build("bad\nbad\nbad\n").value().size(), 3);
}

TEST_F(RowIndexTest, EmptyFiles) {
  for (const char* const content : {"", "\n\n", "\xEF\xBB\xBF"}) {
    EXPECT_EQ(build(content).status().code(), StatusCode::kInvalidData);
  }
}

TEST_F(RowIndexTest, LinesThatAreTooLong) {
  ProtocolLimits limits;
  limits.line_bytes = 1024;
  const auto index = build("{\"prompt\":\"" + std::string(2000, 'x') + "\"}\n{\"prompt\":\"a\"}\n", limits);
  ASSERT_TRUE(index.ok());
  const auto row = index->read(*file_, 0, limits);
  const RowError& error = std::get<RowError>(row.value());
  EXPECT_NE(error.error.message.find("1024 bytes (--limit-line-bytes)"), std::string::npos) << error.error.message;
  EXPECT_TRUE(std::holds_alternative<Row>(index->read(*file_, 1, limits).value()));
}

TEST_F(RowIndexTest, AJobThatChangesIsNoticed) {
  const auto index = build("{\"custom_id\":\"a\",\"prompt\":\"\"}\n");
  files_.write("job", "{\"custom_id\":\"b\",\"prompt\":\"\"}\n");
  const auto changed = files_.open_read("job");
  EXPECT_EQ(index->read(**changed, 0, {}).status().code(), StatusCode::kInvalidData);
  files_.write("job", "{\"cust");
  const auto cut = files_.open_read("job");
  EXPECT_EQ(index->read(**cut, 0, {}).status().code(), StatusCode::kInvalidData);
}

}  // namespace
}  // namespace batchwright

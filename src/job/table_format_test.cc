#include "job/table_format.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "base/json_writer.h"
#include "base/memory_file_system.h"

namespace batchwright {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class TableFormatTest : public testing::Test {
 protected:
  TableFormatTest() { options_.kind = RowFileKind::kCsv; }

  Result<std::unique_ptr<RowFormat>> open(const std::string& content) {
    files_.write("t", content);
    file_ = files_.open_read("t").value();
    return open_row_format(options_, limits_, *file_, "t");
  }

  std::string refusal(const std::string& content, StatusCode code) {
    const auto format = open(content);
    EXPECT_EQ(format.status().code(), code);
    return format.status().message();
  }

  // "id endpoint body [carried]" of each row, "!id param: message [carried]" of one that is wrong.
  std::vector<std::string> rows(const std::string& content) {
    auto format = open(content);
    EXPECT_TRUE(format.ok()) << format.status().message();
    if (!format.ok()) return {};
    std::vector<std::string> shown;
    const auto scanner = (*format)->scan(*file_);
    for (int64_t row = 0;; ++row) {
      const auto record = scanner->next();
      EXPECT_TRUE(record.ok()) << record.status().message();
      if (!record.ok() || !*record) return shown;
      if ((*record)->too_long) {
        shown.push_back(describe((*format)->too_long()));
      } else {
        shown.push_back(std::visit([](const auto& parsed) { return describe(parsed); },
                                   (*format)->parse((*record)->text, (*record)->line, row)));
      }
    }
  }

  RowFormatOptions options_;
  ProtocolLimits limits_;
  MemoryFileSystem files_;
  std::unique_ptr<ReadableFile> file_;

 private:
  static std::string list(const std::vector<std::string>& values) {
    std::string text = " [";
    for (const std::string& value : values) text += value + "|";
    return text + "]";
  }
  static std::string describe(const Row& row) {
    return row.custom_id + (row.endpoint == Endpoint::kChatCompletions ? " chat " : " text ") + to_json(row.body) +
           list(row.carried);
  }
  static std::string describe(const RowError& bad) {
    EXPECT_EQ(bad.error.status_code, 400);
    EXPECT_FALSE(bad.error.code.empty());
    return "!" + bad.custom_id.value_or("-") + " " + bad.error.param + ": " + bad.error.message + list(bad.carried);
  }
};

TEST_F(TableFormatTest, ChatsWithASystemMessage) {
  options_.prompt = "Classify: {title} - {text}!";
  options_.system = "Be {{brief}} on {id}.";
  EXPECT_THAT(rows("id,title,text\n1,A,b\n2,\"C, \"\"c\"\"\",\"d\nd\"\n"),
              ElementsAre(R"(row-1 chat {"messages":[{"role":"system","content":"Be {brief} on 1."},)"
                          R"({"role":"user","content":"Classify: A - b!"}]} [])",
                          R"(row-2 chat {"messages":[{"role":"system","content":"Be {brief} on 2."},)"
                          R"({"role":"user","content":"Classify: C, \"c\" - d\nd!"}]} [])"));
}

TEST_F(TableFormatTest, CompletionsWithIdsAndCarriedColumns) {
  options_.kind = RowFileKind::kTsv;
  options_.endpoint = Endpoint::kCompletions;
  options_.prompt = "{b}{b}{{b}}";
  options_.id_column = "key";
  options_.carry = {"b", "a"};
  EXPECT_THAT(rows("key\ta\tb\r\nk1\t1,5\t\r\n\r\nk2\t\t{a}{{<|im_end|>\r\n\t1\t2\r\n"),
              ElementsAre(R"(k1 text {"prompt":"{b}"} [|1,5|])",
                          R"(k2 text {"prompt":"{a}{{<|im_end|>{a}{{<|im_end|>{b}"} [{a}{{<|im_end|>||])",
                          "!- key: column 1 (\"key\"): is empty; it must have at least one character (--id) [2|1|]"));
}

TEST_F(TableFormatTest, AnEmptySystemMessageIsNone) {
  options_.prompt = "{b}";
  options_.system = "{a}";
  EXPECT_THAT(rows("a,b\n,1\n\"\",2\n3,4\n"),
              ElementsAre(R"(row-1 chat {"messages":[{"role":"user","content":"1"}]} [])",
                          R"(row-2 chat {"messages":[{"role":"user","content":"2"}]} [])",
                          R"(row-3 chat {"messages":[{"role":"system","content":"3"},)"
                          R"({"role":"user","content":"4"}]} [])"));
}

TEST_F(TableFormatTest, RecordsThatAreNoRows) {
  options_.prompt = "{text}";
  options_.carry = {"id"};
  EXPECT_THAT(
      rows("id,text\n1\n1,2,3\n4,\"5\"6\n7,\xFF\xFE\n8,9\n10,\"11\n12,13\n"),
      ElementsAre("!row-1 : the record has 1 value; the header names 2 columns []",
                  "!row-2 : the record has 3 values; the header names 2 columns []",
                  "!row-3 text: column 2 (\"text\"), line 4: text follows the quote that closes the value; inside "
                  "a quoted value quotes are doubled []",
                  "!row-4 text: column 2 (\"text\"): is not valid UTF-8 []",
                  R"(row-5 chat {"messages":[{"role":"user","content":"9"}]} [8|])",
                  "!row-6 text: column 2 (\"text\"), line 7: the quote that opens the value is never closed []"));
  // Which row such a record is, is not known where a column has the ids; and the line is the quote's own.
  options_.id_column = "id";
  EXPECT_THAT(rows("id,text\n1\n\"a\nb\",\"c"),
              ElementsAre("!- : the record has 1 value; the header names 2 columns []",
                          "!- text: column 2 (\"text\"), line 4: the quote that opens the value is never closed []"));
  // A value too many, in which something is wrong.
  EXPECT_THAT(rows("id,text\n1,2,\"3\n"),
              ElementsAre("!- : column 3, line 2: the quote that opens the value is never closed []"));
}

TEST_F(TableFormatTest, Limits) {
  options_.prompt = "{text}{text}";
  options_.id_column = "id";
  options_.carry = {"id"};
  limits_.line_bytes = 40;
  limits_.prompt_bytes = 21;
  limits_.custom_id_bytes = 5;
  options_.system = "S";
  EXPECT_THAT(
      rows("id,text\n1," + std::string(10, 'x') + "\n2," + std::string(11, 'x') + "\n123456,x\n3," +
           std::string(39, 'x') + "\n4,x\n"),
      ElementsAre(testing::StartsWith("1 chat "),
                  "!2 prompt: the prompt is 23 bytes long; at most 21 are allowed (--limit-prompt-bytes) [2|]",
                  "!- id: column 1 (\"id\"): is 6 bytes long; at most 5 are allowed (--limit-custom-id-bytes) "
                  "[123456|]",
                  "!- : the record is longer than the limit of 40 bytes (--limit-line-bytes); where that cannot "
                  "be, a quote in it is never closed []",
                  testing::StartsWith("4 chat ")));
}

TEST_F(TableFormatTest, Headers) {
  using enum StatusCode;
  options_.prompt = "{a}";
  EXPECT_THAT(refusal("", kInvalidData), HasSubstr("t: holds no rows"));
  EXPECT_THAT(refusal("\n\n", kInvalidData), HasSubstr("holds no rows"));
  EXPECT_THAT(refusal("a,b,a\n", kInvalidData), HasSubstr("columns 1 and 3 have the same name, \"a\""));
  EXPECT_THAT(refusal(",a\n0,x\n", kInvalidData), HasSubstr("names no column 1 of 2"));
  EXPECT_THAT(refusal("a,\"b\n", kInvalidData), HasSubstr("column 2: the quote"));
  EXPECT_THAT(refusal("a,\xE9\n", kInvalidData), HasSubstr("UTF-8"));
  EXPECT_THAT(refusal(std::string("a\0,\0", 4), kInvalidData), HasSubstr("UTF-8"));
  EXPECT_THAT(refusal("\xFF\xFE"
                      "a",
                      kInvalidData),
              HasSubstr("UTF-16"));
  EXPECT_THAT(refusal(std::string(1'000'000, ','), kInvalidData), HasSubstr("1000001 columns; at most 65536"));
  limits_.line_bytes = 3;
  EXPECT_THAT(refusal("a,bc\n", kInvalidData), HasSubstr("limit of 3 bytes (--limit-line-bytes)"));
  EXPECT_TRUE(open("\xEF\xBB\xBF"
                   "\"a\"\n")
                  .ok());
}

TEST_F(TableFormatTest, OptionsThatDoNotFit) {
  using enum StatusCode;
  EXPECT_THAT(refusal("a,b\n", kInvalidArgument), HasSubstr("needs --prompt"));
  options_.prompt = "{a} {c}";
  EXPECT_THAT(refusal("a,\"b\"\"\"\n", kInvalidArgument),
              HasSubstr(R"(--prompt: the table has no column "c"; it has "a", "b\"")"));
  EXPECT_THAT(refusal("a;c\n", kInvalidArgument), HasSubstr("parted by commas"));
  options_.prompt = "{a}";
  options_.id_column = "A";
  EXPECT_THAT(refusal("a,b\n", kInvalidArgument), HasSubstr("--id: the table has no column \"A\""));
  options_.id_column.clear();
  options_.carry = {"b", "x"};
  EXPECT_THAT(refusal("a,b\n", kInvalidArgument), HasSubstr("--carry: the table has no column \"x\""));
  options_.carry = {"b", "b"};
  EXPECT_THAT(refusal("a,b\n", kInvalidArgument), HasSubstr("twice"));
  options_.carry.clear();
  options_.system = "{b} {c}";
  EXPECT_THAT(refusal("a,b\n", kInvalidArgument), HasSubstr("--system: the table has no column \"c\""));
  options_.endpoint = Endpoint::kCompletions;
  options_.system = "s";
  EXPECT_THAT(refusal("a,b\n", kInvalidArgument), HasSubstr("--system"));
  options_.kind = RowFileKind::kJsonLines;
  EXPECT_THAT(refusal("{}\n", kInvalidArgument), HasSubstr("--prompt is for tables"));

  // A header of many columns is not listed in full.
  options_ = {};
  options_.kind = RowFileKind::kCsv;
  options_.prompt = "{x}";
  std::string header = "c0";
  for (int i = 1; i < 1000; ++i) header += ",c" + std::to_string(i);
  EXPECT_THAT(refusal(header, kInvalidArgument), HasSubstr("\"c19\" and 980 more"));
}

TEST_F(TableFormatTest, BracesOfThePrompt) {
  const auto message = [&](const std::string& prompt) {
    options_.prompt = prompt;
    return refusal("a,b\n", StatusCode::kInvalidArgument);
  };
  EXPECT_THAT(message("\xC3\xA9 {a} {b"), HasSubstr("{ at character 7 stands alone"));
  EXPECT_THAT(message("{a}}"), HasSubstr("} at character 4 stands alone"));
  EXPECT_THAT(message("{{a}"), HasSubstr("} at character 4 stands alone"));
  EXPECT_THAT(message("{a{b}}"), HasSubstr("{ at character 1 stands alone"));
  EXPECT_THAT(message("{}"), HasSubstr("no column \"\""));
  EXPECT_THAT(message("\xFF{a}"), HasSubstr("UTF-8"));
  options_.endpoint = Endpoint::kCompletions;
  options_.prompt = "{{{a}}}{{}}";
  EXPECT_THAT(rows("a,b\nx,y\n"), ElementsAre(R"(row-1 text {"prompt":"{x}{}"} [])"));
  options_.prompt = "no column";
  EXPECT_THAT(rows("a,b\nx,y\n"), ElementsAre(R"(row-1 text {"prompt":"no column"} [])"));
}

TEST_F(TableFormatTest, TheHashKnowsAllThatMakesRequests) {
  options_.prompt = "{a}";
  const auto hash = [&](const std::string& content) { return open(content).value()->hash(); };
  const Hash128 first = hash("a,b\n1,2\n");
  EXPECT_EQ(first, hash("a,b\n3,4\n"));
  EXPECT_NE(first, hash("b,a\n1,2\n"));
  std::vector<Hash128> hashes = {first};
  const std::vector<void (*)(RowFormatOptions&)> changes = {[](RowFormatOptions& o) { o.prompt = "{a}."; },
                                                            [](RowFormatOptions& o) { o.system = "s"; },
                                                            [](RowFormatOptions& o) { o.id_column = "a"; },
                                                            [](RowFormatOptions& o) { o.carry = {"a"}; },
                                                            [](RowFormatOptions& o) { o.carry = {"a", "b"}; },
                                                            [](RowFormatOptions& o) { o.endpoint = Endpoint::kCompletions; }};
  for (const auto change : changes) {
    const RowFormatOptions before = options_;
    change(options_);
    hashes.push_back(hash("a,b\n1,2\n"));
    options_ = before;
  }
  std::sort(hashes.begin(), hashes.end());
  EXPECT_EQ(std::adjacent_find(hashes.begin(), hashes.end()), hashes.end());
}

TEST_F(TableFormatTest, AHeaderThatChangesIsNoticed) {
  options_.prompt = "{a}";
  const auto format = open("a,b\n1,2\n");
  ASSERT_TRUE(format.ok());
  files_.write("t", "b,a\n1,2\n");
  const auto changed = files_.open_read("t").value();
  EXPECT_EQ((*format)->scan(*changed)->next().status().code(), StatusCode::kInvalidData);
}

TEST(RowFileKind, ByTheNamesEnd) {
  EXPECT_EQ(row_file_kind("a.csv"), RowFileKind::kCsv);
  EXPECT_EQ(row_file_kind("b/a.CSV.GZ"), RowFileKind::kCsv);
  EXPECT_EQ(row_file_kind("a.tsv.zst"), RowFileKind::kTsv);
  EXPECT_EQ(row_file_kind("a.tab"), RowFileKind::kTsv);
  for (const char* const name : {"a.jsonl", "a.jsonl.gz", "csv", "-", "", "a.csv.gz.zst", "a.csv.bak"}) {
    EXPECT_EQ(row_file_kind(name), RowFileKind::kJsonLines) << name;
  }
}

}  // namespace
}  // namespace batchwright

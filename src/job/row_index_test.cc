#include "job/row_index.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "base/memory_file_system.h"
#include "job/json_lines_format.h"

namespace batchwright {
namespace {

class RowIndexTest : public testing::Test {
 protected:
  void write(const std::string& content, const ProtocolLimits& limits = {}) {
    files_.write("job", content);
    file_ = files_.open_read("job").value();
    format_ = json_lines_format(limits);
  }
  RowFile rows() const { return {*file_, *format_, "job"}; }
  Result<RowIndex> build(const std::string& content, const ProtocolLimits& limits = {}) {
    write(content, limits);
    return RowIndex::build(rows(), {});
  }
  static std::string many_rows(int count) {
    std::string text;
    for (int i = 0; i < count; ++i) text += fmt::format("{{\"custom_id\":\"r{}\",\"prompt\":\"{}\"}}\n", i, i * i);
    return text;
  }

  MemoryFileSystem files_;
  std::unique_ptr<ReadableFile> file_;
  std::unique_ptr<RowFormat> format_;
};

TEST_F(RowIndexTest, HoldsEveryLineThatIsNotEmpty) {
  const auto index = build("\n{\"prompt\":\"a\"}\nno json\n\n{\"custom_id\":\"x\",\"prompt\":\"b\"}");
  ASSERT_TRUE(index.ok()) << index.status().message();
  ASSERT_EQ(index->size(), 3);
  EXPECT_EQ((*index)[0].line, 2U);
  EXPECT_EQ((*index)[1].line, 3U);
  EXPECT_EQ((*index)[2].line, 5U);
  EXPECT_EQ(std::get<Row>(index->read(rows(), 0).value()).custom_id, "line-2");
  EXPECT_TRUE(std::holds_alternative<RowError>(index->read(rows(), 1).value()));
  EXPECT_EQ(std::get<Row>(index->read(rows(), 2).value()).custom_id, "x");
}

TEST_F(RowIndexTest, SaysHowFarItHasRead) {
  const std::string content = many_rows(2000);
  write(content);
  std::vector<uint64_t> places;
  ReadWatch watch;
  watch.progressed = [&](uint64_t bytes, uint64_t bytes_total) {
    EXPECT_EQ(bytes_total, content.size());
    places.push_back(bytes);
  };
  ASSERT_TRUE(RowIndex::build(rows(), watch).ok());
  ASSERT_GE(places.size(), 5U);
  EXPECT_TRUE(std::is_sorted(places.begin(), places.end()));
  EXPECT_GT(places.back(), content.size() / 2);
  // A stop that is wanted later on ends it there.
  watch.stop_requested = [&] { return places.size() >= 8; };
  EXPECT_EQ(RowIndex::build(rows(), watch).status().code(), StatusCode::kInterrupted);
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
  const auto row = index->read(rows(), 0);
  const RowError& error = std::get<RowError>(row.value());
  EXPECT_NE(error.error.message.find("1024 bytes (--limit-line-bytes)"), std::string::npos) << error.error.message;
  EXPECT_TRUE(std::holds_alternative<Row>(index->read(rows(), 1).value()));
}

TEST_F(RowIndexTest, AJobThatChangesIsNoticed) {
  const auto index = build("{\"custom_id\":\"a\",\"prompt\":\"\"}\n");
  // The same custom_id is not the same row.
  for (const char* const content :
       {"{\"custom_id\":\"a\",\"prompt\":\"!\"}\n", "{\"custom_id\":\"a\",\"xrompt\":\"\"}\n", "{\"cust"}) {
    write(content);
    EXPECT_EQ(index->read(rows(), 0).status().code(), StatusCode::kInvalidData) << content;
  }
}

TEST_F(RowIndexTest, IsKeptInAFile) {
  const auto index = build(many_rows(40'000) + "bad\n" + std::string(100, ' '));
  ASSERT_TRUE(index.ok());
  ASSERT_TRUE(index->save(files_, "index").ok());
  const auto loaded = RowIndex::load(files_, "index");
  ASSERT_TRUE(loaded.ok() && *loaded);
  ASSERT_EQ((*loaded)->size(), 40'001);
  for (int64_t row = 0; row < index->size(); ++row) ASSERT_EQ((**loaded)[row], (*index)[row]);
  EXPECT_EQ((*loaded)->rows_hash(*format_), index->rows_hash(*format_));
  EXPECT_TRUE((*loaded)->check_unchanged(rows(), {}).ok());
  EXPECT_EQ(RowIndex::fingerprint(rows(), {})->hash, index->rows_hash(*format_));
  EXPECT_EQ(RowIndex::fingerprint(rows(), {})->rows, 40'001);
}

TEST_F(RowIndexTest, ADamagedFileIsNoIndex) {
  EXPECT_FALSE(RowIndex::load(files_, "index").value());
  const auto index = build(many_rows(50));
  ASSERT_TRUE(index->save(files_, "index").ok());
  const std::string whole = files_.content("index");
  for (size_t at = 0; at < whole.size(); at += 7) {
    std::string damaged = whole;
    damaged[at] = static_cast<char>(damaged[at] + 1);
    files_.write("index", damaged);
    const auto loaded = RowIndex::load(files_, "index");
    ASSERT_TRUE(loaded.ok()) << loaded.status().message();
    EXPECT_FALSE(*loaded) << at;
    files_.write("index", whole.substr(0, at));
    EXPECT_FALSE(RowIndex::load(files_, "index").value()) << at;
  }
}

TEST_F(RowIndexTest, ChangesAreNamed) {
  const std::string content = many_rows(100);
  const auto index = build(content);
  const auto change = [&](const std::string& changed) {
    write(changed);
    const Status status = index->check_unchanged(rows(), {});
    EXPECT_NE(RowIndex::fingerprint(rows(), {})->hash, index->rows_hash(*format_));
    return status;
  };
  std::string other = content;
  other[other.find("\"r41\"") + 3] = '7';
  EXPECT_EQ(change(other).message(), "the rows have changed since the job began: line 42 of job is another");
  EXPECT_EQ(change(content + "{\"prompt\":\"\"}").message(),
            "the rows have changed since the job began: line 101 of job is another");
  EXPECT_EQ(change(content.substr(0, content.rfind('{'))).message(),
            "the rows have changed since the job began: job has 99 rows where there were 100");
  EXPECT_EQ(change("\n" + content).code(), StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace batchwright

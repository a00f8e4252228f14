#include "job/job_memory.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <string>

#include "base/memory_file_system.h"
#include "job/json_lines_format.h"

namespace batchwright {
namespace {

size_t bytes_of(const std::string& rows, int max_batch) {
  MemoryFileSystem files;
  files.write("rows", rows);
  const auto file = files.open_read("rows");
  EXPECT_TRUE(file.ok());
  const auto format = json_lines_format(ProtocolLimits());
  const auto index = RowIndex::build({**file, *format, "rows"}, [] { return false; });
  EXPECT_TRUE(index.ok()) << index.status().message();
  return job_memory_bytes(*index, max_batch);
}

std::string rows(int count, size_t length) {
  std::string text;
  for (int i = 0; i < count; ++i)
    text += fmt::format("{{\"custom_id\":\"r{}\",\"prompt\":\"{:a>{}}\"}}\n", i, "", length);
  return text;
}

TEST(JobMemory, ARowTakesItsPlaceInIndexAndOrder) {
  const size_t few = bytes_of(rows(1000, 8), 1);
  const size_t many = bytes_of(rows(21000, 8), 1);
  EXPECT_NEAR(static_cast<double>(many - few), 20000.0 * (32 + 40), 5000.0);
}

TEST(JobMemory, OnlyRowsOnTheirWayTakeTheirText) {
  const size_t short_rows = bytes_of(rows(2000, 8), 4);
  const size_t long_rows = bytes_of(rows(2000, 1008), 4);
  EXPECT_GE(long_rows, short_rows + 72 * 1000);
  EXPECT_LE(long_rows, short_rows + 72 * 1000 * 10);
  // One that is longer than all others counts once, wherever it stands.
  const size_t with_one = bytes_of(rows(2000, 8) + "{\"prompt\":\"" + std::string(100000, 'b') + "\"}\n", 4);
  EXPECT_GE(with_one, short_rows + 100000);
  EXPECT_LE(with_one, short_rows + 1000000);
  EXPECT_GT(bytes_of(rows(2000, 1008), 64), long_rows + 2 * 60 * 1000);
}

}  // namespace
}  // namespace batchwright

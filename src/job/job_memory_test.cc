#include "job/job_memory.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

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
  const auto index = RowIndex::build({**file, *format, "rows"}, {});
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

TEST(JobMemory, ExpectedIsWhatTheTokensTake) {
  MemoryFileSystem files;
  files.write("rows", rows(300, 1000));
  const auto file = files.open_read("rows");
  const auto format = json_lines_format(ProtocolLimits());
  const auto index = RowIndex::build({**file, *format, "rows"}, {});
  std::vector<SimulatedRow> known(300);
  const size_t least = expected_job_memory_bytes(*index, known, 16);
  for (SimulatedRow& row : known) row.prompt_tokens = 250;
  // 64 read ahead, and 32 with the engine.
  EXPECT_EQ(expected_job_memory_bytes(*index, known, 16), least + (64 + 32) * 249 * 28);
  EXPECT_LT(expected_job_memory_bytes(*index, known, 16), job_memory_bytes(*index, 16));
}

}  // namespace
}  // namespace batchwright

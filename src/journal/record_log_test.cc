#include "journal/record_log.h"

#include <gtest/gtest.h>

#include <random>

#include "base/memory_file_system.h"

namespace batchwright {
namespace {

struct Record {
  int type;
  std::string payload;
  friend bool operator==(const Record&, const Record&) = default;
};

class RecordLogTest : public testing::Test {
 protected:
  static std::string log_of(const std::vector<Record>& records) {
    std::string bytes;
    append_log_header(bytes);
    for (const Record& r : records) append_log_record(bytes, static_cast<uint8_t>(r.type), r.payload);
    return bytes;
  }

  Status read(const std::string& bytes, std::vector<Record>& records, uint64_t& valid_bytes) {
    files_.write("log", bytes);
    const auto file = files_.open_read("log");
    auto reader = RecordLogReader::open(**file);
    if (!reader.ok()) return reader.status();
    valid_bytes = 0;
    if (!*reader) return {};
    while (true) {
      auto record = (*reader)->next();
      if (!record.ok()) return record.status();
      if (!*record) break;
      records.push_back({(*record)->type, std::string((*record)->payload)});
    }
    valid_bytes = (*reader)->valid_bytes();
    return {};
  }

  MemoryFileSystem files_;
};

std::vector<Record> some_records() {
  return {{1, "first"}, {2, ""}, {3, std::string(300'000, 'x')}, {2, std::string("\0\0\0", 3)}, {4, "last"}};
}

TEST_F(RecordLogTest, GivesBackWhatWasWritten) {
  const std::string bytes = log_of(some_records());
  std::vector<Record> records;
  uint64_t valid_bytes = 0;
  ASSERT_TRUE(read(bytes, records, valid_bytes).ok());
  EXPECT_EQ(records, some_records());
  EXPECT_EQ(valid_bytes, bytes.size());
}

TEST_F(RecordLogTest, StopsAtEveryCut) {
  const std::vector<Record> all = {{1, "one"}, {2, "two two"}, {3, ""}, {1, "four"}};
  const std::string bytes = log_of(all);
  std::vector<size_t> ends = {log_of({}).size()};
  for (size_t i = 1; i <= all.size(); ++i)
    ends.push_back(log_of({all.begin(), all.begin() + static_cast<long>(i)}).size());
  for (size_t cut = 0; cut <= bytes.size(); ++cut) {
    // Cut off, and with zeros where the rest would be: both are what file systems leave.
    for (const bool zeros : {false, true}) {
      std::string torn = bytes.substr(0, cut);
      if (zeros) torn.resize(bytes.size(), '\0');
      std::vector<Record> records;
      uint64_t valid_bytes = 0;
      ASSERT_TRUE(read(torn, records, valid_bytes).ok()) << cut;
      size_t whole = 0;
      while (whole + 1 < ends.size() && ends[whole + 1] <= cut) ++whole;
      // Zeros may complete a record or a header that ends in zeros.
      if (!zeros) {
        EXPECT_EQ(records.size(), cut < ends[0] ? 0 : whole) << cut;
        EXPECT_EQ(valid_bytes, cut < ends[0] ? 0 : ends[whole]) << cut;
      }
      ASSERT_LE(records.size(), all.size());
      for (size_t i = 0; i < records.size(); ++i) EXPECT_EQ(records[i], all[i]) << cut;
    }
  }
}

TEST_F(RecordLogTest, BelievesNoDamagedRecord) {
  const std::vector<Record> all = {{1, "one"}, {2, std::string(100, 'y')}, {3, "three"}};
  const std::string bytes = log_of(all);
  std::mt19937 random(20261122);
  for (int round = 0; round < 5000; ++round) {
    std::string damaged = bytes;
    const size_t at = random() % damaged.size();
    damaged[at] = static_cast<char>(damaged[at] ^ (1 + random() % 255));
    std::vector<Record> records;
    uint64_t valid_bytes = 0;
    const Status status = read(damaged, records, valid_bytes);
    if (at < 16) {
      EXPECT_TRUE(!status.ok() || records.empty()) << at;
      continue;
    }
    ASSERT_TRUE(status.ok()) << status.message();
    EXPECT_LT(records.size(), all.size()) << at;
    for (size_t i = 0; i < records.size(); ++i) EXPECT_EQ(records[i], all[i]) << at;
  }
}

TEST_F(RecordLogTest, RefusesOtherFiles) {
  std::vector<Record> records;
  uint64_t valid_bytes = 0;
  EXPECT_EQ(read("{\"custom_id\":\"a\",\"prompt\":\"a\"}\n", records, valid_bytes).code(), StatusCode::kInvalidData);
  EXPECT_EQ(read("hello", records, valid_bytes).code(), StatusCode::kInvalidData);
  // A length that cannot be is no reason to allocate it.
  std::string bytes = log_of({{1, "a"}});
  bytes += std::string("\xFF\xFF\xFF\xFF", 4) + std::string(100, 'z');
  ASSERT_TRUE(read(bytes, records, valid_bytes).ok());
  EXPECT_EQ(records.size(), 1U);
}

}  // namespace
}  // namespace batchwright

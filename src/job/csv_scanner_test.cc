#include "job/csv_scanner.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

#include "base/memory_file_system.h"
#include "job/csv_record.h"

namespace batchwright {
namespace {

constexpr size_t kReadBytes = size_t{256} << 10;  // of a ScanBuffer

using Values = std::vector<std::string>;

struct Scanned {
  ScannedRecord record;
  std::string text;
};

std::vector<Scanned> scan(const std::string& content, char delimiter = ',', int64_t record_bytes_max = 1 << 20) {
  MemoryFileSystem files;
  files.write("f", content);
  const auto file = files.open_read("f");
  CsvScanner scanner(**file, delimiter, record_bytes_max);
  std::vector<Scanned> all;
  while (true) {
    const auto record = scanner.next();
    EXPECT_TRUE(record.ok()) << record.status().message();
    if (!record.ok() || !*record) return all;
    all.push_back({**record, std::string((*record)->text)});
    if (!(*record)->too_long) {
      EXPECT_EQ(content.substr((*record)->offset, (*record)->length), (*record)->text);
    }
  }
}

// "LINE@OFFSET:text" of each record; "!" and the length where it is too long.
std::vector<std::string> shown(const std::vector<Scanned>& records) {
  std::vector<std::string> all;
  for (const auto& [record, text] : records) {
    all.push_back(std::to_string(record.line) + "@" + std::to_string(record.offset) + ":" +
                  (record.too_long ? "!" + std::to_string(record.length) : text));
  }
  return all;
}

Values split(std::string_view record, char delimiter) {
  Values values;
  const CsvSplit result = split_csv_record(record, delimiter, 1000, values);
  if (result.error) {
    values.push_back("!" + std::to_string(result.error->column) + "@" + std::to_string(result.error->offset) + " " +
                     result.error->reason);
  } else {
    EXPECT_EQ(result.count, values.size());
  }
  return values;
}

nlohmann::json golden() {
  std::ifstream file(BATCHWRIGHT_SOURCE_DIR "/tests/golden/job/tables.json");
  return nlohmann::json::parse(file);
}

// Characters up to U+00FF, in UTF-8, stand for bytes.
std::string bytes_of(const nlohmann::json& text) {
  const auto utf8 = text.get<std::string>();
  std::string bytes;
  for (size_t i = 0; i < utf8.size(); ++i) {
    const auto lead = static_cast<unsigned char>(utf8[i]);
    const auto next = lead < 0x80 ? 0 : static_cast<unsigned char>(utf8[++i]);
    bytes += static_cast<char>(lead < 0x80 ? lead : ((lead & 0x03) << 6) | (next & 0x3F));
  }
  return bytes;
}

TEST(CsvScanner, ReadsWhatPythonReads) {
  const nlohmann::json cases = golden();
  ASSERT_GT(cases.size(), 500U);
  std::mt19937 random(1);
  int number = 0;
  for (const auto& one : cases) {
    const std::string text = bytes_of(one["text"]);
    const char delimiter = one["delimiter"].get<std::string>()[0];
    SCOPED_TRACE(one.dump());
    // In a few a border between two reads falls somewhere into the text.
    const std::string padding(kReadBytes - 1 - random() % (text.size() + 1), 'p');
    for (const std::string& before : {std::string(), padding + "\n"}) {
      if (!before.empty() && ++number % 4 != 0) continue;
      const auto records = scan(before + text, delimiter);
      const size_t first = before.empty() ? 0 : 1;
      const size_t count = one["records"].size();
      ASSERT_EQ(records.size(), count + first);
      for (size_t i = 0; i < count; ++i) {
        const Values values = split(records[i + first].text, delimiter);
        if (i + 1 == count && one["unclosed"].get<bool>()) {
          EXPECT_NE(values.back().find("never closed"), std::string::npos);
          continue;
        }
        Values expected;
        for (const auto& value : one["records"][i]) expected.push_back(bytes_of(value));
        EXPECT_EQ(values, expected);
      }
    }
  }
}

// With a small limit the same records come, at the same places, but for the long ones' texts.
TEST(CsvScanner, TheLimitChangesNothingElse) {
  std::mt19937 random(2);
  int number = 0;
  for (const auto& one : golden()) {
    if (++number % 4 != 0) continue;
    const std::string text = bytes_of(one["text"]);
    const char delimiter = one["delimiter"].get<std::string>()[0];
    SCOPED_TRACE(one.dump());
    const std::string content = std::string(kReadBytes - 3 - random() % (text.size() + 1), 'p') + ",\"\r\n" + text;
    const auto whole = scan(content, delimiter);
    const auto limited = scan(content, delimiter, 8);
    ASSERT_EQ(limited.size(), whole.size());
    for (size_t i = 0; i < whole.size(); ++i) {
      EXPECT_EQ(limited[i].record.line, whole[i].record.line);
      EXPECT_EQ(limited[i].record.offset, whole[i].record.offset);
      EXPECT_EQ(limited[i].record.length, whole[i].record.length);
      EXPECT_EQ(limited[i].record.too_long, whole[i].record.length > 8);
      EXPECT_EQ(limited[i].text, limited[i].record.too_long ? "" : whole[i].text);
    }
  }
}

TEST(CsvScanner, PlacesAndEnds) {
  using Lines = std::vector<std::string>;
  EXPECT_EQ(shown(scan("")), Lines{});
  EXPECT_EQ(shown(scan("\n\r\n   \n")), Lines{});
  EXPECT_EQ(shown(scan("\xEF\xBB\xBF"
                       "\"a\nb\"\r\n\n,\nc")),
            (Lines{"1@3:\"a\nb\"", "4@11:,", "5@13:c"}));
  EXPECT_EQ(shown(scan("a,\"b\n\n\"\"\n\"\nc\n")), (Lines{"1@0:a,\"b\n\n\"\"\n\"", "5@11:c"}));
  EXPECT_EQ(shown(scan("\t\n \t\n", '\t')), (Lines{"1@0:\t", "2@2: \t"}));
  // Every record of exactly the limit, with each kind of end.
  EXPECT_EQ(shown(scan("\"23456\"\r\n1234567\n12345678\n1234567\r\n1234567", ',', 7)),
            (Lines{"1@0:\"23456\"", "2@9:1234567", "3@17:!8", "4@26:1234567", "5@35:1234567"}));
  MemoryFileSystem files;
  files.write("f", std::string("\xFF\xFE"
                               "a\0",
                               4));
  const auto file = files.open_read("f");
  CsvScanner scanner(**file, ',', 100);
  const auto wide = scanner.next();
  EXPECT_EQ(wide.status().code(), StatusCode::kInvalidData);
  EXPECT_NE(wide.status().message().find("UTF-16"), std::string::npos);
}

TEST(CsvRecord, WrongQuotes) {
  EXPECT_EQ(split("a,\"b\"c,d", ',')[1].substr(0, 10), "!1@5 text ");
  EXPECT_EQ(split("\"a\" ,b", ',')[0].substr(0, 10), "!0@3 text ");
  EXPECT_EQ(split("a,\"b,c", ',')[1].substr(0, 15), "!1@2 the quote ");
  EXPECT_EQ(split("\"", ',')[0].substr(0, 15), "!0@0 the quote ");
  EXPECT_EQ(split("", ','), Values{""});
  EXPECT_EQ(split(",", ','), (Values{"", ""}));
}

TEST(CsvRecord, AMillionValuesAreCountedNotKept) {
  Values values;
  const CsvSplit result = split_csv_record(std::string(1'000'000, ','), ',', 3, values);
  EXPECT_EQ(result.count, 1'000'001U);
  EXPECT_FALSE(result.error.has_value());
  EXPECT_EQ(values, Values(3));
}

TEST(CsvRecord, WhatIsWrittenIsReadBack) {
  const unsigned seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  const std::vector<std::string> parts = {"a", "bc", " ", ",", "\"", "\n", "\r\n", "\r", "\t", "\xC3\xA9", "{", "x"};
  std::vector<Values> table;
  std::string content;
  for (int row = 0; row < 20000; ++row) {
    Values& values = table.emplace_back(1 + random() % 4);
    for (std::string& value : values) {
      for (size_t count = random() % 6; count > 0; --count) value += parts[random() % parts.size()];
    }
    for (size_t i = 0; i < values.size(); ++i) {
      if (i > 0) content += ',';
      append_csv_value(content, values[i], values.size() == 1);
    }
    content += row % 2 == 0 ? "\n" : "\r\n";
  }
  const auto records = scan(content);
  ASSERT_EQ(records.size(), table.size());
  for (size_t i = 0; i < table.size(); ++i) ASSERT_EQ(split(records[i].text, ','), table[i]) << "record " << i;
}

TEST(CsvRecord, QuotesOnlyWhereTheyAreNeeded) {
  const auto written = [](std::string_view value, bool alone = false) {
    std::string out;
    append_csv_value(out, value, alone);
    return out;
  };
  EXPECT_EQ(written("plain; text's"), "plain; text's");
  EXPECT_EQ(written(""), "");
  EXPECT_EQ(written("", true), "\"\"");
  EXPECT_EQ(written("a,b"), "\"a,b\"");
  EXPECT_EQ(written("\"a\""), "\"\"\"a\"\"\"");
  EXPECT_EQ(written("a\r"), "\"a\r\"");
  EXPECT_EQ(written("\n"), "\"\n\"");
  EXPECT_EQ(written(" a"), "\" a\"");
  EXPECT_EQ(written("a "), "\"a \"");
}

// A header, `head`, `unit` over and over, and `tail`: of any size, in no memory.
class EndlessFile : public ReadableFile {
 public:
  EndlessFile(const std::string& head, const std::string& unit, uint64_t units, std::string tail)
      : head_("id,text\n" + head), tail_(std::move(tail)) {
    while (block_.size() < kReadBytes) block_ += unit;
    repeated_ = units * unit.size();
  }
  Result<size_t> read_at(uint64_t offset, std::span<char> buffer) const override {
    largest_buffer = std::max(largest_buffer, buffer.size());
    size_t done = 0;
    while (done < buffer.size()) {
      const std::string_view rest = piece(offset + done);
      if (rest.empty()) break;
      const size_t count = std::min(rest.size(), buffer.size() - done);
      std::memcpy(buffer.data() + done, rest.data(), count);
      done += count;
    }
    return done;
  }
  Result<uint64_t> size() const override { return head_.size() + repeated_ + tail_.size(); }
  mutable size_t largest_buffer = 0;

 private:
  std::string_view piece(uint64_t offset) const {
    if (offset < head_.size()) return std::string_view(head_).substr(offset);
    offset -= head_.size();
    if (offset < repeated_) {
      const auto left = static_cast<size_t>(std::min<uint64_t>(repeated_ - offset, block_.size()));
      return std::string_view(block_).substr(offset % block_.size()).substr(0, left);
    }
    offset -= repeated_;
    return offset < tail_.size() ? std::string_view(tail_).substr(offset) : std::string_view();
  }

  const std::string head_;
  std::string block_;
  uint64_t repeated_ = 0;
  const std::string tail_;
};

constexpr int64_t kLimit = 1 << 20;

std::vector<std::string> scan_hostile(const EndlessFile& file) {
  CsvScanner scanner(file, ',', kLimit);
  std::vector<Scanned> records;
  while (true) {
    const auto record = scanner.next();
    EXPECT_TRUE(record.ok());
    if (!record.ok() || !*record) break;
    records.push_back({**record, std::string((*record)->text)});
  }
  EXPECT_LT(file.largest_buffer, size_t{4} << 20);
  return shown(records);
}

TEST(CsvScanner, HostileFilesStayOutOfMemory) {
  using Lines = std::vector<std::string>;
  // Nothing but one value.
  EXPECT_EQ(scan_hostile(EndlessFile("", "x", 600'000'000, "\n3,c\n")),
            (Lines{"1@0:id,text", "2@8:!600000000", "3@600000009:3,c"}));
  // A quote that never closes.
  EXPECT_EQ(scan_hostile(EndlessFile("2,\"b\n", "3,cccccccccccccccccccccccc\"\"ccccc\n", 18'000'000, "")),
            (Lines{"1@0:id,text", "2@8:!" + std::to_string(5 + 34 * uint64_t{18'000'000})}));
  // One that closes late, after many lines.
  EXPECT_EQ(scan_hostile(EndlessFile("2,\"b", "\nbbbbbbbbbbbbbbb", 10'000'000, "\"\n3,c\n")),
            (Lines{"1@0:id,text", "2@8:!160000005", "10000003@160000014:3,c"}));
  // Nothing but delimiters, and nothing but quotes.
  EXPECT_EQ(scan_hostile(EndlessFile("", ",", 200'000'000, "\n3,c\n")),
            (Lines{"1@0:id,text", "2@8:!200000000", "3@200000009:3,c"}));
  EXPECT_EQ(scan_hostile(EndlessFile("", "\"", 50'000'000, "\n3,c\n")),
            (Lines{"1@0:id,text", "2@8:!50000000", "3@50000009:3,c"}));
}

}  // namespace
}  // namespace batchwright

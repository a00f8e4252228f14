#include "job/line_scanner.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "base/memory_file_system.h"

namespace batchwright {
namespace {

// "NUMBER@OFFSET:text" of each line; "!" where it is too long.
std::vector<std::string> scan(const std::string& content, int64_t line_bytes_max = 100) {
  MemoryFileSystem files;
  files.write("f", content);
  const auto file = files.open_read("f");
  LineScanner scanner(**file, line_bytes_max);
  std::vector<std::string> lines;
  while (true) {
    const auto line = scanner.next();
    if (!line.ok()) {
      lines.push_back(line.status().message());
      return lines;
    }
    if (!*line) return lines;
    const ScannedRecord& l = **line;
    lines.push_back(std::to_string(l.line) + "@" + std::to_string(l.offset) + ":" +
                    (l.too_long ? "!" + std::to_string(l.length) : std::string(l.text)));
    EXPECT_EQ(l.too_long, l.text.empty());
    if (!l.too_long) {
      EXPECT_EQ(content.substr(l.offset, l.length), l.text);
    }
  }
}

using Lines = std::vector<std::string>;

TEST(LineScanner, LinesOfAllEnds) {
  EXPECT_EQ(scan(""), Lines{});
  EXPECT_EQ(scan("\n\r\n \t\n"), Lines{});
  EXPECT_EQ(scan("a"), Lines{"1@0:a"});
  EXPECT_EQ(scan("a\nb\n"), (Lines{"1@0:a", "2@2:b"}));
  EXPECT_EQ(scan("a\r\n\r\nb\r"), (Lines{"1@0:a", "3@5:b"}));
  EXPECT_EQ(scan("\xEF\xBB\xBF"
                 "a\nb"),
            (Lines{"1@3:a", "2@5:b"}));
  EXPECT_EQ(scan("\xEF\xBB\xBF"), Lines{});
  using namespace std::string_literals;
  EXPECT_EQ(scan("a\0b\n"s), Lines{"1@0:a\0b"s});
  EXPECT_NE(scan("\xFF\xFE{\0"s)[0].find("UTF-16"), std::string::npos);
}

TEST(LineScanner, TheLimitIsExact) {
  const std::string fits(100, 'x');
  EXPECT_EQ(scan(fits + "\r\n" + fits + "\n" + fits), (Lines{"1@0:" + fits, "2@102:" + fits, "3@203:" + fits}));
  EXPECT_EQ(scan(fits + "x\nb"), (Lines{"1@0:!101", "2@102:b"}));
  EXPECT_EQ(scan("a\n" + fits + "x\r\nb"), (Lines{"1@0:a", "2@2:!101", "3@105:b"}));
  EXPECT_EQ(scan(fits + fits), Lines{"1@0:!200"});
}

TEST(LineScanner, LinesAcrossReads) {
  std::string content;
  Lines expected;
  for (int i = 1; i <= 20000; ++i) {
    std::string line(static_cast<size_t>(i % 97 + 1), static_cast<char>('a' + i % 26));
    expected.push_back(std::to_string(i) + "@" + std::to_string(content.size()) + ":" + line);
    content += line + "\n";
  }
  EXPECT_EQ(scan(content), expected);
}

// A file of one line of a gigabyte, without a gigabyte.
class GigabyteLine : public ReadableFile {
 public:
  static constexpr uint64_t kBytes = uint64_t{1} << 30;
  Result<size_t> read_at(uint64_t offset, std::span<char> buffer) const override {
    largest_buffer = std::max(largest_buffer, buffer.size());
    if (offset >= kBytes + 3) return size_t{0};
    const size_t count = std::min<uint64_t>(buffer.size(), kBytes + 3 - offset);
    std::memset(buffer.data(), 'x', count);
    for (uint64_t i = 0; i < 3; ++i) {
      const uint64_t at = kBytes + i;
      if (at >= offset && at < offset + count) buffer[at - offset] = "\nab"[i];
    }
    return count;
  }
  Result<uint64_t> size() const override { return kBytes + 3; }
  mutable size_t largest_buffer = 0;
};

TEST(LineScanner, AGigabyteInOneLineStaysOutOfMemory) {
  const GigabyteLine file;
  LineScanner scanner(file, int64_t{1} << 20);
  const auto first = scanner.next();
  ASSERT_TRUE(first.ok() && *first);
  EXPECT_TRUE((*first)->too_long);
  EXPECT_EQ((*first)->length, GigabyteLine::kBytes);
  const auto second = scanner.next();
  ASSERT_TRUE(second.ok() && *second);
  EXPECT_EQ((*second)->text, "ab");
  EXPECT_EQ((*second)->line, 2);
  EXPECT_LT(file.largest_buffer, size_t{4} << 20);
}

}  // namespace
}  // namespace batchwright

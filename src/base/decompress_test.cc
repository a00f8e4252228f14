#include "base/decompress.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <zlib.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

#include "base/memory_file_system.h"

namespace batchwright {
namespace {

std::string from_hex(const nlohmann::json& text) {
  const auto hex = text.get<std::string>();
  std::string bytes;
  for (size_t i = 0; i < hex.size(); i += 2) bytes += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
  return bytes;
}

nlohmann::json golden() {
  std::ifstream file(BATCHWRIGHT_SOURCE_DIR "/tests/golden/base/compressed.json");
  return nlohmann::json::parse(file);
}

// Gives at most so many bytes at once; every second call is interrupted.
class Trickle : public InputStream {
 public:
  Trickle(std::string content, size_t piece, bool interrupts)
      : content_(std::move(content)), piece_(piece), interrupts_(interrupts) {}
  Result<size_t> read(std::span<char> buffer) override {
    EXPECT_FALSE(ended_) << "asked again after the end";
    if (interrupts_ && ++calls_ % 2 == 1) return interrupted("a signal");
    const size_t count = std::min({buffer.size(), piece_, content_.size() - at_});
    std::memcpy(buffer.data(), content_.data() + at_, count);
    at_ += count;
    ended_ = count == 0;
    return count;
  }

 private:
  const std::string content_;
  const size_t piece_;
  const bool interrupts_;
  size_t at_ = 0;
  int calls_ = 0;
  bool ended_ = false;
};

// All of it; calls that were interrupted are repeated. An error is kept in the status.
Status read_all(InputStream& stream, size_t buffer_bytes, std::string& out) {
  std::string buffer(buffer_bytes, '\0');
  while (true) {
    const auto count = stream.read(buffer);
    if (!count.ok() && count.status().code() == StatusCode::kInterrupted) continue;
    if (!count.ok() || *count == 0) return count.status();
    out.append(buffer, 0, *count);
  }
}

Status decompress(const std::string& bytes, std::string& out) {
  out.clear();
  return read_all(*decompressing(std::make_unique<Trickle>(bytes, 4096, false)), 4096, out);
}

Status decompress(const std::string& bytes) {
  std::string out;
  return decompress(bytes, out);
}

TEST(Decompress, ReadsWhatGzipAndZstdWrite) {
  const nlohmann::json data = golden();
  for (const auto& one : data["cases"]) {
    const std::string bytes = from_hex(one["bytes"]);
    const std::string plain = from_hex(data["plain"][one["plain"].get<std::string>()]);
    for (const size_t piece : {1U, 3U, 100'000U}) {
      for (const size_t buffer : {1U, 7U, 100'000U}) {
        SCOPED_TRACE(one["name"].get<std::string>() + ", " + std::to_string(piece) + " in, " + std::to_string(buffer));
        std::string out;
        const Status status = read_all(*decompressing(std::make_unique<Trickle>(bytes, piece, true)), buffer, out);
        EXPECT_TRUE(status.ok()) << status.message();
        EXPECT_EQ(out, plain);
      }
    }
  }
}

TEST(Decompress, OtherDataComesUnchanged) {
  for (const std::string& bytes : {std::string(), std::string("{"), std::string("{\"prompt\":\"x\"}\n"),
                                   std::string("\x1F"), std::string("\x28\xB5"), std::string("\x28\xB5\x2F"),
                                   std::string("PK\x03\x04"), std::string("X*M?"), std::string(5000, '\0')}) {
    for (const size_t piece : {1U, 100U}) {
      std::string out;
      const Status status = read_all(*decompressing(std::make_unique<Trickle>(bytes, piece, true)), 9, out);
      EXPECT_TRUE(status.ok()) << status.message();
      EXPECT_EQ(out, bytes);
    }
  }
}

// Shorter files of one member or frame are refused, and nothing wrong comes out before.
TEST(Decompress, TruncationsAreNoticed) {
  const nlohmann::json data = golden();
  int cut = 0;
  for (const auto& one : data["cases"]) {
    const auto name = one["name"].get<std::string>();
    if (name.find("two") != std::string::npos || name.find("skippable") != std::string::npos ||
        name.find("members") != std::string::npos || name.find("zeros") != std::string::npos) {
      continue;
    }
    const std::string bytes = from_hex(one["bytes"]);
    const std::string plain = from_hex(data["plain"][one["plain"].get<std::string>()]);
    for (size_t length = bytes.size() - 1; length >= kCompressionMagicBytes; length -= length > 40 ? 5 : 1) {
      std::string out;
      const Status status = decompress(bytes.substr(0, length), out);
      ASSERT_EQ(status.code(), StatusCode::kInvalidData) << name << " cut to " << length;
      ASSERT_NE(status.message().find("ends early, after " + std::to_string(length) + " bytes"), std::string::npos)
          << status.message();
      ASSERT_TRUE(plain.starts_with(out));
      ++cut;
    }
  }
  EXPECT_GT(cut, 1000);
}

// A byte changed anywhere is noticed, or was in a field that means nothing to the content.
TEST(Decompress, DamageIsNoticed) {
  const nlohmann::json data = golden();
  std::mt19937 random(3);
  int noticed = 0;
  for (const auto& one : data["cases"]) {
    if (one["name"] == "zstd, no checksum") continue;
    const std::string bytes = from_hex(one["bytes"]);
    const std::string plain = from_hex(data["plain"][one["plain"].get<std::string>()]);
    for (size_t at = kCompressionMagicBytes; at<bytes.size(); at += at> 40 ? 5 : 1) {
      std::string changed = bytes;
      changed[at] = static_cast<char>(changed[at] ^ (1 << random() % 8));
      std::string out;
      const Status status = decompress(changed, out);
      if (status.ok()) {
        ASSERT_EQ(out, plain) << one["name"] << " at " << at;
      } else {
        ASSERT_TRUE(status.code() == StatusCode::kInvalidData || status.code() == StatusCode::kUnsupported);
        ++noticed;
      }
    }
  }
  EXPECT_GT(noticed, 2000);
}

TEST(Decompress, WhatFollowsTheData) {
  const nlohmann::json data = golden();
  const auto bytes_of = [&](const std::string& name) {
    for (const auto& one : data["cases"]) {
      if (one["name"] == name) return from_hex(one["bytes"]);
    }
    return std::string();
  };
  for (const std::string& name : {std::string("gzip"), std::string("zstd")}) {
    const std::string bytes = bytes_of(name);
    const std::string place = "ends at byte " + std::to_string(bytes.size()) + ", and something else follows";
    for (const std::string& tail : {std::string("more text"), std::string("a\n\n\n"), std::string(bytes.size(), ' ')}) {
      const Status status = decompress(bytes + tail);
      EXPECT_EQ(status.code(), StatusCode::kInvalidData);
      EXPECT_NE(status.message().find(place), std::string::npos) << status.message();
    }
    // The error stays.
    const auto stream = decompressing(std::make_unique<Trickle>(bytes + "tail", 4096, false));
    std::string out;
    EXPECT_FALSE(read_all(*stream, 4096, out).ok());
    EXPECT_FALSE(read_all(*stream, 4096, out).ok());
  }
  // Zeros fill up tapes; behind them nothing may come.
  EXPECT_FALSE(decompress(bytes_of("gzip") + std::string(9, '\0') + bytes_of("gzip")).ok());
  EXPECT_FALSE(decompress(bytes_of("zstd") + std::string(9, '\0')).ok());
  // One format in the other's file.
  EXPECT_FALSE(decompress(bytes_of("gzip") + bytes_of("zstd")).ok());
  EXPECT_FALSE(decompress(bytes_of("zstd") + bytes_of("gzip")).ok());
}

TEST(Decompress, WhatIsNotGiven) {
  const nlohmann::json data = golden();
  const Status window = decompress(from_hex(data["window of 256 MiB"]));
  EXPECT_EQ(window.code(), StatusCode::kUnsupported);
  EXPECT_NE(window.message().find("128 MiB"), std::string::npos) << window.message();
  const Status dictionary = decompress(from_hex(data["dictionary"]));
  EXPECT_EQ(dictionary.code(), StatusCode::kUnsupported);
  EXPECT_NE(dictionary.message().find("dictionary"), std::string::npos) << dictionary.message();
}

std::string gzip_of_zeros(size_t mebibytes) {
  z_stream zlib{};
  EXPECT_EQ(deflateInit2(&zlib, 1, Z_DEFLATED, MAX_WBITS + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
  std::string zeros(1 << 20, '\0');
  std::string out;
  std::string piece(1 << 16, '\0');
  for (size_t i = 0; i <= mebibytes; ++i) {
    zlib.next_in = reinterpret_cast<Bytef*>(zeros.data());
    zlib.avail_in = i < mebibytes ? static_cast<uInt>(zeros.size()) : 0;
    do {
      zlib.next_out = reinterpret_cast<Bytef*>(piece.data());
      zlib.avail_out = static_cast<uInt>(piece.size());
      deflate(&zlib, i < mebibytes ? Z_NO_FLUSH : Z_FINISH);
      out.append(piece, 0, piece.size() - zlib.avail_out);
    } while (zlib.avail_out == 0);
  }
  deflateEnd(&zlib);
  return out;
}

int64_t peak_memory_bytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return int64_t{usage.ru_maxrss} * 1024;
}

TEST(Decompress, BombsAreStreamed) {
  for (const std::string& bomb : {gzip_of_zeros(200), from_hex(golden()["bomb"])}) {
    EXPECT_LT(bomb.size(), size_t{1} << 20);
    const int64_t before = peak_memory_bytes();
    const auto stream = decompressing(std::make_unique<Trickle>(bomb, 100'000, false));
    std::string buffer(size_t{1} << 16, '\0');
    uint64_t bytes = 0;
    while (true) {
      const auto count = stream->read(buffer);
      ASSERT_TRUE(count.ok()) << count.status().message();
      if (*count == 0) break;
      bytes += *count;
    }
    EXPECT_EQ(bytes, uint64_t{200} << 20);
    EXPECT_LT(peak_memory_bytes() - before, int64_t{32} << 20);
  }
}

TEST(Decompress, FilesAsStreams) {
  MemoryFileSystem files;
  files.write("f", "0123456789");
  std::string out;
  EXPECT_TRUE(read_all(*stream_of(files.open_read("f").value()), 4, out).ok());
  EXPECT_EQ(out, "0123456789");
  files.set_fault([](const std::string& operation, const std::string&) {
    return operation == "read" ? io_error("f: broken") : Status();
  });
  EXPECT_EQ(read_all(*decompressing(stream_of(files.open_read("f").value())), 4, out).code(), StatusCode::kIoError);
}

}  // namespace
}  // namespace batchwright

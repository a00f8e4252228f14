// For this room's tests only: a file of given bytes.
#pragma once

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <string>
#include <string_view>

namespace batchwright::formats {

// Lies in memory only, as thousands are written, and goes when the object goes.
class TestFile {
 public:
  explicit TestFile(std::string_view content = {}) : fd_(::memfd_create("batchwright_test", MFD_CLOEXEC)) {
    EXPECT_GE(fd_, 0);
    path_ = "/proc/self/fd/" + std::to_string(fd_);
    set(content);
  }
  TestFile(const TestFile&) = delete;
  TestFile& operator=(const TestFile&) = delete;
  ~TestFile() { ::close(fd_); }

  const std::string& path() const { return path_; }
  void set(std::string_view content) {
    EXPECT_EQ(::ftruncate(fd_, 0), 0);
    EXPECT_EQ(::pwrite(fd_, content.data(), content.size(), 0), static_cast<ssize_t>(content.size()));
  }
  void truncate(size_t bytes) { EXPECT_EQ(::ftruncate(fd_, static_cast<off_t>(bytes)), 0); }

 private:
  int fd_;
  std::string path_;
};

}  // namespace batchwright::formats

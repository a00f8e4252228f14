#include "platform/mapped_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdlib>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace batchwright {
namespace {

using ::testing::HasSubstr;

class MappedFileTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/batchwright_mapped_XXXXXX";
    const int fd = ::mkstemp(name);
    ASSERT_GE(fd, 0);
    ::close(fd);
    path_ = name;
  }
  void TearDown() override { ::unlink(path_.c_str()); }

  // Byte i is i / page + 1, so that no page is all zeros.
  void write_pages(size_t pages, size_t extra = 0) {
    std::string content;
    for (size_t i = 0; i < pages * page_ + extra; ++i) content += static_cast<char>(i / page_ % 100 + 1);
    FILE* file = std::fopen(path_.c_str(), "wb");
    ASSERT_NE(file, nullptr);
    ASSERT_EQ(std::fwrite(content.data(), 1, content.size(), file), content.size());
    ASSERT_EQ(std::fclose(file), 0);
  }
  void truncate_to(size_t bytes) { ASSERT_EQ(::truncate(path_.c_str(), static_cast<off_t>(bytes)), 0); }

  const size_t page_ = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  std::string path_;
};

int at(const MappedFile& file, size_t i) {
  return std::to_integer<int>(const_cast<const volatile std::byte*>(file.bytes().data())[i]);
}

TEST_F(MappedFileTest, HoldsTheBytes) {
  write_pages(3, 7);
  Result<MappedFile> file = MappedFile::open(path_);
  ASSERT_TRUE(file.ok()) << file.status().message();
  ASSERT_EQ(file->bytes().size(), 3 * page_ + 7);
  EXPECT_EQ(at(*file, 0), 1);
  EXPECT_EQ(at(*file, 3 * page_ + 6), 4);
  EXPECT_EQ(file->path(), path_);
  EXPECT_TRUE(file->check().ok());
}

TEST_F(MappedFileTest, EmptyFileHasNoBytes) {
  Result<MappedFile> file = MappedFile::open(path_);
  ASSERT_TRUE(file.ok()) << file.status().message();
  EXPECT_TRUE(file->bytes().empty());
  EXPECT_TRUE(file->check().ok());
  file->release(0, 100);
}

TEST_F(MappedFileTest, MissingFileIsNamed) {
  const Result<MappedFile> file = MappedFile::open(path_ + ".absent");
  ASSERT_FALSE(file.ok());
  EXPECT_EQ(file.status().code(), StatusCode::kNotFound);
  EXPECT_THAT(file.status().message(), HasSubstr(path_ + ".absent"));
}

TEST_F(MappedFileTest, DirectoryAndPipeAreRefused) {
  const Result<MappedFile> directory = MappedFile::open("/tmp");
  ASSERT_FALSE(directory.ok());
  EXPECT_EQ(directory.status().code(), StatusCode::kInvalidData);
  EXPECT_THAT(directory.status().message(), HasSubstr("/tmp: is a directory"));

  const std::string pipe = path_ + ".pipe";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  const Result<MappedFile> fifo = MappedFile::open(pipe);
  ::unlink(pipe.c_str());
  ASSERT_FALSE(fifo.ok());
  EXPECT_THAT(fifo.status().message(), HasSubstr("not a regular file"));
}

TEST_F(MappedFileTest, UnreadableFileSaysWhy) {
  if (::geteuid() == 0) GTEST_SKIP() << "root may read everything";
  ASSERT_EQ(::chmod(path_.c_str(), 0), 0);
  const Result<MappedFile> file = MappedFile::open(path_);
  ASSERT_FALSE(file.ok());
  EXPECT_EQ(file.status().code(), StatusCode::kIoError);
  EXPECT_THAT(file.status().message(), HasSubstr("Permission denied"));
}

TEST_F(MappedFileTest, LostPagesReadAsZerosAndAreReported) {
  write_pages(8);
  Result<MappedFile> file = MappedFile::open(path_);
  ASSERT_TRUE(file.ok());
  EXPECT_EQ(at(*file, 2 * page_), 3);
  truncate_to(3 * page_);
  EXPECT_EQ(at(*file, 2 * page_), 3);
  EXPECT_EQ(at(*file, 5 * page_ + 1), 0);
  EXPECT_EQ(at(*file, 4 * page_), 0);
  EXPECT_EQ(at(*file, 7 * page_), 0);
  const Status status = file->check();
  EXPECT_EQ(status.code(), StatusCode::kIoError);
  EXPECT_THAT(status.message(), HasSubstr(path_ + ": shrank while being read"));

  // Grown again, the file still was not read whole.
  truncate_to(8 * page_);
  EXPECT_EQ(file->check().code(), StatusCode::kIoError);
  EXPECT_THAT(file->check().message(), HasSubstr("page at byte " + std::to_string(4 * page_)));
}

TEST_F(MappedFileTest, ACutWithinAPageIsReportedToo) {
  write_pages(2);
  Result<MappedFile> file = MappedFile::open(path_);
  ASSERT_TRUE(file.ok());
  truncate_to(2 * page_ - 10);
  EXPECT_EQ(at(*file, 2 * page_ - 1), 0);
  EXPECT_EQ(file->check().code(), StatusCode::kIoError);
}

TEST_F(MappedFileTest, OtherMappingsAreUnharmed) {
  write_pages(4);
  Result<MappedFile> first = MappedFile::open(path_);
  ASSERT_TRUE(first.ok());
  const std::string whole_path = path_;
  char name[] = "/tmp/batchwright_mapped_XXXXXX";
  ::close(::mkstemp(name));
  path_ = name;
  write_pages(4);
  Result<MappedFile> second = MappedFile::open(path_);
  ASSERT_TRUE(second.ok());
  truncate_to(0);
  EXPECT_EQ(at(*second, 0), 0);
  EXPECT_FALSE(second->check().ok());
  EXPECT_EQ(at(*first, 3 * page_), 4);
  EXPECT_TRUE(first->check().ok());

  // The region is used again without its past.
  *second = std::move(*first);
  Result<MappedFile> third = MappedFile::open(whole_path);
  ASSERT_TRUE(third.ok());
  EXPECT_TRUE(third->check().ok());
  EXPECT_TRUE(second->check().ok());
  EXPECT_EQ(at(*second, page_), 2);
  ::unlink(whole_path.c_str());
}

TEST_F(MappedFileTest, ManyThreadsLoseAndReopen) {
  write_pages(16);
  Result<MappedFile> lost = MappedFile::open(path_);
  ASSERT_TRUE(lost.ok());
  std::atomic<int> zeros{0};
  truncate_to(0);
  std::vector<std::jthread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (size_t i = 0; i < 16; ++i) zeros += at(*lost, (15 - i) * page_ + static_cast<size_t>(t)) == 0;
      // Regions of others come and go meanwhile.
      for (int i = 0; i < 50; ++i) {
        const Result<MappedFile> other = MappedFile::open("/proc/self/exe");
        if (other.ok()) zeros += at(*other, 1) == 'E' ? 0 : 1000;
      }
    });
  }
  threads.clear();
  EXPECT_EQ(zeros, 4 * 16);
  EXPECT_FALSE(lost->check().ok());
}

size_t resident_pages(const MappedFile& file) {
  std::vector<uint64_t> entries((file.bytes().size() + 4095) / 4096);
  FILE* pagemap = std::fopen("/proc/self/pagemap", "rb");
  if (pagemap == nullptr) return 0;
  std::fseek(pagemap, static_cast<long>(reinterpret_cast<uintptr_t>(file.bytes().data()) / 4096 * 8), SEEK_SET);
  const size_t read = std::fread(entries.data(), 8, entries.size(), pagemap);
  std::fclose(pagemap);
  return static_cast<size_t>(std::count_if(entries.begin(), entries.begin() + static_cast<std::ptrdiff_t>(read),
                                           [](uint64_t entry) { return (entry >> 63) != 0; }));
}

TEST_F(MappedFileTest, ReleaseLetsMemoryGoAndKeepsTheContent) {
  if (page_ != 4096) GTEST_SKIP() << "counts pages of 4096 bytes";
  write_pages(64);
  Result<MappedFile> file = MappedFile::open(path_);
  ASSERT_TRUE(file.ok());
  for (size_t i = 0; i < 64; ++i) EXPECT_EQ(at(*file, i * page_), static_cast<int>(i + 1));
  const size_t before = resident_pages(*file);
  if (before == 0) GTEST_SKIP() << "/proc/self/pagemap tells nothing here";
  ASSERT_EQ(before, 64u);
  file->release(page_ + 1, 9 * page_ - 1);  // pages 2 to 9 lie wholly inside
  EXPECT_EQ(resident_pages(*file), 56u);
  file->release(0, UINT64_MAX);
  EXPECT_EQ(resident_pages(*file), 0u);
  file->release(64 * page_ + 5, 10);
  file->release(UINT64_MAX, UINT64_MAX);
  for (size_t i = 0; i < 64; ++i) EXPECT_EQ(at(*file, i * page_), static_cast<int>(i + 1));
}

// In a process of its own: the handler is installed only once.
using MappedFileDeathTest = MappedFileTest;

extern "C" void former_handler(int) { ::_exit(42); }

void fault_outside_any_mapped_file(const std::string& path) {
  ::unlink(path.c_str());  // this process ends here, without TearDown
  FILE* file = std::fopen((path + ".other").c_str(), "wb+");
  if (file == nullptr || ::ftruncate(::fileno(file), 4096) != 0) ::_exit(1);
  void* page = ::mmap(nullptr, 4096, PROT_READ, MAP_PRIVATE, ::fileno(file), 0);
  if (page == MAP_FAILED || ::ftruncate(::fileno(file), 0) != 0) ::_exit(1);
  ::unlink((path + ".other").c_str());
  ::_exit(*static_cast<const volatile char*>(page));
}

TEST_F(MappedFileDeathTest, ForeignFaultsGoToTheFormerHandler) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  write_pages(2);
  EXPECT_EXIT(
      {
        struct sigaction action {};
        action.sa_handler = former_handler;
        ::sigaction(SIGBUS, &action, nullptr);
        const Result<MappedFile> file = MappedFile::open(path_);
        truncate_to(0);
        if (!file.ok() || at(*file, page_) != 0) ::_exit(2);
        fault_outside_any_mapped_file(path_);
      },
      ::testing::ExitedWithCode(42), "");
}

TEST_F(MappedFileDeathTest, ForeignFaultsKillWhereNobodyHandledThem) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  write_pages(2);
  EXPECT_EXIT(
      {
        std::signal(SIGBUS, SIG_DFL);
        const Result<MappedFile> file = MappedFile::open(path_);
        fault_outside_any_mapped_file(path_);
      },
      ::testing::KilledBySignal(SIGBUS), "");
}

}  // namespace
}  // namespace batchwright

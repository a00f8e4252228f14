#include "platform/posix_file_system.h"

#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdlib>
#include <functional>
#include <span>
#include <string>
#include <thread>
#include <vector>

namespace {

// What another process does between the opening of a file and its locking.
std::function<void()> before_flock;

}  // namespace

// Stands before the C library's.
extern "C" int flock(int fd, int operation) noexcept {
  if (before_flock) before_flock();
  return static_cast<int>(::syscall(SYS_flock, fd, operation));
}

namespace batchwright {
namespace {

class PosixFileSystemTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "batchwright-fs-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  void TearDown() override {
    for (const char* name : {"a", "b", "a.tmp"}) ::unlink(path(name).c_str());
    ::chmod(folder_.c_str(), 0700);
    ::rmdir(folder_.c_str());
  }
  std::string path(const std::string& name) const { return folder_ + "/" + name; }
  std::string content(const std::string& name) {
    auto file = files_->open_read(path(name));
    if (!file.ok()) return file.status().message();
    std::string text((*file)->size().value(), '\0');
    EXPECT_EQ((*file)->read_at(0, text).value(), text.size());
    return text;
  }

  std::string folder_;
  std::unique_ptr<FileSystem> files_ = posix_file_system();
};

TEST_F(PosixFileSystemTest, WritesAndReadsBack) {
  auto file = files_->create(path("a"), CreateMode::kNew);
  ASSERT_TRUE(file.ok()) << file.status().message();
  EXPECT_TRUE((*file)->append("one ").ok());
  EXPECT_TRUE((*file)->append("two").ok());
  EXPECT_TRUE((*file)->sync().ok());
  EXPECT_TRUE((*file)->close().ok());
  EXPECT_EQ(content("a"), "one two");

  const auto reader = files_->open_read(path("a"));
  std::array<char, 8> buffer{};
  EXPECT_EQ((*reader)->read_at(4, buffer).value(), 3U);
  EXPECT_EQ(std::string(buffer.data(), 3), "two");
  EXPECT_EQ((*reader)->read_at(100, buffer).value(), 0U);
}

TEST_F(PosixFileSystemTest, NamesWhatIsMissingOrThereAlready) {
  const auto missing = files_->open_read(path("a"));
  EXPECT_EQ(missing.status().code(), StatusCode::kNotFound);
  EXPECT_NE(missing.status().message().find(path("a")), std::string::npos);
  EXPECT_EQ(files_->open_read(folder_).status().code(), StatusCode::kInvalidData);
  EXPECT_EQ(files_->create(folder_ + "/no/such", CreateMode::kNew).status().code(), StatusCode::kNotFound);
  ASSERT_TRUE(files_->create(path("a"), CreateMode::kNew).ok());
  EXPECT_EQ(files_->create(path("a"), CreateMode::kNew).status().code(), StatusCode::kInvalidArgument);
}

TEST_F(PosixFileSystemTest, TwoWritersOfOneFileAreRefused) {
  auto first = files_->create(path("a"), CreateMode::kReplace);
  ASSERT_TRUE(first.ok());
  ASSERT_TRUE((*first)->append("mine").ok());
  const auto second = files_->create(path("a"), CreateMode::kReplace);
  EXPECT_EQ(second.status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(content("a"), "mine");
  EXPECT_TRUE((*first)->close().ok());
  EXPECT_TRUE(files_->create(path("a"), CreateMode::kReplace).ok());
  EXPECT_EQ(content("a"), "");
}

TEST_F(PosixFileSystemTest, ContinuesAtTheEnd) {
  ASSERT_TRUE(write_file_atomically(*files_, path("a"), "one ").ok());
  auto file = files_->create(path("a"), CreateMode::kContinue);
  ASSERT_TRUE(file.ok()) << file.status().message();
  EXPECT_TRUE((*file)->append("two").ok());
  EXPECT_EQ(content("a"), "one two");
  file = files_->create(path("b"), CreateMode::kContinue);
  ASSERT_TRUE(file.ok()) << file.status().message();
  EXPECT_TRUE((*file)->append("new").ok());
  EXPECT_EQ(content("b"), "new");
}

TEST_F(PosixFileSystemTest, CutsAndWritesOnThere) {
  ASSERT_TRUE(write_file_atomically(*files_, path("a"), "whole line\nhalf a l").ok());
  auto file = files_->create(path("a"), CreateMode::kContinue);
  ASSERT_TRUE(file.ok()) << file.status().message();
  EXPECT_TRUE((*file)->truncate(11).ok());
  EXPECT_TRUE((*file)->append("next\n").ok());
  EXPECT_TRUE((*file)->sync().ok());
  EXPECT_EQ(content("a"), "whole line\nnext\n");
  const Status status = (*file)->truncate(17);
  EXPECT_EQ(status.code(), StatusCode::kIoError);
  EXPECT_NE(status.message().find("it has 16"), std::string::npos) << status.message();
  EXPECT_TRUE((*file)->truncate(16).ok());
  EXPECT_EQ(content("a"), "whole line\nnext\n");
}

// Runs the body in another process; its result is that process's exit status.
int in_child(const std::function<int()>& body) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(body());
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST_F(PosixFileSystemTest, AnotherProcessIsLockedOutWhileTheWriterLives) {
  const auto try_it = [&] {
    const auto file = files_->create(path("a"), CreateMode::kContinue);
    return file.ok() ? 0 : static_cast<int>(file.status().code());
  };
  {
    const auto writer = files_->create(path("a"), CreateMode::kContinue);
    ASSERT_TRUE(writer.ok());
    ASSERT_TRUE((*writer)->append("mine").ok());
    EXPECT_EQ(in_child(try_it), static_cast<int>(StatusCode::kInvalidArgument));
  }
  EXPECT_EQ(in_child(try_it), 0);
  // The lock goes with a process that is killed.
  const int killed = in_child([&] {
    const auto file = files_->create(path("a"), CreateMode::kContinue);
    return file.ok() ? ::raise(SIGKILL) : 1;
  });
  EXPECT_EQ(killed, -1);
  EXPECT_EQ(in_child(try_it), 0);
  EXPECT_EQ(content("a"), "mine");
}

TEST_F(PosixFileSystemTest, AFileMovedAsideIsNotTakenForThePaths) {
  auto old = files_->create(path("a"), CreateMode::kContinue);
  ASSERT_TRUE(old.ok());
  ASSERT_TRUE((*old)->append("old").ok());
  ASSERT_TRUE(files_->rename(path("a"), path("b")).ok());
  const auto fresh = files_->create(path("a"), CreateMode::kContinue);
  ASSERT_TRUE(fresh.ok()) << fresh.status().message();
  ASSERT_TRUE((*fresh)->append("new").ok());
  ASSERT_TRUE((*old)->append("er").ok());
  EXPECT_EQ(content("a"), "new");
  EXPECT_EQ(content("b"), "older");
  EXPECT_EQ(files_->create(path("b"), CreateMode::kContinue).status().code(), StatusCode::kInvalidArgument);
}

TEST_F(PosixFileSystemTest, TheLockIsOnTheFileThatThePathNames) {
  ASSERT_TRUE(write_file_atomically(*files_, path("a"), "old").ok());
  int locks = 0;
  before_flock = [&] {
    if (locks++ > 0) return;
    EXPECT_TRUE(files_->rename(path("a"), path("b")).ok());
  };
  auto file = files_->create(path("a"), CreateMode::kContinue);
  ASSERT_TRUE(file.ok()) << file.status().message();
  EXPECT_EQ(locks, 2);
  ASSERT_TRUE((*file)->append("new").ok());
  EXPECT_EQ(content("a"), "new");
  EXPECT_EQ(content("b"), "old");

  // Always too late: an error in the end.
  file = std::unique_ptr<WritableFile>();
  before_flock = [&] { EXPECT_TRUE(files_->rename(path("a"), path("b")).ok()); };
  EXPECT_EQ(files_->create(path("a"), CreateMode::kContinue).status().code(), StatusCode::kIoError);
  before_flock = nullptr;
}

TEST_F(PosixFileSystemTest, RenamesRemovesAndSyncs) {
  ASSERT_TRUE(write_file_atomically(*files_, path("a"), "report").ok());
  EXPECT_EQ(files_->kind(path("a.tmp")).value(), PathKind::kNothing);
  ASSERT_TRUE(files_->rename(path("a"), path("b")).ok());
  EXPECT_EQ(files_->kind(path("a")).value(), PathKind::kNothing);
  EXPECT_EQ(content("b"), "report");
  EXPECT_EQ(files_->kind(path("b")).value(), PathKind::kFile);
  EXPECT_EQ(files_->kind(folder_).value(), PathKind::kOther);
  EXPECT_EQ(files_->kind("/dev/null").value(), PathKind::kOther);
  EXPECT_TRUE(files_->remove(path("b")).ok());
  EXPECT_TRUE(files_->remove(path("b")).ok());
  EXPECT_EQ(files_->kind(path("b")).value(), PathKind::kNothing);
  EXPECT_TRUE(files_->sync_folder_of(path("b")).ok());
}

TEST_F(PosixFileSystemTest, FullDiskIsAnIoError) {
  if (::access("/dev/full", W_OK) != 0) GTEST_SKIP() << "no /dev/full";
  const auto file = files_->create("/dev/full", CreateMode::kReplace);
  ASSERT_TRUE(file.ok()) << file.status().message();
  const Status status = (*file)->append("x");
  EXPECT_EQ(status.code(), StatusCode::kIoError);
  EXPECT_NE(status.message().find("No space left"), std::string::npos) << status.message();
}

TEST_F(PosixFileSystemTest, ScratchFilesHaveTwoEnds) {
  auto scratch = files_->create_scratch();
  ASSERT_TRUE(scratch.ok()) << scratch.status().message();
  ASSERT_TRUE(scratch->writer->append("hello").ok());
  std::array<char, 5> buffer{};
  EXPECT_EQ(scratch->reader->read_at(0, buffer).value(), 5U);
  EXPECT_EQ(std::string(buffer.data(), 5), "hello");
}

// What `<(command)` is in a shell.
TEST_F(PosixFileSystemTest, APipeIsReadOnceFromItsBeginningToItsEnd) {
  const std::string content(100'000, 'x');
  const auto filled_pipe = [&](std::string& name) {
    std::array<int, 2> ends{};
    EXPECT_EQ(::pipe(ends.data()), 0);
    name = "/dev/fd/" + std::to_string(ends[0]);
    return std::jthread([&content, end = ends[1]] {
      EXPECT_EQ(::write(end, content.data(), content.size()), static_cast<ssize_t>(content.size()));
      ::close(end);
    });
  };
  std::string name;
  {
    const std::jthread writer = filled_pipe(name);
    EXPECT_EQ(*read_whole_file(*files_, name), content);
  }
  {
    const std::jthread writer = filled_pipe(name);
    auto pipe = files_->open_read(name);
    EXPECT_TRUE((*pipe)->comes_once());
    std::vector<char> all(content.size());
    size_t count = 0;
    while (count < all.size()) count += *(*pipe)->read_at(count, std::span(all).subspan(count));
    const Status again = (*pipe)->read_at(0, all).status();
    EXPECT_EQ(again.code(), StatusCode::kIoError);
    EXPECT_NE(again.message().find("cannot be read twice"), std::string::npos);
  }
  {
    const std::jthread writer = filled_pipe(name);
    EXPECT_EQ(read_whole_file(*files_, name, content.size()).value().size(), content.size());
  }
  {
    const std::jthread writer = filled_pipe(name);
    EXPECT_EQ(read_whole_file(*files_, name, content.size() - 1).status().code(), StatusCode::kInvalidData);
  }
}

}  // namespace
}  // namespace batchwright

#include "base/memory_file_system.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <functional>
#include <set>
#include <string>

namespace batchwright {
namespace {

using testing::ElementsAre;
using testing::UnorderedElementsAre;

std::unique_ptr<WritableFile> opened(MemoryFileSystem& files, const std::string& path,
                                     CreateMode mode = CreateMode::kContinue) {
  auto file = files.create(path, mode);
  EXPECT_TRUE(file.ok()) << file.status().message();
  return std::move(file).value();
}

TEST(MemoryFileSystemTest, ContinuesReplacesAndCuts) {
  MemoryFileSystem files;
  auto file = opened(files, "d/a");
  EXPECT_TRUE(file->append("one two").ok());
  EXPECT_TRUE(file->close().ok());
  EXPECT_EQ(file->append("x").code(), StatusCode::kIoError);
  file = opened(files, "d/a");
  EXPECT_EQ(file->truncate(8).code(), StatusCode::kIoError);
  EXPECT_TRUE(file->truncate(4).ok());
  EXPECT_TRUE(file->append("2").ok());
  EXPECT_EQ(files.content("d/a"), "one 2");
  file = nullptr;
  file = opened(files, "d/a", CreateMode::kReplace);
  EXPECT_EQ(files.content("d/a"), "");
  EXPECT_EQ(files.create("d/a", CreateMode::kNew).status().code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(files.paths(), ElementsAre("d/a"));
  EXPECT_EQ(files.rename("d/a", "a").code(), StatusCode::kIoError);
}

TEST(MemoryFileSystemTest, OneWriterAtATime) {
  MemoryFileSystem files;
  auto first = opened(files, "a");
  ASSERT_TRUE(first->append("mine").ok());
  for (const CreateMode mode : {CreateMode::kNew, CreateMode::kReplace, CreateMode::kContinue}) {
    EXPECT_EQ(files.create("a", mode).status().code(), StatusCode::kInvalidArgument);
  }
  EXPECT_EQ(files.content("a"), "mine");
  // The lock is the file's, not the name's.
  ASSERT_TRUE(files.rename("a", "b").ok());
  EXPECT_TRUE(files.create("a", CreateMode::kContinue).ok());
  EXPECT_EQ(files.create("b", CreateMode::kContinue).status().code(), StatusCode::kInvalidArgument);
  first = nullptr;
  auto second = opened(files, "b");
  EXPECT_TRUE(second->close().ok());
  EXPECT_TRUE(files.create("b", CreateMode::kContinue).ok());
}

TEST(MemoryFileSystemTest, FaultsStrikeAsPlanned) {
  using Lasts = FaultPlan::Lasts;
  const auto run = [](FaultPlan plan) {
    MemoryFileSystem files;
    files.set_fault(planned_fault(std::move(plan)));
    auto a = opened(files, "a");
    auto b = opened(files, "b");
    std::string failed;
    for (int i = 0; i < 4; ++i) {
      if (!a->append("12").ok()) failed += 'a';
      if (!b->append("34").ok()) failed += 'b';
      if (!a->sync().ok()) failed += 's';
    }
    EXPECT_EQ(files.operations("append"), 8U);
    EXPECT_EQ(files.operations(), 14U);
    EXPECT_EQ(files.faults(), failed.size());
    return failed + " " + files.content("a") + " " + files.content("b");
  };
  EXPECT_EQ(run({.operation = "append", .at = 3}), "a 1211212 34343434");
  EXPECT_EQ(run({.operation = "append", .at = 6, .lasts = Lasts::kForEver}), "bab 1212121 343433");
  EXPECT_EQ(run({.operation = "append", .path_part = "b", .at = 3, .lasts = Lasts::kForEver}), "bb 12121212 343433");
  EXPECT_EQ(run({.operation = "sync", .at = 2}), "s 12121212 34343434");
  EXPECT_EQ(run({.operation = "sync", .at = 3, .lasts = Lasts::kPowerOff}), "sabs 1212121 3434343");
  EXPECT_EQ(run({.at = 13, .lasts = Lasts::kPowerOff}), "bs 12121212 3434343");

  MemoryFileSystem files;
  files.set_fault(planned_fault({.operation = "rename", .reason = "Input/output error"}));
  files.write("x", "1");
  EXPECT_EQ(files.rename("x", "y").message(), "x: cannot rename: Input/output error");
  EXPECT_TRUE(files.has("x"));
}

TEST(MemoryFileSystemTest, APowerCutKillsWhatIsOpenAndFreesItsLocks) {
  MemoryFileSystem files;
  files.write("a", "whole");
  auto writer = opened(files, "a");
  const auto reader = files.open_read("a");
  files.set_fault(planned_fault({.lasts = FaultPlan::Lasts::kPowerOff}));
  EXPECT_FALSE(writer->append("more").ok());
  files.power_cut(1);
  EXPECT_EQ(writer->append("x").code(), StatusCode::kIoError);
  EXPECT_EQ(writer->truncate(0).code(), StatusCode::kIoError);
  EXPECT_EQ(writer->sync().code(), StatusCode::kIoError);
  EXPECT_EQ(writer->close().code(), StatusCode::kIoError);
  std::array<char, 4> buffer{};
  EXPECT_EQ((*reader)->read_at(0, buffer).status().code(), StatusCode::kIoError);
  EXPECT_EQ((*reader)->size().status().code(), StatusCode::kIoError);
  auto next = opened(files, "a");
  writer = nullptr;
  EXPECT_EQ(files.create("a", CreateMode::kContinue).status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(files.content("a").substr(0, 5), "whole");
}

// One case of the steps that a careful program takes to replace a file, cut after each of them.
std::string replaced_and_cut(size_t steps, uint64_t seed) {
  MemoryFileSystem files;
  files.write("d/x", "old");
  std::unique_ptr<WritableFile> file;
  const std::array<std::function<Status()>, 5> all_steps = {
      [&] {
        file = opened(files, "d/x.tmp");
        return Status();
      },
      [&] { return file->append("n"); },
      [&] { return file->sync(); },
      [&] { return files.rename("d/x.tmp", "d/x"); },
      [&] { return files.sync_folder_of("d/x"); },
  };
  for (size_t i = 0; i < steps; ++i) EXPECT_TRUE(all_steps[i]().ok());
  files.power_cut(seed);
  std::string all;
  for (const std::string& path : files.paths()) all += path + "=" + files.content(path) + " ";
  std::replace(all.begin(), all.end(), '\0', '0');
  return all;
}

TEST(MemoryFileSystemTest, ReachesEachLegalStateAndNoOther) {
  const auto reached = [](size_t steps) {
    std::set<std::string> states;
    for (uint64_t seed = 0; seed < 1000; ++seed) states.insert(replaced_and_cut(steps, seed));
    return states;
  };
  EXPECT_THAT(reached(0), UnorderedElementsAre("d/x=old "));
  EXPECT_THAT(reached(1), UnorderedElementsAre("d/x=old ", "d/x=old d/x.tmp= "));
  EXPECT_THAT(reached(2),
              UnorderedElementsAre("d/x=old ", "d/x=old d/x.tmp= ", "d/x=old d/x.tmp=0 ", "d/x=old d/x.tmp=n "));
  EXPECT_THAT(reached(3), UnorderedElementsAre("d/x=old ", "d/x=old d/x.tmp=n "));
  EXPECT_THAT(reached(4), UnorderedElementsAre("d/x=old ", "d/x=old d/x.tmp=n ", "d/x=n "));
  EXPECT_THAT(reached(5), UnorderedElementsAre("d/x=n "));
  EXPECT_EQ(replaced_and_cut(2, 77), replaced_and_cut(2, 77));
}

TEST(MemoryFileSystemTest, ReadsWholeFilesUpToALimit) {
  MemoryFileSystem files;
  files.write("a", "12345");
  EXPECT_EQ(*read_whole_file(files, "a"), "12345");
  EXPECT_EQ(*read_whole_file(files, "a", 5), "12345");
  const Status too_long = read_whole_file(files, "a", 4).status();
  EXPECT_EQ(too_long.code(), StatusCode::kInvalidData);
  EXPECT_EQ(too_long.message(), "a: 5 bytes; at most 4 are allowed");
  EXPECT_EQ(read_whole_file(files, "b").status().code(), StatusCode::kNotFound);
}

TEST(MemoryFileSystemTest, FilesReplacedAtomicallyAreOldOrNew) {
  std::set<std::string> contents;
  for (uint64_t seed = 0; seed < 1000; ++seed) {
    MemoryFileSystem files;
    files.write("x", "old");
    files.set_fault(planned_fault({.at = 1 + seed % 7, .lasts = FaultPlan::Lasts::kPowerOff}));
    const bool done = write_file_atomically(files, "x", "new").ok();
    EXPECT_EQ(done, seed % 7 == 6);
    files.power_cut(seed);
    contents.insert(files.content("x") + (done ? " done" : ""));
  }
  EXPECT_THAT(contents, UnorderedElementsAre("old", "new", "new done"));
}

}  // namespace
}  // namespace batchwright

#include "base/durability.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <set>
#include <string>

namespace batchwright {
namespace {

using testing::UnorderedElementsAre;

// Goes through every sequence of picks, like a counter whose digits have bases of their own.
class EveryChoice : public Choices {
 public:
  uint64_t below(uint64_t bound) override {
    if (next_ == digits_.size()) digits_.push_back({0, bound});
    return digits_[next_++].value;
  }
  // False when there is no further sequence.
  bool advance() {
    next_ = 0;
    while (!digits_.empty() && digits_.back().value + 1 == digits_.back().bound) digits_.pop_back();
    if (digits_.empty()) return false;
    ++digits_.back().value;
    return true;
  }

 private:
  struct Digit {
    uint64_t value;
    uint64_t bound;
  };
  std::vector<Digit> digits_;
  size_t next_ = 0;
};

std::set<std::string> every_content(const FileHistory& file) {
  std::set<std::string> all;
  EveryChoice choices;
  do {
    all.insert(file.after_power_cut(choices));
  } while (choices.advance());
  return all;
}

std::string zeros(size_t count) { return std::string(count, '\0'); }

TEST(FileHistoryTest, WhatIsSyncedStays) {
  FileHistory file;
  file.append("one");
  file.append("two");
  file.sync();
  EXPECT_THAT(every_content(file), UnorderedElementsAre("onetwo"));
  file.truncate(4);
  file.sync();
  EXPECT_THAT(every_content(file), UnorderedElementsAre("onet"));
}

TEST(FileHistoryTest, AppendedBytesAreThereOrZerosOrMissing) {
  FileHistory file("s");
  file.append("a");
  file.append("b");
  EXPECT_EQ(file.content(), "sab");
  EXPECT_THAT(every_content(file), UnorderedElementsAre("s", "sa", "sab", "s" + zeros(1), "s" + zeros(2),
                                                        "sa" + zeros(1), "s" + zeros(1) + "b"));
}

TEST(FileHistoryTest, DataAreTornAtSectors) {
  // One append over three sectors: the end of the first, the second, the start of the third.
  const std::string head(510, 's');
  FileHistory file(head);
  file.append("aa" + std::string(512, 'b') + "cc");
  std::set<std::string> whole;
  for (const std::string& content : every_content(file)) {
    ASSERT_GE(content.size(), head.size());
    ASSERT_EQ(content.substr(0, head.size()), head);
    std::string rest = content.substr(head.size());
    rest.resize(516);
    // A size that lags behind may cut a part anywhere, which then reads as zeros here.
    const std::string a = rest.substr(0, 2);
    const std::string b = rest.substr(2, 512);
    const std::string c = rest.substr(514);
    if (content.size() == 1026) {
      EXPECT_TRUE(a == "aa" || a == zeros(2)) << a;
      EXPECT_TRUE(b == std::string(512, 'b') || b == zeros(512));
      EXPECT_TRUE(c == "cc" || c == zeros(2)) << c;
      whole.insert({a[0], b[0], c[0]});
    } else {
      EXPECT_EQ(b, std::string(std::count(b.begin(), b.end(), 'b'), 'b') + zeros(std::count(b.begin(), b.end(), '\0')));
    }
  }
  EXPECT_EQ(whole.size(), 8U);
}

TEST(FileHistoryTest, CutsMayBeLostToo) {
  FileHistory file("abcd");
  file.truncate(2);
  EXPECT_THAT(every_content(file), UnorderedElementsAre("abcd", "ab"));
  file.append("X");
  // Without the cut: the old end, or the zeros of the sector that was written, behind the new byte.
  EXPECT_THAT(every_content(file),
              UnorderedElementsAre("abcd", "ab", "abX", "ab" + zeros(1), "abXd", "abX" + zeros(1)));
  file.sync();
  EXPECT_THAT(every_content(file), UnorderedElementsAre("abX"));
}

TEST(FileHistoryTest, AfterAFailedSyncTheNextOnePromisesNothing) {
  FileHistory file;
  file.append("a");
  file.sync_failed();
  file.append("b");
  file.sync();
  EXPECT_THAT(every_content(file), UnorderedElementsAre("ab", zeros(1) + "b"));
  file.reopen();
  file.sync();
  EXPECT_THAT(every_content(file), UnorderedElementsAre("ab"));
}

// Random histories: what was synced and not cut since is there; each byte is one that once stood at its place, or zero.
TEST(FileHistoryTest, NoSeedLosesWhatIsSyncedOrInventsBytes) {
  for (uint64_t seed = 0; seed < 1000; ++seed) {
    SCOPED_TRACE(seed);
    SeededChoices random(seed);
    FileHistory file;
    std::vector<std::set<char>> ever;
    size_t safe = 0;
    size_t longest = 0;
    for (int step = 0; step < 12; ++step) {
      const uint64_t kind = random.below(8);
      if (kind < 5) {
        file.append(std::string(1 + random.below(700), static_cast<char>('a' + step)));
      } else if (kind == 5) {
        file.truncate(random.below(file.content().size() + 1));
        safe = std::min(safe, file.content().size());
      } else {
        file.sync();
        safe = longest = file.content().size();
        ever.clear();
      }
      ever.resize(std::max(ever.size(), file.content().size()));
      longest = std::max(longest, file.content().size());
      for (size_t i = 0; i < file.content().size(); ++i) ever[i].insert(file.content()[i]);
    }
    const std::string after = file.after_power_cut(random);
    ASSERT_GE(after.size(), safe);
    ASSERT_LE(after.size(), longest);
    EXPECT_EQ(after.substr(0, safe), file.content().substr(0, safe));
    for (size_t i = 0; i < after.size(); ++i) ASSERT_TRUE(after[i] == '\0' || ever[i].count(after[i]) > 0) << i;
  }
}

// The folder's names as NAME=CONTENT.
std::string listed(const FolderHistory::Names& names) {
  std::string all;
  for (const auto& [name, file] : names) all += name + "=" + file->history.content() + " ";
  return all;
}

std::set<std::string> every_folder(const FolderHistory& folder) {
  std::set<std::string> all;
  EveryChoice choices;
  do {
    all.insert(listed(folder.after_power_cut(choices)));
  } while (choices.advance());
  return all;
}

std::shared_ptr<MemoryFile> file_of(const std::string& content) {
  return std::make_shared<MemoryFile>(FileHistory(content));
}

TEST(FolderHistoryTest, ChangesOfDifferentNamesHappenInAnyOrder) {
  FolderHistory folder;
  folder.create("a", file_of("1"));
  folder.create("b", file_of("2"));
  EXPECT_THAT(every_folder(folder), UnorderedElementsAre("", "a=1 ", "b=2 ", "a=1 b=2 "));
  folder.sync();
  EXPECT_THAT(every_folder(folder), UnorderedElementsAre("a=1 b=2 "));
  folder.remove("a");
  folder.rename("b", "c");
  EXPECT_THAT(every_folder(folder), UnorderedElementsAre("a=1 b=2 ", "b=2 ", "a=1 c=2 ", "c=2 "));
}

TEST(FolderHistoryTest, ARenameIsAtomic) {
  FolderHistory folder;
  folder.create("x", file_of("old"));
  folder.sync();
  folder.create("x.tmp", file_of("new"));
  folder.rename("x.tmp", "x");
  EXPECT_EQ(listed(folder.names()), "x=new ");
  EXPECT_THAT(every_folder(folder), UnorderedElementsAre("x=old ", "x=old x.tmp=new ", "x=new "));
}

TEST(FolderHistoryTest, ChangesOfOneNameHappenInTheirOrder) {
  FolderHistory folder;
  folder.create("j", file_of("1"));
  folder.sync();
  folder.rename("j", "j.old");
  folder.create("j", file_of("2"));
  folder.remove("j.old");
  EXPECT_THAT(every_folder(folder), UnorderedElementsAre("j=1 ", "j.old=1 ", "j=2 j.old=1 ", "", "j=2 "));
}

}  // namespace
}  // namespace batchwright

#include "platform/memory_limit.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace batchwright {
namespace {

// Files as the kernel shows them, in a folder of their own.
class CgroupTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "cgroup-XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    root_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(root_); }

  void write(const std::string& path, const std::string& text) const {
    std::filesystem::create_directories((root_ / path).parent_path());
    std::ofstream(root_ / path) << text;
  }
  std::optional<CgroupMemory> read() const { return cgroup_memory(root_ / "membership", root_ / "fs"); }

  std::filesystem::path root_;
};

TEST_F(CgroupTest, NothingIsLimited) {
  EXPECT_FALSE(read().has_value());
  write("membership", "0::/job\n");
  EXPECT_FALSE(read().has_value());
  write("fs/job/memory.max", "max\n");
  write("fs/job/memory.current", "4096\n");
  EXPECT_FALSE(read().has_value());
}

TEST_F(CgroupTest, CachedFilesGiveWay) {
  write("membership", "0::/job\n");
  write("fs/job/memory.max", "1000000\n");
  write("fs/job/memory.current", "600000\n");
  write("fs/job/memory.stat", "anon 100000\ninactive_file 300000\nactive_file 150000\ninactive_anon 7\n");
  const auto memory = read();
  ASSERT_TRUE(memory.has_value());
  EXPECT_EQ(memory->limit, 1000000U);
  EXPECT_EQ(memory->left, 850000U);
}

TEST_F(CgroupTest, AGroupAboveMayLeaveLess) {
  write("membership", "0::/outer/inner/job\n");
  write("fs/outer/inner/job/memory.max", "9000\n");
  write("fs/outer/inner/job/memory.current", "1000\n");
  write("fs/outer/memory.max", "10000\n");
  write("fs/outer/memory.current", "7000\n");
  const auto memory = read();
  ASSERT_TRUE(memory.has_value());
  EXPECT_EQ(memory->limit, 10000U);
  EXPECT_EQ(memory->left, 3000U);
}

TEST_F(CgroupTest, TheFirstVersionBesideTheSecond) {
  write("membership", "11:cpu,cpuacct:/x\n4:memory:/docker/abc\n0::/\n");
  write("fs/memory/memory.limit_in_bytes", "9223372036854771712\n");
  write("fs/memory/memory.usage_in_bytes", "5000\n");
  write("fs/memory/docker/abc/memory.limit_in_bytes", "80000\n");
  write("fs/memory/docker/abc/memory.usage_in_bytes", "50000\n");
  write("fs/memory/docker/abc/memory.stat",
        "inactive_file 1\nactive_file 1\ntotal_inactive_file 20000\ntotal_active_file 5000\n");
  const auto memory = read();
  ASSERT_TRUE(memory.has_value());
  EXPECT_EQ(memory->limit, 80000U);
  EXPECT_EQ(memory->left, 55000U);
}

// In a container the path is that of the host, which is not there; the mount's root is the container's own group.
TEST_F(CgroupTest, AContainerSeesItsOwnRoot) {
  write("membership", "0::/host/only\n");
  write("fs/memory.max", "2000\n");
  write("fs/memory.current", "3000\n");
  const auto memory = read();
  ASSERT_TRUE(memory.has_value());
  EXPECT_EQ(memory->left, 0U);
}

TEST(OwnMemory, GrowsWithWhatIsTouched) {
  const size_t before = own_memory_bytes();
  std::vector<char> block(size_t{32} << 20, 1);
  EXPECT_GE(own_memory_bytes(), before + (size_t{30} << 20)) << static_cast<int>(block[12345]);
}

}  // namespace
}  // namespace batchwright

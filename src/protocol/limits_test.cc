#include "protocol/limits.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <fstream>
#include <set>
#include <sstream>
#include <string>

namespace batchwright {
namespace {

TEST(Limits, TableHasEveryFieldOnce) {
  std::set<std::string> options;
  const ProtocolLimits defaults;
  for (const LimitEntry& entry : limit_table()) {
    EXPECT_TRUE(options.insert(entry.option).second) << entry.option;
    EXPECT_GE(defaults.*entry.field, entry.lowest) << entry.option;
    EXPECT_LE(defaults.*entry.field, entry.highest) << entry.option;
  }
  // All fields are of one type, so their number follows from the size.
  EXPECT_EQ(limit_table().size(), sizeof(ProtocolLimits) / sizeof(int64_t));
  ProtocolLimits changed;
  for (const LimitEntry& entry : limit_table()) changed.*entry.field = -1;
  for (const LimitEntry& entry : limit_table()) EXPECT_EQ(changed.*entry.field, -1) << entry.option;
}

TEST(Limits, ManualListsThemAll) {
  std::ifstream file(std::string(BATCHWRIGHT_SOURCE_DIR) + "/docs/limits.md");
  ASSERT_TRUE(file.is_open());
  std::stringstream text;
  text << file.rdbuf();
  const ProtocolLimits defaults;
  for (const LimitEntry& entry : limit_table()) {
    const std::string row = fmt::format("| `{}` | {} | {} |", entry.option, defaults.*entry.field, entry.what);
    EXPECT_NE(text.str().find(row), std::string::npos) << "docs/limits.md lacks: " << row;
  }
}

}  // namespace
}  // namespace batchwright

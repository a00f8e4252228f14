#include "base/format_bytes.h"

#include <gtest/gtest.h>

namespace batchwright {
namespace {

TEST(FormatBytesTest, TheUnitLeavesLessThan1024) {
  EXPECT_EQ(format_bytes(0), "0 B");
  EXPECT_EQ(format_bytes(1023), "1023 B");
  EXPECT_EQ(format_bytes(1536), "1.5 KiB");
  EXPECT_EQ(format_bytes(0x1p20), "1.0 MiB");
  EXPECT_EQ(format_bytes(2.25 * 0x1p30), "2.2 GiB");
  EXPECT_EQ(format_bytes(0x1p52), "4096.0 TiB");
}

}  // namespace
}  // namespace batchwright

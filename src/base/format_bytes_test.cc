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

TEST(FormatBytesTest, AnOptionIsNeverLess) {
  EXPECT_EQ(format_bytes_option(0), "0B");
  EXPECT_EQ(format_bytes_option(1023), "1023B");
  EXPECT_EQ(format_bytes_option(1024), "1KiB");
  EXPECT_EQ(format_bytes_option(1025), "1.01KiB");
  EXPECT_EQ(format_bytes_option(size_t{13} << 20), "13MiB");
  EXPECT_EQ(format_bytes_option((size_t{13} << 20) + (size_t{1} << 18)), "13.25MiB");
  EXPECT_EQ(format_bytes_option((size_t{13} << 20) + 1), "13.01MiB");
  EXPECT_EQ(format_bytes_option((size_t{1} << 30) - 1), "1024MiB");
  EXPECT_EQ(format_bytes_option(size_t{5} << 40), "5TiB");
}

}  // namespace
}  // namespace batchwright

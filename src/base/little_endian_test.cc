#include "base/little_endian.h"

#include <gtest/gtest.h>

namespace batchwright {
namespace {

TEST(LittleEndianTest, TheLeastSignificantByteStandsFirst) {
  std::string bytes;
  append_u32(bytes, 0x01020304);
  append_u64(bytes, 0x1112131415161718);
  append_number<int16_t>(bytes, -2);
  EXPECT_EQ(bytes, "\x04\x03\x02\x01\x18\x17\x16\x15\x14\x13\x12\x11\xfe\xff");
}

TEST(LittleEndianTest, TakesNumbersInTheirOrder) {
  std::string bytes;
  append_number<uint8_t>(bytes, 200);
  append_u64(bytes, UINT64_MAX - 1);
  append_number(bytes, -0.75);
  append_u32(bytes, 7);
  bytes += "rest";
  NumberReader reader(bytes);
  EXPECT_EQ(reader.take<uint8_t>(), 200);
  EXPECT_EQ(reader.take<uint64_t>(), UINT64_MAX - 1);
  EXPECT_EQ(reader.take<double>(), -0.75);
  EXPECT_EQ(reader.take<uint32_t>(), 7U);
  EXPECT_EQ(reader.rest(), "rest");
  EXPECT_DEATH(reader.take<uint64_t>(), "broken invariant");
}

}  // namespace
}  // namespace batchwright

#include "base/crc32c.h"

#include <gtest/gtest.h>

#include <functional>
#include <random>
#include <string>

namespace batchwright {
namespace {

class Crc32cTest : public testing::TestWithParam<uint32_t (*)(std::string_view, uint32_t)> {
 protected:
  static uint32_t crc(std::string_view data, uint32_t before = 0) { return GetParam()(data, before); }
};

TEST_P(Crc32cTest, GivesTheKnownAnswers) {
  EXPECT_EQ(crc(""), 0U);
  EXPECT_EQ(crc("123456789"), 0xe3069283U);
  // RFC 3720, B.4.
  EXPECT_EQ(crc(std::string(32, '\0')), 0x8a9136aaU);
  EXPECT_EQ(crc(std::string(32, '\xff')), 0x62a8ab43U);
  std::string up;
  std::string down;
  for (int i = 0; i < 32; ++i) {
    up.push_back(static_cast<char>(i));
    down.push_back(static_cast<char>(31 - i));
  }
  EXPECT_EQ(crc(up), 0x46dd794eU);
  EXPECT_EQ(crc(down), 0x113fdb5cU);
  const unsigned char scsi_read[48] = {0x01, 0xc0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,    0, 0, 0, 0,
                                       0x14, 0,    0, 0, 0, 0, 4, 0, 0, 0, 0, 0x14, 0, 0, 0, 0x18,
                                       0x28, 0,    0, 0, 0, 0, 0, 0, 2, 0, 0, 0,    0, 0, 0, 0};
  EXPECT_EQ(crc({reinterpret_cast<const char*>(scsi_read), sizeof(scsi_read)}), 0xd9963a56U);
}

TEST_P(Crc32cTest, AgreesWithOneBitAtATimeAtEveryLengthAndCut) {
  const auto bit_by_bit = [](std::string_view data) {
    uint32_t rest = 0xffffffff;
    for (const char c : data) {
      rest ^= static_cast<unsigned char>(c);
      for (int bit = 0; bit < 8; ++bit) rest = (rest >> 1) ^ ((rest & 1) != 0 ? 0x82f63b78U : 0U);
    }
    return rest ^ 0xffffffff;
  };
  std::mt19937 random(1);
  std::string data;
  for (int i = 0; i < 80; ++i) data.push_back(static_cast<char>(random() & 0xff));
  for (size_t length = 0; length <= data.size(); ++length) {
    const std::string_view part(data.data(), length);
    ASSERT_EQ(crc(part), bit_by_bit(part)) << length;
    ASSERT_EQ(crc(std::string_view(data).substr(length), crc(part)), bit_by_bit(data)) << length;
  }
}

INSTANTIATE_TEST_SUITE_P(Ways, Crc32cTest, testing::Values(crc32c, base::crc32c_portable));

}  // namespace
}  // namespace batchwright

#include "platform/huge_buffer.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <utility>

namespace batchwright {
namespace {

TEST(HugeBuffer, GivesZeroedAlignedPiecesUntilItIsEmpty) {
  HugeBuffer buffer(size_t{3} << 20);
  size_t total = 0;
  uint8_t* end = nullptr;
  while (true) {
    const std::span<uint8_t> piece = buffer.take(100'001);
    if (piece.empty()) break;
    ASSERT_EQ(piece.size(), 100'001U);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(piece.data()) % 64, 0U);
    EXPECT_GE(piece.data(), end);
    for (uint8_t& byte : piece) {
      ASSERT_EQ(byte, 0);
      byte = 1;
    }
    end = piece.data() + piece.size();
    total += piece.size();
  }
  EXPECT_GE(total, (size_t{3} << 20) - 100'001);
}

TEST(HugeBuffer, ThePiecesLiveAsLongAsTheLastOwner) {
  HugeBuffer first(1 << 16);
  const std::span<uint8_t> piece = first.take(64);
  HugeBuffer second(std::move(first));
  HugeBuffer third;
  third = std::move(second);
  piece[0] = 7;
  EXPECT_EQ(piece[0], 7);
}

TEST(HugeBuffer, WithoutMemoryItGivesNothing) {
  EXPECT_TRUE(HugeBuffer().take(1).empty());
  EXPECT_TRUE(HugeBuffer(0).take(1).empty());
  EXPECT_TRUE(HugeBuffer(SIZE_MAX).take(1).empty());
  HugeBuffer buffer(4096);
  EXPECT_TRUE(buffer.take(SIZE_MAX).empty());
}

}  // namespace
}  // namespace batchwright

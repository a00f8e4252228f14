#include "base/hash.h"

#include <gtest/gtest.h>

#include <string>

namespace batchwright {
namespace {

// Published values of XXH3 for no input.
TEST(Hash, KnownAnswers) {
  EXPECT_EQ(hash128("").hex(), "99aa06d3014798d86001c324468d497f");
  EXPECT_EQ(hash64(""), 0x2D06800538D394C2U);
}

TEST(Hash, PiecesGiveTheHashOfTheWhole) {
  std::string text;
  for (int i = 0; i < 5000; ++i) text += static_cast<char>(i * 31);
  for (const size_t cut : {size_t{0}, size_t{1}, size_t{63}, size_t{1024}, text.size()}) {
    Hasher128 hasher;
    hasher.update(std::string_view(text).substr(0, cut));
    hasher.update(std::string_view(text).substr(cut));
    EXPECT_EQ(hasher.digest(), hash128(text)) << cut;
  }
  EXPECT_NE(hash128(text), hash128(text + "x"));
  EXPECT_NE(hash64(text, 1), hash64(text, 2));
}

}  // namespace
}  // namespace batchwright

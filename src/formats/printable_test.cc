#include "formats/printable.h"

#include <gtest/gtest.h>

namespace batchwright {
namespace {

TEST(Printable, TextStaysAsItIs) {
  EXPECT_EQ(printable("blk.0.attn_q.weight"), "blk.0.attn_q.weight");
  EXPECT_EQ(printable("Grüße, 世界"), "Grüße, 世界");
}

TEST(Printable, WhatATerminalWouldObeyIsEscaped) {
  EXPECT_EQ(printable("a\nb\"c\\d"), "a\\nb\\\"c\\\\d");
  EXPECT_EQ(printable("\x1b[31m"), "\\x1b[31m");
  EXPECT_EQ(printable(std::string_view("\0", 1)), "\\x00");
  EXPECT_EQ(printable("\xc2\x9b"), "\\xc2\\x9b");           // C1 control
  EXPECT_EQ(printable("\xe2\x80\xae"), "\\xe2\\x80\\xae");  // right-to-left override
  EXPECT_EQ(printable("\xff"
                      "a\xe4\xb8"),
            "\\xffa\\xe4\\xb8");  // not UTF-8
}

TEST(Printable, LongTextIsCutBetweenCharacters) {
  EXPECT_EQ(printable("世界世界", 4), "世界世界");
  EXPECT_EQ(printable("世界世界", 3), "世界世...");
  EXPECT_EQ(printable("abc", 0), "...");
  EXPECT_EQ(printable("", 0), "");
}

}  // namespace
}  // namespace batchwright

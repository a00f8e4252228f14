#include "tensor/element_type.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "tensor/block_formats.h"

namespace batchwright {
namespace {

using ::testing::HasSubstr;

TEST(ElementType, IdsAndNamesLeadBackToTheType) {
  for (const ElementTypeInfo& info : kElementTypes) {
    EXPECT_EQ(element_type_from_ggml(static_cast<uint32_t>(info.type)), info.type);
    EXPECT_EQ(element_type_from_name(info.name), info.type);
    EXPECT_EQ(ggml_type_name(static_cast<uint32_t>(info.type)), info.name);
    EXPECT_EQ(&element_type_info(info.type), &info);
    EXPECT_THAT(supported_element_types(), HasSubstr(std::string(info.name)));
  }
  EXPECT_EQ(element_type_from_name("q4_k"), ElementType::kQ4_K);
}

TEST(ElementType, BlockBytesAreThoseOfTheLayouts) {
  EXPECT_EQ(element_type_info(ElementType::kQ4_0).block_bytes, sizeof(BlockQ4_0));
  EXPECT_EQ(element_type_info(ElementType::kQ4_1).block_bytes, sizeof(BlockQ4_1));
  EXPECT_EQ(element_type_info(ElementType::kQ5_0).block_bytes, sizeof(BlockQ5_0));
  EXPECT_EQ(element_type_info(ElementType::kQ5_1).block_bytes, sizeof(BlockQ5_1));
  EXPECT_EQ(element_type_info(ElementType::kQ8_0).block_bytes, sizeof(BlockQ8_0));
  EXPECT_EQ(element_type_info(ElementType::kQ4_K).block_bytes, sizeof(BlockQ4_K));
  EXPECT_EQ(element_type_info(ElementType::kQ5_K).block_bytes, sizeof(BlockQ5_K));
  EXPECT_EQ(element_type_info(ElementType::kQ6_K).block_bytes, sizeof(BlockQ6_K));
}

TEST(ElementType, OthersAreNamedButNotHandled) {
  EXPECT_EQ(element_type_from_ggml(17), std::nullopt);
  EXPECT_EQ(ggml_type_name(17), "IQ2_XS");
  EXPECT_EQ(ggml_type_name(29), "IQ1_M");
  EXPECT_EQ(ggml_type_name(39), "MXFP4");
  EXPECT_EQ(ggml_type_name(4), "");
  EXPECT_EQ(ggml_type_name(std::numeric_limits<uint32_t>::max()), "");
  EXPECT_EQ(element_type_from_name("Q4_"), std::nullopt);
}

TEST(ElementType, RowBytes) {
  EXPECT_EQ(*row_bytes(ElementType::kF32, 3), 12u);
  EXPECT_EQ(*row_bytes(ElementType::kQ6_K, 512), 420u);
  EXPECT_EQ(*row_bytes(ElementType::kQ6_K, 0), 0u);
  const Result<uint64_t> odd = row_bytes(ElementType::kQ4_K, 896 + 32);
  ASSERT_FALSE(odd.ok());
  EXPECT_THAT(odd.status().message(), HasSubstr("928 elements"));
  EXPECT_THAT(odd.status().message(), HasSubstr("blocks of 256"));
  EXPECT_FALSE(row_bytes(ElementType::kF32, -1).ok());
}

TEST(ElementType, RowBytesNeverWrap) {
  constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
  EXPECT_TRUE(row_bytes(ElementType::kF32, kMost / 4).ok());
  EXPECT_FALSE(row_bytes(ElementType::kF32, kMost / 4 + 1).ok());
  EXPECT_FALSE(row_bytes(ElementType::kF16, kMost).ok());
  EXPECT_TRUE(row_bytes(ElementType::kQ4_0, kMost / 32 * 32).ok());
  EXPECT_FALSE(row_bytes(ElementType::kQ8_0, kMost / 32 * 32).ok());
}

}  // namespace
}  // namespace batchwright

#include "model/kv_store.h"

#include <gtest/gtest.h>

#include <array>
#include <cstddef>
#include <random>
#include <vector>

#include "kernels/attention/attention.h"

namespace batchwright {
namespace {

// Layers with and without a window, two KV heads.
ModelShape small_shape() {
  ModelShape shape;
  shape.layers = 3;
  shape.heads = 4;
  shape.kv_heads = 2;
  shape.head_dim = 16;
  shape.windows = {0, 128, 0};
  return shape;
}

class KvStoreCopy : public testing::TestWithParam<KvFormat> {};

TEST_P(KvStoreCopy, TakesTheFirstPositionsOfAPageAndNothingElse) {
  const ModelShape shape = small_shape();
  const std::vector<PageClass> classes = page_classes(shape);
  ASSERT_EQ(classes.size(), 2U);
  const size_t element = kv_element_bytes(GetParam());
  const auto dim = static_cast<size_t>(shape.head_dim);
  for (const int positions : {1, 7, 8, 63, 64}) {
    auto store = KvStore::create(shape, GetParam(), std::array<int32_t, 2>{3, 3});
    ASSERT_TRUE(store.ok());
    std::mt19937 random(static_cast<uint32_t>(positions));
    for (size_t c = 0; c < classes.size(); ++c) {
      const size_t bytes = page_bytes(shape, classes[c], GetParam());
      const auto page = [&](PageId id) { return store->block(static_cast<int>(c), id, classes[c].layers[0], 0); };
      for (PageId id = 0; id < 3; ++id) {
        for (size_t i = 0; i < bytes; ++i) page(id)[i] = static_cast<std::byte>(random());
      }
      std::vector<std::byte> expected(page(2), page(2) + bytes);
      const size_t block_bytes = kv_head_block_bytes(shape.head_dim, GetParam());
      for (size_t block = 0; block < bytes; block += block_bytes) {
        for (int p = 0; p < positions; ++p) {
          for (size_t d = 0; d < dim; ++d) {
            const auto position = static_cast<size_t>(p);
            const size_t k = block + (d * kBlockPositions + position) * element;
            const size_t v = block + (dim * kBlockPositions + position * dim + d) * element;
            for (size_t b = 0; b < element; ++b) {
              expected[k + b] = page(0)[k + b];
              expected[v + b] = page(0)[v + b];
            }
          }
        }
      }
      const std::vector<std::byte> other(page(1), page(1) + bytes);
      store->copy(static_cast<int>(c), {0, 2, positions});
      EXPECT_EQ(std::vector<std::byte>(page(2), page(2) + bytes), expected) << positions << " positions, class " << c;
      EXPECT_EQ(std::vector<std::byte>(page(1), page(1) + bytes), other);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Formats, KvStoreCopy, testing::Values(KvFormat::kF16, KvFormat::kF32),
                         [](const auto& instance) { return instance.param == KvFormat::kF16 ? "f16" : "f32"; });

}  // namespace
}  // namespace batchwright

#include "tensor/dequantize.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "tensor/half.h"

namespace batchwright {
namespace {

// FNV-1a 64, as tests/golden/tensor/make_dequantize.py takes it.
template <class T>
uint64_t fnv(const std::vector<T>& values) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (const T value : values) {
    for (size_t i = 0; i < sizeof(T); ++i) hash = (hash ^ ((value >> (8 * i)) & 0xff)) * 0x100000001b3u;
  }
  return hash;
}

std::vector<uint32_t> canonical_bits(const std::vector<float>& values) {
  std::vector<uint32_t> bits;
  for (const float x : values) bits.push_back(std::isnan(x) ? 0x7fc00000u : std::bit_cast<uint32_t>(x));
  return bits;
}

std::vector<uint32_t> dequantized(ElementType type, const char* src, int64_t n) {
  std::vector<float> out(static_cast<size_t>(n));
  dequantize_row(type, src, n, out.data());
  return canonical_bits(out);
}

class Golden {
 public:
  Golden() {
    std::ifstream in(BATCHWRIGHT_SOURCE_DIR "/tests/golden/tensor/dequantize.bin", std::ios::binary);
    content_.assign(std::istreambuf_iterator<char>(in), {});
  }
  bool at_end() const { return offset_ == content_.size(); }
  const char* take(size_t bytes) {
    if (bytes > content_.size() - offset_) throw std::runtime_error("dequantize.bin is too short");
    offset_ += bytes;
    return content_.data() + offset_ - bytes;
  }
  template <class T>
  std::vector<T> numbers(size_t count) {
    std::vector<T> out(count);
    std::memcpy(out.data(), take(count * sizeof(T)), count * sizeof(T));
    return out;
  }
  template <class T>
  T number() {
    return numbers<T>(1)[0];
  }

 private:
  std::string content_;
  size_t offset_ = 0;
};

void check_conversions(Golden& golden) {
  std::vector<uint16_t> halves(65536);
  for (size_t i = 0; i < halves.size(); ++i) halves[i] = static_cast<uint16_t>(i);
  const char* bytes = reinterpret_cast<const char*>(halves.data());
  EXPECT_EQ(fnv(dequantized(ElementType::kF16, bytes, 65536)), golden.number<uint64_t>());
  EXPECT_EQ(fnv(dequantized(ElementType::kBF16, bytes, 65536)), golden.number<uint64_t>());

  std::vector<uint16_t> f16;
  std::vector<uint16_t> bf16;
  uint64_t state = 1;
  for (int i = 0; i < 1 << 20; ++i) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    const auto x = std::bit_cast<float>(static_cast<uint32_t>(state >> 32));
    f16.push_back(std::isnan(x) ? uint16_t{0x7e00} : f32_to_f16(x));
    bf16.push_back(std::isnan(x) ? uint16_t{0x7fc0} : f32_to_bf16(x));
  }
  EXPECT_EQ(fnv(f16), golden.number<uint64_t>());
  EXPECT_EQ(fnv(bf16), golden.number<uint64_t>());
}

TEST(Dequantize, SameBitsAsThePythonPackage) {
  Golden golden;
  ASSERT_EQ(std::string(golden.take(4), 4), "DQG1");
  check_conversions(golden);
  int types = 0;
  for (; !golden.at_end(); ++types) {
    const std::optional<ElementType> type = element_type_from_ggml(golden.number<uint32_t>());
    ASSERT_TRUE(type.has_value());
    const ElementTypeInfo& info = element_type_info(*type);
    SCOPED_TRACE(info.name);
    const auto elements = static_cast<size_t>(info.block_elements);
    const auto block_bytes = static_cast<size_t>(info.block_bytes);
    const auto blocks = golden.number<uint32_t>();
    const auto full = golden.number<uint32_t>();

    const char* random = golden.take(blocks * block_bytes);
    const std::vector<uint32_t> results = dequantized(*type, random, static_cast<int64_t>(blocks * elements));
    const std::vector<uint32_t> expected = golden.numbers<uint32_t>(full * elements);
    for (size_t i = 0; i < expected.size(); ++i) ASSERT_EQ(results[i], expected[i]) << "element " << i;
    for (size_t b = 0; b < blocks; ++b) {
      const auto first = results.begin() + static_cast<std::ptrdiff_t>(b * elements);
      const std::vector<uint32_t> block(first, first + static_cast<std::ptrdiff_t>(elements));
      EXPECT_EQ(fnv(block), golden.number<uint64_t>()) << "block " << b;
    }
    for (int v = 0; v < 256; ++v) {
      const std::string uniform(block_bytes, static_cast<char>(v));
      EXPECT_EQ(fnv(dequantized(*type, uniform.data(), info.block_elements)), golden.number<uint64_t>())
          << "all bytes " << v;
    }
  }
  EXPECT_EQ(types, 8);
}

TEST(Dequantize, SourceMayLieAnywhere) {
  for (const ElementTypeInfo& info : kElementTypes) {
    std::string bytes(static_cast<size_t>(info.block_bytes), '\0');
    for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i * 37 + 11);
    const std::string shifted = "x" + bytes;
    EXPECT_EQ(dequantized(info.type, bytes.data(), info.block_elements),
              dequantized(info.type, shifted.data() + 1, info.block_elements))
        << info.name;
  }
}

TEST(Dequantize, NothingIsWrittenForNothing) { dequantize_row(ElementType::kQ4_K, nullptr, 0, nullptr); }

TEST(DequantizeDeathTest, HalfABlockIsABrokenInvariant) {
  char bytes[18] = {};
  float out[32];
  EXPECT_DEATH(dequantize_row(ElementType::kQ4_0, bytes, 16, out), "broken invariant");
}

}  // namespace
}  // namespace batchwright

#include "formats/gguf_writer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <iterator>
#include <limits>

#include "formats/test_file.h"
#include "tensor/dequantize.h"

namespace batchwright {
namespace {

using formats::TestFile;
using ::testing::HasSubstr;

std::string text_of(const std::vector<std::byte>& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

template <class T>
void add_numbers(GgufWriter& writer, const std::string& name, const std::vector<T>& values) {
  writer.add("test." + name, static_cast<T>(values.back()));
  writer.add_array("test.array." + name, values);
}

// What tests/golden/formats/make_gguf.py writes.
GgufWriter same_as_python() {
  GgufWriter writer;
  writer.add("general.architecture", "tiny");
  writer.add("general.alignment", uint32_t{64});
  add_numbers<uint8_t>(writer, "uint8", {0, 7, 255});
  add_numbers<int8_t>(writer, "int8", {-128, 0, 127});
  add_numbers<uint16_t>(writer, "uint16", {0, 65535});
  add_numbers<int16_t>(writer, "int16", {-32768, 32767});
  add_numbers<uint32_t>(writer, "uint32", {0, std::numeric_limits<uint32_t>::max()});
  add_numbers<int32_t>(writer, "int32", {std::numeric_limits<int32_t>::min(), std::numeric_limits<int32_t>::max()});
  add_numbers<uint64_t>(writer, "uint64", {1, std::numeric_limits<int64_t>::max()});
  add_numbers<int64_t>(writer, "int64", {std::numeric_limits<int64_t>::min(), std::numeric_limits<int64_t>::max()});
  add_numbers<float>(writer, "float32", {0.5f, -1.25f, 3.0e38f});
  add_numbers<double>(writer, "float64", {0.1, -1e300});
  add_numbers<bool>(writer, "bool", {true, false, true});
  writer.add("test.string", "Grüße, 世界 🌍");
  writer.add("test.string.empty", "");
  writer.add_array("test.array.string", {"a", "", "bé", "line\nbreak"});
  for (size_t k = 0; k < kElementTypes.size(); ++k) {
    const ElementTypeInfo& info = kElementTypes[k];
    const int64_t row = info.block_elements > 1 ? 256 : 5;
    const auto rows = static_cast<int64_t>(k % 3 + 1);
    std::vector<std::byte> data(*row_bytes(info.type, row) * static_cast<uint64_t>(rows));
    for (size_t i = 0; i < data.size(); ++i) data[i] = static_cast<std::byte>(i * 37 + 11 * k + 5);
    writer.add_tensor("blk." + std::to_string(k) + "." + std::string(info.name), info.type, {row, rows}, data);
  }
  const std::vector<float> one = {1.0f, -2.0f, 0.5f};
  writer.add_tensor("one_dimension", ElementType::kF32, {3}, one);
  std::vector<float> four;
  for (int i = 0; i < 24; ++i) four.push_back(static_cast<float>(i));
  writer.add_tensor("four_dimensions", ElementType::kF32, {2, 2, 3, 2}, four);
  return writer;
}

TEST(GgufWriter, SameBytesAsThePythonPackage) {
  std::ifstream in(BATCHWRIGHT_SOURCE_DIR "/tests/golden/formats/python_writer_gguf.bin", std::ios::binary);
  const std::string expected(std::istreambuf_iterator<char>(in), {});
  ASSERT_FALSE(expected.empty());
  const Result<std::vector<std::byte>> bytes = same_as_python().bytes();
  ASSERT_TRUE(bytes.ok()) << bytes.status().message();
  EXPECT_TRUE(text_of(*bytes) == expected);
}

TEST(GgufWriter, WritesWhatBytesGives) {
  const TestFile file("something older");
  const GgufWriter writer = same_as_python();
  ASSERT_TRUE(writer.write(file.path()).ok());
  std::ifstream in(file.path(), std::ios::binary);
  EXPECT_TRUE(std::string(std::istreambuf_iterator<char>(in), {}) == text_of(*writer.bytes()));
}

TEST(GgufWriter, QuantisesFloats) {
  std::vector<float> values;
  for (int i = 0; i < 512; ++i) values.push_back(static_cast<float>(i % 31) / 15 - 1);
  for (const ElementTypeInfo& info : kElementTypes) {
    GgufWriter writer;
    writer.add_tensor("t", info.type, {256, 2}, values);
    const TestFile file(text_of(*writer.bytes()));
    const Result<GgufFile> read = GgufFile::open(file.path());
    ASSERT_TRUE(read.ok()) << read.status().message();
    std::vector<float> back(512);
    dequantize_row(info.type, read->find_tensor("t")->data.data(), 512, back.data());
    for (size_t i = 0; i < back.size(); ++i) ASSERT_NEAR(back[i], values[i], 0.08) << info.name;
  }
}

struct Mistake {
  const char* expected;
  void (*make)(GgufWriter&);
};

TEST(GgufWriter, TheFirstMistakeIsReported) {
  static const std::vector<float> kFour(4);
  const Mistake mistakes[] = {
      {"'k': the key was added before",
       [](GgufWriter& w) {
         w.add("k", int32_t{1});
         w.add_array("k", {"x"});
       }},
      {"a key of 0 bytes", [](GgufWriter& w) { w.add("", int32_t{1}); }},
      {"a key of 65536 bytes", [](GgufWriter& w) { w.add(std::string(65536, 'k'), int32_t{1}); }},
      {"24; a power of two", [](GgufWriter& w) { w.add("general.alignment", uint32_t{24}); }},
      {"'t': 4 values; its shape needs 6",
       [](GgufWriter& w) {
         w.add_tensor("t", ElementType::kF32, {3, 2}, kFour);
       }},
      {"16 bytes of data; its shape needs 8",
       [](GgufWriter& w) { w.add_tensor("t", ElementType::kF16, {4}, std::as_bytes(std::span(kFour))); }},
      {"blocks of 32", [](GgufWriter& w) { w.add_tensor("t", ElementType::kQ8_0, {4}, kFour); }},
      {"5 dimensions",
       [](GgufWriter& w) {
         w.add_tensor("t", ElementType::kF32, {1, 1, 1, 1, 4}, kFour);
       }},
      {"0 dimensions", [](GgufWriter& w) { w.add_tensor("t", ElementType::kF32, {}, kFour); }},
      {"dimension 1 is 0",
       [](GgufWriter& w) {
         w.add_tensor("t", ElementType::kF32, {4, 0}, kFour);
       }},
      {"exceed",
       [](GgufWriter& w) {
         w.add_tensor("t", ElementType::kF32, {4, int64_t{1} << 62}, kFour);
       }},
      {"a name of 65 bytes", [](GgufWriter& w) { w.add_tensor(std::string(65, 't'), ElementType::kF32, {4}, kFour); }},
      {"the tensor was added before",
       [](GgufWriter& w) {
         w.add_tensor("t", ElementType::kF32, {4}, kFour);
         w.add_tensor("t", ElementType::kF32, {4}, kFour);
       }},
  };
  for (const Mistake& mistake : mistakes) {
    GgufWriter writer;
    mistake.make(writer);
    writer.add("later", "is ignored");
    const Result<std::vector<std::byte>> bytes = writer.bytes();
    ASSERT_FALSE(bytes.ok()) << mistake.expected;
    EXPECT_EQ(bytes.status().code(), StatusCode::kInvalidArgument);
    EXPECT_THAT(bytes.status().message(), HasSubstr(mistake.expected));
    EXPECT_FALSE(writer.write("/nonexistent/file").ok());
  }
}

TEST(GgufWriter, NamesThePathThatCannotBeWritten) {
  const Status status = GgufWriter().write("/nonexistent/file.gguf");
  EXPECT_EQ(status.code(), StatusCode::kIoError);
  EXPECT_THAT(status.message(), HasSubstr("/nonexistent/file.gguf: cannot be written: No such file"));
  EXPECT_EQ(GgufWriter().write("/dev/full").code(), StatusCode::kIoError);
}

}  // namespace
}  // namespace batchwright

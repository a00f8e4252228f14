#include "formats/gguf.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <cstdlib>
#include <filesystem>
#include <limits>
#include <utility>

#include "base/hash.h"
#include "formats/gguf_writer.h"
#include "formats/test_file.h"

namespace batchwright {
namespace {

using formats::TestFile;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr char kGolden[] = BATCHWRIGHT_SOURCE_DIR "/tests/golden/formats/python_writer_gguf.bin";

GgufFile open_or_die(const std::string& path) {
  Result<GgufFile> file = GgufFile::open(path);
  EXPECT_TRUE(file.ok()) << file.status().message();
  return std::move(file).value();
}

std::string written(const GgufWriter& writer) {
  const std::vector<std::byte> bytes = writer.bytes().value();
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

TEST(Gguf, ReadsEveryMetadataTypeOfThePythonPackage) {
  const GgufFile file = open_or_die(kGolden);
  EXPECT_EQ(file.version(), 3u);
  EXPECT_EQ(file.alignment(), 64u);
  EXPECT_EQ(file.path(), kGolden);
  EXPECT_EQ(*file.string("general.architecture"), "tiny");
  EXPECT_EQ(*file.string("test.string"), "Grüße, 世界 🌍");
  EXPECT_EQ(*file.string("test.string.empty"), "");
  EXPECT_EQ(*file.unsigned_integer("test.uint8"), 255u);
  EXPECT_EQ(*file.unsigned_integer("test.int64"), uint64_t{std::numeric_limits<int64_t>::max()});
  EXPECT_EQ(*file.integer("test.int8"), 127);
  EXPECT_EQ(*file.integer("test.uint32"), 4294967295);
  EXPECT_EQ(*file.real("test.float32"), double{3.0e38f});
  EXPECT_EQ(*file.real("test.float64"), -1e300);
  EXPECT_EQ(*file.boolean("test.bool"), true);
  EXPECT_THAT(*file.strings("test.array.string"), ElementsAre("a", "", "bé", "line\nbreak"));
  EXPECT_THAT(file.integers("test.array.uint8")->to_vector(), ElementsAre(0, 7, 255));
  EXPECT_THAT(file.integers("test.array.int8")->to_vector(), ElementsAre(-128, 0, 127));
  EXPECT_THAT(file.integers("test.array.uint16")->to_vector(), ElementsAre(0, 65535));
  EXPECT_THAT(file.integers("test.array.int16")->to_vector(), ElementsAre(-32768, 32767));
  EXPECT_THAT(file.integers("test.array.uint32")->to_vector(), ElementsAre(0, 4294967295));
  EXPECT_THAT(file.integers("test.array.int32")->to_vector(), ElementsAre(-2147483648, 2147483647));
  EXPECT_THAT(file.integers("test.array.uint64")->to_vector(), ElementsAre(1, std::numeric_limits<int64_t>::max()));
  EXPECT_THAT(file.integers("test.array.int64")->to_vector(),
              ElementsAre(std::numeric_limits<int64_t>::min(), std::numeric_limits<int64_t>::max()));
  EXPECT_THAT(file.reals("test.array.float32")->to_vector(), ElementsAre(0.5, -1.25, double{3.0e38f}));
  EXPECT_THAT(file.reals("test.array.float64")->to_vector(), ElementsAre(0.1, -1e300));
  EXPECT_THAT(file.booleans("test.array.bool")->to_vector(), ElementsAre(true, false, true));
}

TEST(Gguf, ReadsEveryTensorTypeOfThePythonPackage) {
  const GgufFile file = open_or_die(kGolden);
  ASSERT_EQ(file.tensors().size(), kElementTypes.size() + 2);
  for (size_t k = 0; k < kElementTypes.size(); ++k) {
    const ElementTypeInfo& info = kElementTypes[k];
    const GgufTensor* tensor = file.find_tensor("blk." + std::to_string(k) + "." + std::string(info.name));
    ASSERT_EQ(tensor, &file.tensors()[k]);
    EXPECT_EQ(tensor->type, info.type);
    EXPECT_EQ(tensor->n_dims, 2);
    EXPECT_EQ(tensor->ne[0], info.block_elements > 1 ? 256 : 5);
    EXPECT_EQ(tensor->rows(), static_cast<int64_t>(k % 3 + 1));
    EXPECT_EQ(tensor->data.size(), *row_bytes(info.type, tensor->ne[0]) * (k % 3 + 1));
    EXPECT_EQ(tensor->offset % 64, 0u);
    for (size_t i = 0; i < tensor->data.size(); ++i) {
      ASSERT_EQ(tensor->data[i], static_cast<std::byte>(i * 37 + 11 * k + 5)) << info.name << " " << i;
    }
  }
  const GgufTensor* four = file.tensor("four_dimensions").value();
  EXPECT_EQ(four->shape(), "[2, 2, 3, 2]");
  EXPECT_EQ(four->elements(), 24);
  EXPECT_EQ(four->n_dims, 4);
  EXPECT_EQ(file.find_tensor("one_dimension")->shape(), "[3]");
  EXPECT_EQ(file.find_tensor("absent"), nullptr);
  EXPECT_THAT(file.tensor("absent").status().message(), AllOf(HasSubstr(kGolden), HasSubstr("'absent' is missing")));
}

TEST(Gguf, ViewsSurviveAMove) {
  GgufFile file = open_or_die(kGolden);
  const std::string_view text = *file.string("test.string");
  const GgufTensor* tensor = file.find_tensor("one_dimension");
  const GgufFile moved = std::move(file);
  EXPECT_EQ(text, *moved.string("test.string"));
  EXPECT_EQ(text.data(), moved.string("test.string")->data());
  EXPECT_EQ(tensor, moved.find_tensor("one_dimension"));
  EXPECT_EQ(tensor->data[3], std::byte{0x3f});
}

TEST(Gguf, ReleasedTensorsCanBeReadAgain) {
  const GgufFile file = open_or_die(kGolden);
  for (const GgufTensor& tensor : file.tensors()) {
    const std::vector<std::byte> before(tensor.data.begin(), tensor.data.end());
    file.release(tensor);
    EXPECT_TRUE(std::equal(before.begin(), before.end(), tensor.data.begin()));
  }
  EXPECT_TRUE(file.check().ok());
}

TEST(Gguf, TheHashIsOfAllBytes) {
  GgufWriter writer;
  writer.add("general.architecture", "tiny");
  const std::string content = written(writer);
  const TestFile bytes(content);
  const GgufFile file = open_or_die(bytes.path());
  EXPECT_EQ(file.hash(), hash128(content).hex());
  EXPECT_EQ(*file.string("general.architecture"), "tiny");
}

TEST(Gguf, MissingKeysAreNamedOrDefaulted) {
  const GgufFile file = open_or_die(kGolden);
  const auto message = HasSubstr(std::string(kGolden) + ": key 'no.such' (");
  EXPECT_THAT(file.unsigned_integer("no.such").status().message(), message);
  EXPECT_THAT(file.integer("no.such").status().message(), message);
  EXPECT_THAT(file.real("no.such").status().message(), message);
  EXPECT_THAT(file.boolean("no.such").status().message(), message);
  EXPECT_THAT(file.string("no.such").status().message(), message);
  EXPECT_THAT(file.strings("no.such").status().message(), message);
  EXPECT_THAT(file.integers("no.such").status().message(), message);
  EXPECT_THAT(file.reals("no.such").status().message(), message);
  EXPECT_THAT(file.booleans("no.such").status().message(), message);
  EXPECT_EQ(*file.unsigned_integer_or("no.such", 5), 5u);
  EXPECT_EQ(*file.integer_or("no.such", -5), -5);
  EXPECT_EQ(*file.real_or("no.such", 0.5), 0.5);
  EXPECT_EQ(*file.boolean_or("no.such", true), true);
  EXPECT_EQ(*file.string_or("no.such", "x"), "x");
  EXPECT_EQ(*file.unsigned_integer_or("test.uint8", 5), 255u);
}

TEST(Gguf, WrongTypesAreNamedWithFoundAndNeeded) {
  const GgufFile file = open_or_die(kGolden);
  const auto wrong = [](const std::string& key, const std::string& found, const std::string& needed) {
    return AllOf(HasSubstr(kGolden), HasSubstr("key '" + key + "' has the type " + found + "; " + needed));
  };
  EXPECT_THAT(file.unsigned_integer("test.bool").status().message(), wrong("test.bool", "bool", "an integer"));
  EXPECT_THAT(file.unsigned_integer_or("test.float32", 1).status().message(),
              wrong("test.float32", "f32", "an integer"));
  EXPECT_THAT(file.integer("test.array.int8").status().message(), wrong("test.array.int8", "array of i8", "an int"));
  EXPECT_THAT(file.real("test.int8").status().message(), wrong("test.int8", "i8", "f32 or f64"));
  EXPECT_THAT(file.boolean("test.uint8").status().message(), wrong("test.uint8", "u8", "bool"));
  EXPECT_THAT(file.string("test.array.string").status().message(),
              wrong("test.array.string", "array of string", "string"));
  EXPECT_THAT(file.strings("test.string").status().message(), wrong("test.string", "string", "array of string"));
  EXPECT_THAT(file.strings("test.array.int8").status().message(),
              wrong("test.array.int8", "array of i8", "array of string"));
  EXPECT_THAT(file.integers("test.array.float32").status().message(),
              wrong("test.array.float32", "array of f32", "array of integers"));
  EXPECT_THAT(file.integers("test.array.bool").status().message(),
              wrong("test.array.bool", "array of bool", "array of integers"));
  EXPECT_THAT(file.reals("test.array.int8").status().message(), wrong("test.array.int8", "array of i8", "array of f"));
  EXPECT_THAT(file.booleans("test.array.uint8").status().message(),
              wrong("test.array.uint8", "array of u8", "array of bool"));
}

TEST(Gguf, IntegersMustLieInRange) {
  GgufWriter writer;
  writer.add("negative", int8_t{-1});
  writer.add("huge", std::numeric_limits<uint64_t>::max());
  writer.add("layers", uint32_t{1000000000});
  writer.add_array("huge.array", std::vector<uint64_t>{1, uint64_t{1} << 63});
  const TestFile bytes(written(writer));
  const GgufFile file = open_or_die(bytes.path());
  EXPECT_EQ(*file.integer("negative"), -1);
  EXPECT_THAT(file.unsigned_integer("negative").status().message(), HasSubstr("'negative' is -1; 0 to"));
  EXPECT_EQ(*file.unsigned_integer("huge"), std::numeric_limits<uint64_t>::max());
  EXPECT_THAT(file.integer("huge").status().message(), HasSubstr("'huge' is 18446744073709551615"));
  EXPECT_THAT(file.unsigned_integer_in("layers", 1, 1024).status().message(),
              HasSubstr("'layers' is 1000000000; 1 to 1024 are allowed"));
  EXPECT_EQ(*file.unsigned_integer_in("layers", 1, 1000000000), 1000000000u);
  EXPECT_THAT(file.integers("huge.array").status().message(), HasSubstr("element 1 is 9223372036854775808"));
}

TEST(Gguf, ValuesAreShownShort) {
  GgufWriter writer;
  writer.add("text", "a\"b\n" + std::string(100, 'x'));
  writer.add("f", 1e-6f);
  writer.add_array("many", std::vector<int32_t>(1000, 7));
  writer.add_array("few", std::vector<float>{1.5f, 2});
  writer.add_array("none", std::vector<bool>{});
  writer.add_array("texts", {"a", std::string(200, 'y')});
  const TestFile bytes(written(writer));
  const GgufFile file = open_or_die(bytes.path());
  const auto shown = [&](const char* key) { return file.display_value(*file.find(key), 24); };
  EXPECT_EQ(shown("text"), "\"a\\\"b\\n" + std::string(20, 'x') + "...\"");
  EXPECT_EQ(shown("f"), "1e-06");
  EXPECT_EQ(shown("many"), "[1000 x i32] 7, 7, 7, 7, ...");
  EXPECT_EQ(shown("few"), "[2 x f32] 1.5, 2");
  EXPECT_EQ(shown("none"), "[0 x bool]");
  EXPECT_EQ(shown("texts"), "[2 x string] \"a\", ...");
  EXPECT_EQ(GgufFile::type_description(*file.find("texts")), "array of string");
  std::vector<std::string> keys;
  for (const GgufKeyValue& entry : file.metadata()) keys.push_back(entry.key);
  EXPECT_THAT(keys, ElementsAre("text", "f", "many", "few", "none", "texts"));
}

TEST(Gguf, Version2IsReadToo) {
  GgufWriter writer;
  writer.add("k", uint32_t{9});
  std::string content = written(writer);
  content[4] = 2;
  const TestFile bytes(content);
  const GgufFile file = open_or_die(bytes.path());
  EXPECT_EQ(file.version(), 2u);
  EXPECT_EQ(*file.unsigned_integer("k"), 9u);
}

TEST(Gguf, AFileThatShrinksAfterOpeningIsReportedNotFatal) {
  GgufWriter writer;
  writer.add_array("texts", std::vector<std::string>(20000, "text"));
  const std::vector<float> weights(100000, 1.0f);
  writer.add_tensor("w", ElementType::kF32, {100000}, weights);
  TestFile bytes(written(writer));
  const GgufFile file = open_or_die(bytes.path());
  bytes.truncate(4096);
  EXPECT_EQ(std::to_integer<int>(file.find_tensor("w")->data.back()), 0);
  const Status status = file.strings("texts").status();
  // Zeros are strings of no length: whether or not the walk ends well, check() tells.
  EXPECT_TRUE(status.ok() || status.code() == StatusCode::kIoError) << status.message();
  EXPECT_EQ(file.check().code(), StatusCode::kIoError);
  EXPECT_THAT(file.check().message(), HasSubstr(bytes.path() + ": shrank while being read"));
}

TEST(Gguf, PathErrorsNameThePath) {
  EXPECT_EQ(GgufFile::open("/nonexistent.gguf").status().code(), StatusCode::kNotFound);
  EXPECT_THAT(GgufFile::open("/nonexistent.gguf").status().message(), HasSubstr("/nonexistent.gguf"));
  EXPECT_THAT(GgufFile::open("/tmp").status().message(), HasSubstr("is a directory"));
}

class RealModel : public ::testing::TestWithParam<const char*> {};

TEST_P(RealModel, Opens) {
  const char* folder = std::getenv("BATCHWRIGHT_TEST_MODELS");
  const char* required = std::getenv("BATCHWRIGHT_REQUIRE_MODELS");
  if (folder == nullptr) {
    ASSERT_FALSE(required != nullptr && std::string(required) == "1") << "BATCHWRIGHT_TEST_MODELS is not set";
    GTEST_SKIP() << "BATCHWRIGHT_TEST_MODELS is not set";
  }
  const GgufFile file = open_or_die((std::filesystem::path(folder) / GetParam()).string());
  const bool is_qwen = std::string(GetParam()).starts_with("qwen");
  EXPECT_EQ(*file.string("general.architecture"), is_qwen ? "qwen2" : "gemma3");
  const std::vector<std::string_view> tokens = file.strings("tokenizer.ggml.tokens").value();
  EXPECT_EQ(tokens.size(), is_qwen ? 151936u : 262144u);
  EXPECT_EQ(file.integers("tokenizer.ggml.token_type")->size(), tokens.size());
  EXPECT_EQ(file.tensors().size(), is_qwen ? 291u : 236u);
  const GgufTensor* embedding = file.tensor("token_embd.weight").value();
  EXPECT_EQ(embedding->ne[1], static_cast<int64_t>(tokens.size()));
  uint64_t tensor_bytes = 0;
  for (const GgufTensor& tensor : file.tensors()) tensor_bytes += tensor.data.size();
  EXPECT_LE(tensor_bytes + file.data_offset(), file.file_bytes());
  EXPECT_GE(tensor_bytes + file.data_offset() + 32 * file.tensors().size(), file.file_bytes());
}

INSTANTIATE_TEST_SUITE_P(Gguf, RealModel,
                         ::testing::Values("qwen2.5-coder-0.5b-instruct-q4_k_m.gguf", "gemma-3-270m-q4_k_m.gguf"),
                         [](const auto& model) {
                           return std::string(model.param).starts_with("gemma") ? "Gemma3" : "Qwen2";
                         });

}  // namespace
}  // namespace batchwright

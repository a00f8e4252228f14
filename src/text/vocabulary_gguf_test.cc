#include "text/vocabulary_gguf.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <string>

#include "formats/gguf_writer.h"
#include "text/tokenizer.h"
#include "text/tokenizer_testing.h"

namespace batchwright {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class VocabularyGguf : public ::testing::Test {
 protected:
  void TearDown() override { std::filesystem::remove(path_); }

  Result<std::shared_ptr<const Vocabulary>> load(const GgufWriter& writer) {
    const Status written = writer.write(path_);
    if (!written.ok()) return written;
    const auto file = GgufFile::open(path_);
    if (!file.ok()) return file.status();
    return load_vocabulary(*file);
  }

  std::string path_ = ::testing::TempDir() + "vocabulary_gguf_test_" +
                      ::testing::UnitTest::GetInstance()->current_test_info()->name() + ".gguf";
};

TEST_F(VocabularyGguf, Spm) {
  const VocabularyData data = testing::spm_data({{"\u2581a", -1}, {"a", -2}});
  GgufWriter writer;
  writer.add("tokenizer.ggml.model", "llama");
  writer.add("tokenizer.ggml.pre", "default");
  writer.add_array("tokenizer.ggml.tokens", data.tokens);
  writer.add_array("tokenizer.ggml.scores", data.scores);
  writer.add_array("tokenizer.ggml.token_type", data.types);
  writer.add("tokenizer.ggml.bos_token_id", uint32_t{1});
  writer.add("tokenizer.ggml.eos_token_id", uint32_t{2});
  const auto v = load(writer);
  ASSERT_TRUE(v.ok()) << v.status().message();
  // SPM's defaults, where the file says nothing.
  EXPECT_TRUE((*v)->add_bos() && !(*v)->add_eos() && (*v)->add_space_prefix());
  EXPECT_EQ((*v)->unknown(), 0);
  const auto t = Tokenizer::create(*v).value();
  EXPECT_THAT(t->encode("a", {.add_bos = true}), ElementsAre(1, 262));
}

GgufWriter bpe_writer(const std::function<void(VocabularyData&)>& change = {}) {
  VocabularyData data = testing::bpe_data({"a b"});
  if (change) change(data);
  GgufWriter writer;
  writer.add("tokenizer.ggml.model", "gpt2");
  writer.add("tokenizer.ggml.pre", data.pre_tokenizer);
  writer.add_array("tokenizer.ggml.tokens", data.tokens);
  writer.add_array("tokenizer.ggml.token_type", data.types);
  writer.add_array("tokenizer.ggml.merges", data.merges);
  return writer;
}

TEST_F(VocabularyGguf, Bpe) {
  GgufWriter writer = bpe_writer();
  writer.add("tokenizer.ggml.eos_token_id", uint32_t{257});
  writer.add("tokenizer.ggml.bos_token_id", uint32_t{258});
  const auto v = load(writer);
  ASSERT_TRUE(v.ok()) << v.status().message();
  EXPECT_FALSE((*v)->add_bos() || (*v)->add_eos() || (*v)->add_space_prefix());
  EXPECT_EQ((*v)->bos(), 258);
  EXPECT_THAT(Tokenizer::create(*v).value()->encode("ab<|end|>", {.parse_special = true}), ElementsAre(256, 257));
}

TEST_F(VocabularyGguf, ErrorsNameFileKeyAndValue) {
  GgufWriter model;
  model.add("tokenizer.ggml.model", "bert");
  auto v = load(model);
  EXPECT_EQ(v.status().code(), StatusCode::kUnsupported);
  EXPECT_THAT(v.status().message(), HasSubstr("tokenizer.ggml.model is \"bert\"; supported: \"llama\""));
  EXPECT_THAT(v.status().message(), HasSubstr(path_));

  v = load(GgufWriter());
  EXPECT_EQ(v.status().code(), StatusCode::kInvalidData);
  EXPECT_THAT(v.status().message(), HasSubstr("tokenizer.ggml.model"));

  v = load(bpe_writer([](VocabularyData& data) { data.pre_tokenizer = "chatglm-bpe"; }));
  EXPECT_EQ(v.status().code(), StatusCode::kUnsupported);
  EXPECT_THAT(v.status().message(), HasSubstr("tokenizer.ggml.pre is \"chatglm-bpe\"; supported"));

  v = load(bpe_writer([](VocabularyData& data) { data.merges.emplace_back("q rs"); }));
  EXPECT_EQ(v.status().code(), StatusCode::kInvalidData);
  EXPECT_THAT(v.status().message(), HasSubstr(path_ + ": tokenizer.ggml.merges[1] names \"rs\""));

  GgufWriter bos = bpe_writer();
  bos.add("tokenizer.ggml.bos_token_id", "one");
  EXPECT_THAT(load(bos).status().message(), HasSubstr("tokenizer.ggml.bos_token_id"));

  GgufWriter large = bpe_writer();
  large.add("tokenizer.ggml.eos_token_id", uint32_t{4294967295});
  EXPECT_THAT(load(large).status().message(), HasSubstr("tokenizer.ggml.eos_token_id is 4294967295; allowed are 0 to"));
}

TEST_F(VocabularyGguf, TypesMustFit) {
  VocabularyData data = testing::spm_data({{"a", -1}});
  GgufWriter writer;
  writer.add("tokenizer.ggml.model", "llama");
  writer.add_array("tokenizer.ggml.tokens", data.tokens);
  writer.add_array("tokenizer.ggml.scores", data.scores);
  writer.add_array("tokenizer.ggml.token_type", std::vector<int64_t>(data.types.size(), int64_t{1} << 32));
  EXPECT_THAT(load(writer).status().message(), HasSubstr("tokenizer.ggml.token_type[0]"));
}

}  // namespace
}  // namespace batchwright

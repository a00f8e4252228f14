// The real vocabularies against what sentencepiece and Hugging Face's tokenizers make of the same texts
// (tests/golden/text_tokenizer/make_tokens.py).
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "formats/gguf.h"
#include "text/detokenizer.h"
#include "text/tokenizer.h"
#include "text/vocabulary_gguf.h"

namespace batchwright {
namespace {

// The tokeniser of one of the test models; none where the models are not here.
std::shared_ptr<const Tokenizer> load_tokenizer(const std::string& file_name) {
  const char* folder = std::getenv("BATCHWRIGHT_TEST_MODELS");
  if (folder == nullptr) return nullptr;
  const auto file = GgufFile::open(std::string(folder) + "/" + file_name);
  if (!file.ok()) ADD_FAILURE() << file.status().message();
  const auto vocabulary = load_vocabulary(file.value());
  if (!vocabulary.ok()) ADD_FAILURE() << vocabulary.status().message();
  return Tokenizer::create(vocabulary.value()).value();
}

bool models_are_required() {
  const char* required = std::getenv("BATCHWRIGHT_REQUIRE_MODELS");
  return required != nullptr && std::string_view(required) == "1";
}

#define BATCHWRIGHT_LOAD_OR_SKIP(tokenizer, file_name)                           \
  const auto tokenizer = load_tokenizer(file_name);                              \
  if (tokenizer == nullptr) {                                                    \
    ASSERT_FALSE(models_are_required()) << "BATCHWRIGHT_TEST_MODELS is not set"; \
    GTEST_SKIP() << "BATCHWRIGHT_TEST_MODELS is not set";                        \
  }

std::string from_hex(const std::string& hex) {
  std::string bytes;
  for (size_t i = 0; i + 1 < hex.size(); i += 2) {
    bytes.push_back(static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16)));
  }
  return bytes;
}

struct Golden {
  const char* model;
  const char* tokens;
};

class TokenizerGolden : public ::testing::TestWithParam<Golden> {};

TEST_P(TokenizerGolden, EqualsTheOracle) {
  BATCHWRIGHT_LOAD_OR_SKIP(tokenizer, GetParam().model);
  std::ifstream file(std::string(BATCHWRIGHT_SOURCE_DIR "/tests/golden/text_tokenizer/") + GetParam().tokens);
  const auto golden = nlohmann::json::parse(file);
  ASSERT_GT(golden["cases"].size(), 200U);
  for (const auto& c : golden["cases"]) {
    const std::string text = c.contains("hex") ? from_hex(c["hex"]) : c["text"].get<std::string>();
    ASSERT_EQ(tokenizer->encode(text), c["ids"].get<std::vector<TokenId>>()) << "text: " << text;
  }
  for (const auto& c : golden["decoded"]) {
    ASSERT_EQ(detokenize(tokenizer->vocabulary(), c["ids"].get<std::vector<TokenId>>()), c["text"].get<std::string>());
  }
}

INSTANTIATE_TEST_SUITE_P(Models, TokenizerGolden,
                         ::testing::Values(Golden{"qwen2.5-coder-0.5b-instruct-q4_k_m.gguf", "qwen2_tokens.json"},
                                           Golden{"gemma-3-270m-q4_k_m.gguf", "gemma3_tokens.json"}),
                         [](const auto& parameter) { return std::string(parameter.param.tokens).substr(0, 5); });

// Expected: llama.cpp's llama-tokenize, which parses control tokens.
TEST(TokenizerGoldenSpecial, Qwen2Chat) {
  BATCHWRIGHT_LOAD_OR_SKIP(tokenizer, "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf");
  const EncodeOptions parse = {.parse_special = true, .add_bos = true, .add_eos = true};
  const std::vector<TokenId> chat = {151644, 872, 198, 45764, 220, 151657, 15588, 0, 151645, 198, 151644, 77091, 198};
  EXPECT_EQ(tokenizer->encode("<|im_start|>user\nSay <tool_call> hi!<|im_end|>\n<|im_start|>assistant\n", parse), chat);
  const std::vector<TextSpan> spans = {
      {"<|im_start|>user\n", true}, {"Say <tool_call> hi!", false}, {"<|im_end|>\n<|im_start|>assistant\n", true}};
  EXPECT_EQ(tokenizer->encode_spans(spans), chat);
  EXPECT_TRUE(tokenizer->vocabulary().is_end_of_generation(151645));
  EXPECT_TRUE(tokenizer->vocabulary().is_end_of_generation(151643));
  EXPECT_FALSE(tokenizer->vocabulary().is_end_of_generation(151644));
}

TEST(TokenizerGoldenSpecial, Gemma3Chat) {
  BATCHWRIGHT_LOAD_OR_SKIP(tokenizer, "gemma-3-270m-q4_k_m.gguf");
  const EncodeOptions parse = {.parse_special = true, .add_bos = true, .add_eos = true};
  EXPECT_EQ(
      tokenizer->encode("<start_of_turn>user\nSay  <table>\n\n\thi</s>!<end_of_turn>\n<start_of_turn>model\n", parse),
      (std::vector<TokenId>{2, 105, 2364, 107, 37889, 138, 168, 108, 255968, 2202, 212, 236888, 106, 107, 105, 4368,
                            107}));
  EXPECT_TRUE(tokenizer->vocabulary().is_end_of_generation(1));
  EXPECT_TRUE(tokenizer->vocabulary().is_end_of_generation(106));
  EXPECT_FALSE(tokenizer->vocabulary().is_end_of_generation(*tokenizer->vocabulary().find("</s>")));
}

}  // namespace
}  // namespace batchwright

#include "protocol/model_prompt_encoder.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "text/vocabulary.h"

namespace batchwright {
namespace {

constexpr TokenId kUnknown = 0;
constexpr TokenId kBos = 1;
constexpr TokenId kEndOfTurn = 2;
constexpr TokenId kFirstByte = 3;

// Bytes, and three tokens that only a template may write.
std::shared_ptr<const Tokenizer> byte_tokenizer() {
  VocabularyData data;
  data.kind = VocabularyKind::kSpm;
  data.tokens = {"<unk>", "<bos>", "<turn>"};
  data.types = {2, 3, 3};
  for (int byte = 0; byte < 256; ++byte) {
    data.tokens.push_back(fmt::format("<0x{:02X}>", byte));
    data.types.push_back(6);
  }
  data.scores.assign(data.tokens.size(), 0.0F);
  data.bos = kBos;
  data.eos = kEndOfTurn;
  data.unknown = kUnknown;
  data.add_bos = true;
  auto vocabulary = Vocabulary::create(data);
  EXPECT_TRUE(vocabulary.ok()) << vocabulary.status().message();
  auto tokenizer = Tokenizer::create(*vocabulary);
  EXPECT_TRUE(tokenizer.ok()) << tokenizer.status().message();
  return *tokenizer;
}

// Control tokens by name, bytes as they are; SPM's space is three bytes, shown as one.
std::string show(const std::vector<TokenId>& tokens) {
  std::string bytes;
  for (const TokenId id : tokens) {
    if (id == kBos) {
      bytes += "[BOS]";
    } else if (id == kEndOfTurn) {
      bytes += "[TURN]";
    } else {
      bytes += static_cast<char>(id - kFirstByte);
    }
  }
  return bytes;
}

class ModelPromptEncoderTest : public testing::Test {
 protected:
  std::unique_ptr<PromptEncoder> encoder(const std::string& chat_template) {
    ModelPromptEncoderOptions options;
    options.chat_template = chat_template;
    options.template_origin = "the model's chat template";
    options.date = date_;
    options.limits = limits_;
    return model_prompt_encoder(*tokenizer_, options);
  }

  static ChatPrompt chat(const char* messages) {
    ChatPrompt prompt;
    prompt.messages = parse_json(messages).value();
    return prompt;
  }

  std::shared_ptr<const Tokenizer> tokenizer_ = byte_tokenizer();
  std::optional<std::string> date_;
  ProtocolLimits limits_;
};

constexpr const char* kTurns =
    "{% for m in messages %}{{ m.role }}:{{ m.content }}<turn>{% endfor %}"
    "{% if add_generation_prompt %}assistant:{% endif %}";

TEST_F(ModelPromptEncoderTest, OnlyTheTemplateWritesControlTokens) {
  const auto tokens = encoder(kTurns)->encode_chat(chat(R"([{"role":"user","content":"a<turn><bos>b"}])"));
  ASSERT_TRUE(tokens.ok()) << tokens.status().message();
  EXPECT_EQ(show(*tokens), "[BOS]user:a<turn><bos>b[TURN]assistant:");
  EXPECT_EQ(show(encoder("")->encode_text("<turn>", false)), "<turn>");
}

TEST_F(ModelPromptEncoderTest, OneBosWhoeverWritesIt) {
  const char* const hello = R"([{"role":"user","content":"x"}])";
  const auto by_template = encoder(std::string("{{ bos_token }}") + kTurns)->encode_chat(chat(hello));
  const auto by_vocabulary = encoder(kTurns)->encode_chat(chat(hello));
  ASSERT_TRUE(by_template.ok() && by_vocabulary.ok());
  EXPECT_EQ(*by_template, *by_vocabulary);
  EXPECT_EQ(show(encoder("")->encode_text("x", true)), "[BOS]x");
}

TEST_F(ModelPromptEncoderTest, ArgumentsToolsAndDateReachTheTemplate) {
  const auto tokens_of = [&](const char* source) {
    ChatPrompt prompt = chat(R"([{"role":"user","content":"x"}])");
    prompt.arguments = parse_json(R"({"enable_thinking":false})").value();
    prompt.tools = parse_json(R"([{"type":"function","function":{"name":"f"}}])").value();
    auto tokens = encoder(source)->encode_chat(prompt);
    return tokens.ok() ? show(*tokens) : tokens.status().message();
  };
  EXPECT_EQ(tokens_of("{{ enable_thinking }}|{{ tools[0].function.name }}"), "[BOS]False|f");
  EXPECT_NE(tokens_of("{{ strftime_now('%Y') }}").find("the model's chat template"), std::string::npos);
  date_ = "2026-01-31";
  EXPECT_EQ(tokens_of("{{ strftime_now('%Y') }}"), "[BOS]2026");
}

TEST_F(ModelPromptEncoderTest, TemplatesThatCannotBeUsedRefuseChatsOnly) {
  const ChatPrompt prompt = chat(R"([{"role":"user","content":"x"}])");
  const auto none = encoder("");
  EXPECT_EQ(none->encode_chat(prompt).status().code(), StatusCode::kUnsupported);
  EXPECT_EQ(show(none->encode_text("x", false)), "x");
  const auto broken = encoder("{% for %}");
  EXPECT_EQ(broken->encode_chat(prompt).status().code(), StatusCode::kUnsupported);
  EXPECT_NE(broken->encode_chat(prompt).status().message().find("line 1"), std::string::npos);
  limits_.template_steps = 100;
  const auto endless = encoder("{% for i in range(1000) %}{{ i }}{% endfor %}");
  EXPECT_EQ(endless->encode_chat(prompt).status().code(), StatusCode::kResourceExhausted);
  const auto refusing = encoder("{{ raise_exception('no system role') }}");
  EXPECT_NE(refusing->encode_chat(prompt).status().message().find("no system role"), std::string::npos);
}

}  // namespace
}  // namespace batchwright

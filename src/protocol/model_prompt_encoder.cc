#include "protocol/model_prompt_encoder.h"

#include <fmt/format.h>

#include <utility>

#include "base/status_macros.h"
#include "text/chat_template.h"
#include "text/detokenizer.h"
#include "text/vocabulary.h"

namespace batchwright {
namespace {

TemplateLimits template_limits(const ProtocolLimits& limits) {
  TemplateLimits out;
  out.max_steps = limits.template_steps;
  out.max_call_depth = static_cast<int>(limits.template_call_depth);
  out.max_output_bytes = static_cast<size_t>(limits.template_output_bytes);
  out.max_work_bytes = static_cast<size_t>(limits.template_work_bytes);
  return out;
}

class ModelPromptEncoder : public PromptEncoder {
 public:
  ModelPromptEncoder(const Tokenizer& tokenizer, ModelPromptEncoderOptions options)
      : tokenizer_(tokenizer),
        options_(std::move(options)),
        limits_(template_limits(options_.limits)),
        template_(parse_template()) {}

  int vocabulary_size() const override { return vocabulary().size(); }

  std::vector<TokenId> encode_text(std::string_view text, bool add_bos) const override {
    return tokenizer_.encode(text, {.parse_special = false, .add_bos = add_bos, .add_eos = false});
  }

  std::vector<TokenId> encode_answer(std::string_view text) const override {
    return tokenizer_.encode(text, {.parse_special = false, .add_space_prefix = false});
  }

  Result<std::vector<TokenId>> encode_chat(const ChatPrompt& prompt) const override {
    if (!template_.ok()) return template_.status();
    ChatInputs inputs;
    inputs.messages = prompt.messages;
    inputs.tools = prompt.tools;
    inputs.extra = prompt.arguments;
    inputs.add_generation_prompt = prompt.add_generation_prompt;
    inputs.bos_token = text_of(vocabulary().bos());
    inputs.eos_token = text_of(vocabulary().eos());
    inputs.date = options_.date;
    auto spans = template_->render(inputs, limits_);
    if (!spans.ok()) return spans.status().with_context(options_.template_origin);
    std::vector<TextSpan> texts;
    for (const TemplateSpan& span : *spans) texts.push_back({span.text, span.from_template});
    return tokenizer_.encode_spans(texts, {.parse_special = false, .add_bos = true, .add_eos = false});
  }

  std::string_view token_bytes(TokenId id) const override { return vocabulary().token_bytes(id); }
  bool is_text(TokenId id) const override { return !vocabulary().is_special(id); }
  std::string decode(std::span<const TokenId> ids) const override { return detokenize(vocabulary(), ids); }

 private:
  const Vocabulary& vocabulary() const { return tokenizer_.vocabulary(); }

  std::string text_of(std::optional<TokenId> id) const {
    return id ? std::string(vocabulary().token_text(*id)) : std::string();
  }

  Result<ChatTemplate> parse_template() const {
    if (options_.chat_template.empty()) {
      return unsupported("the model has no chat template; --chat-template FILE gives one");
    }
    auto parsed = ChatTemplate::parse(options_.chat_template, limits_);
    if (!parsed.ok()) {
      return unsupported(fmt::format("{} cannot be used: {}", options_.template_origin, parsed.status().message()));
    }
    return parsed;
  }

  const Tokenizer& tokenizer_;
  ModelPromptEncoderOptions options_;
  TemplateLimits limits_;
  Result<ChatTemplate> template_;
};

}  // namespace

std::unique_ptr<PromptEncoder> model_prompt_encoder(const Tokenizer& tokenizer, ModelPromptEncoderOptions options) {
  return std::make_unique<ModelPromptEncoder>(tokenizer, std::move(options));
}

}  // namespace batchwright

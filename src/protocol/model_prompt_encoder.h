#pragma once

#include <memory>
#include <optional>
#include <string>

#include "protocol/limits.h"
#include "protocol/prompt_encoder.h"
#include "text/tokenizer.h"

namespace batchwright {

struct ModelPromptEncoderOptions {
  std::string chat_template;        // its source; empty: there is none
  std::string template_origin;      // for messages: "the model's chat template"
  std::optional<std::string> date;  // for templates that ask for it (text/chat_template.h)
  ProtocolLimits limits;
};

// A template that does not parse refuses chats, each with the parser's message, and nothing else. The tokenizer must
// outlive the encoder.
std::unique_ptr<PromptEncoder> model_prompt_encoder(const Tokenizer& tokenizer, ModelPromptEncoderOptions options);

}  // namespace batchwright

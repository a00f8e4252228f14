#pragma once

#include <memory>
#include <string>

#include "batchwright/engine.h"
#include "protocol/limits.h"
#include "protocol/prompt_encoder.h"

namespace batchwright {

// What a job says about its prompts.
struct JobPrompts {
  const ProtocolLimits& limits;
  std::string date;             // empty: none
  std::string chat_template;    // empty: the model's
  std::string template_origin;  // names that chat template in messages
};

// The tokenizer must outlive the encoder.
std::unique_ptr<PromptEncoder> job_prompt_encoder(const ModelInfo& model, const Tokenizer& tokenizer,
                                                  const JobPrompts& prompts);

}  // namespace batchwright

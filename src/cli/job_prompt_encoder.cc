#include "cli/job_prompt_encoder.h"

#include <utility>

#include "protocol/model_prompt_encoder.h"

namespace batchwright {

std::unique_ptr<PromptEncoder> job_prompt_encoder(const ModelInfo& model, const Tokenizer& tokenizer,
                                                  const JobPrompts& prompts) {
  ModelPromptEncoderOptions options;
  options.limits = prompts.limits;
  if (!prompts.date.empty()) options.date = prompts.date;
  const bool is_given = !prompts.chat_template.empty();
  options.chat_template = is_given ? prompts.chat_template : model.chat_template;
  options.template_origin = is_given ? prompts.template_origin : "the model's chat template";
  return model_prompt_encoder(tokenizer, std::move(options));
}

}  // namespace batchwright

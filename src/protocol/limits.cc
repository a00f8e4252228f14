#include "protocol/limits.h"

#include <array>

namespace batchwright {

std::span<const LimitEntry> limit_table() {
  using L = ProtocolLimits;
  constexpr int64_t kGiB = int64_t{1} << 30;
  static constexpr auto kTable = std::to_array<LimitEntry>({
      {"--limit-line-bytes", "bytes of one line of the job", &L::line_bytes, 1024, kGiB},
      {"--limit-json-depth", "arrays and objects inside each other", &L::json_depth, 4, 1000},
      {"--limit-custom-id-bytes", "bytes of custom_id", &L::custom_id_bytes, 1, 65536},
      {"--limit-messages", "messages of a chat", &L::messages, 1, 1'000'000},
      {"--limit-tools", "entries of tools", &L::tools, 0, 100'000},
      {"--limit-prompt-bytes", "bytes of the prompt, of all messages together, and of all tools", &L::prompt_bytes, 1,
       kGiB},
      {"--limit-n", "choices of a row (n)", &L::n, 1, 65536},
      {"--limit-logit-bias", "entries of logit_bias", &L::logit_bias, 0, 1'000'000},
      {"--limit-stop-strings", "entries of stop", &L::stop_strings, 0, 10'000},
      {"--limit-stop-bytes", "bytes of one entry of stop", &L::stop_bytes, 1, 65536},
      {"--limit-stop-token-ids", "entries of stop_token_ids", &L::stop_token_ids, 0, 1'000'000},
      {"--limit-choices", "entries of choice", &L::choices, 1, 1'000'000},
      {"--limit-choice-bytes", "bytes of one entry of choice", &L::choice_bytes, 1, 65536},
      {"--limit-top-logprobs", "likeliest tokens shown beside each token (top_logprobs, logprobs)", &L::top_logprobs, 0,
       1000},
      {"--limit-template-steps", "statements and expressions of one rendering of the chat template", &L::template_steps,
       1, kGiB},
      {"--limit-template-depth", "macro calls inside each other in the chat template", &L::template_call_depth, 1, 100},
      {"--limit-template-output", "bytes that the chat template renders", &L::template_output_bytes, 1, kGiB},
      {"--limit-template-work", "bytes of strings that one rendering makes on its way", &L::template_work_bytes, 1,
       8 * kGiB},
  });
  return kTable;
}

}  // namespace batchwright

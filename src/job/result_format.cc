#include "job/result_format.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "job/result_table.h"

namespace batchwright {

ResultFormat result_format(const JobParameters& parameters, const RowFormat& rows, const ModelInfo& model,
                           int64_t created) {
  ResultFormat format;
  format.is_table = parameters.table_output;
  format.with_probability = parameters.defaults.choice_logprobs;
  format.carried = rows.carried();
  format.context.created = parameters.stamp_created ? created : 0;
  format.context.system_fingerprint = fmt::format("{}-n{}", model.hash, kNumericsVersion);
  return format;
}

std::string shown_model_name(const ModelInfo& model) { return model.name.empty() ? model.architecture : model.name; }

std::string result_header(const JobParameters& parameters, const RowFormat& rows) {
  return parameters.table_output ? table_header(rows.carried(), parameters.defaults.choice_logprobs) : std::string();
}

RowResult make_result(const FinishedRow& row, const PromptEncoder& encoder, const ResultFormat& format) {
  const RowName& name = row.name;
  const CarriedColumns columns{format.carried, name.carried};
  RowResult result;
  result.row = name.row;
  const auto* const completion = std::get_if<Completion>(&row.outcome);
  if (completion != nullptr) {
    result.prompt_tokens =
        int64_t{completion->prompt_tokens} * std::max<int64_t>(1, static_cast<int64_t>(completion->choices.size()));
    result.prompt_tokens_computed = completion->prompt_tokens_computed;
    for (const Choice& choice : completion->choices) result.generated_tokens += choice.generated_tokens;
  }
  if (completion != nullptr && completion->status.ok()) {
    const std::string id = name.custom_id.value_or("");
    result.line = format.is_table
                      ? table_record(id, name.carried, row.shape, *completion, format.with_probability)
                      : result_line(id, name.hash, row.shape, *completion, encoder, format.context, columns);
  } else {
    const auto* const failed = std::get_if<RequestError>(&row.outcome);
    const RequestError error = failed != nullptr ? *failed : request_error(completion->status);
    result.kind = ResultKind::kError;
    result.line = error_line(name.custom_id, name.hash, name.line, error, columns);
  }
  return result;
}

}  // namespace batchwright

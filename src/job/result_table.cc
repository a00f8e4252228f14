#include "job/result_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdint>

#include "base/check.h"
#include "base/json_writer.h"
#include "job/csv_record.h"
#include "protocol/body_reader.h"
#include "protocol/response.h"

namespace batchwright {
namespace {

constexpr const char* kIdColumn = "custom_id";
constexpr std::array kResultColumns = {"answer", "finish_reason", "prompt_tokens", "completion_tokens", "probability"};
constexpr size_t kProbabilityColumns = 1;  // the last

// Of the only choice its text; of several a JSON array.
template <class TextOf>
std::string of_choices(const Completion& completion, TextOf text_of) {
  if (completion.choices.size() == 1) return std::string(text_of(completion.choices[0]));
  std::string array;
  JsonWriter out(array);
  out.begin_array();
  for (const Choice& choice : completion.choices) out.value(std::string_view(text_of(choice)));
  out.end_array();
  return array;
}

// Of each choice's answer among those of the list; empty where the row had none.
std::string probabilities(const Completion& completion) {
  if (completion.answer_logprobs.empty()) return "";
  const auto probability_of = [&](const Choice& choice) {
    const auto found = std::find_if(completion.answer_logprobs.begin(), completion.answer_logprobs.end(),
                                    [&](const AnswerLogprob& answer) { return answer.text == choice.text; });
    BATCHWRIGHT_CHECK(found != completion.answer_logprobs.end());
    return found->probability;
  };
  if (completion.choices.size() == 1) return format_shortest(probability_of(completion.choices[0]));
  std::string array;
  JsonWriter out(array);
  out.begin_array();
  for (const Choice& choice : completion.choices) out.value(probability_of(choice));
  out.end_array();
  return array;
}

}  // namespace

Status check_carried_names(std::span<const std::string> carried) {
  for (const std::string& name : carried) {
    if (name != kIdColumn && std::find(kResultColumns.begin(), kResultColumns.end(), name) == kResultColumns.end()) {
      continue;
    }
    return invalid_argument(
        fmt::format("--carry: a table of results has a column {} of its own; rename the input's, or "
                    "let the output's name end in .jsonl",
                    shown(name)));
  }
  return {};
}

std::string table_header(std::span<const std::string> carried, bool with_probability) {
  std::string header = kIdColumn;
  const auto add = [&header](std::string_view name) {
    header += ',';
    append_csv_value(header, name);
  };
  for (const std::string& name : carried) add(name);
  const size_t own = kResultColumns.size() - (with_probability ? 0 : kProbabilityColumns);
  for (size_t i = 0; i < own; ++i) add(kResultColumns[i]);
  header += '\n';
  return header;
}

std::string table_record(std::string_view custom_id, std::span<const std::string> carried, const ResponseShape& shape,
                         const Completion& completion, bool with_probability) {
  BATCHWRIGHT_CHECK(completion.status.ok());
  std::string record;
  append_csv_value(record, custom_id);
  const auto add = [&record](std::string_view value) {
    record += ',';
    append_csv_value(record, value);
  };
  for (const std::string& value : carried) add(value);
  add(of_choices(completion,
                 [&](const Choice& choice) { return shape.echo ? shape.echo_text + choice.text : choice.text; }));
  add(of_choices(completion, [](const Choice& choice) { return finish_reason_name(choice.finish_reason); }));
  int64_t generated = 0;
  for (const Choice& choice : completion.choices) generated += choice.generated_tokens;
  record += fmt::format(",{},{}", completion.prompt_tokens, generated);
  if (with_probability) add(probabilities(completion));
  record += '\n';
  return record;
}

}  // namespace batchwright

#include "text/chat_template.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/utf8.h"
#include "text/jinja/interpreter.h"
#include "text/jinja/operations.h"
#include "text/jinja/parser.h"

namespace batchwright {
namespace {

using jinja::Value;

// Roles name parts of the protocol, not text of the user: templates build control tokens from them ('<|' + role +
// '|>').
constexpr std::string_view kRoles[] = {"system", "developer", "user", "assistant", "model", "tool", "function"};

Value convert_messages(jinja::Runtime& runtime, const JsonValue& messages) {
  const Value list = jinja::from_json(runtime, messages);
  for (const Value& message : list.list().items) {
    if (!message.is(jinja::Kind::kDict)) continue;
    Value* const role = jinja::dict_find(message.dict(), "role");
    if (role == nullptr || !role->is_string()) continue;
    if (std::find(std::begin(kRoles), std::end(kRoles), role->bytes()) != std::end(kRoles)) {
      *role = runtime.make_text(role->bytes(), true);
    }
  }
  return list;
}

Status check_inputs(const ChatInputs& inputs) {
  if (!inputs.messages.is_array()) {
    return invalid_argument(fmt::format("messages must be an array, not {}", inputs.messages.type_name()));
  }
  if (!inputs.tools.is_array() && !inputs.tools.is_null()) {
    return invalid_argument(fmt::format("tools must be an array, not {}", inputs.tools.type_name()));
  }
  if (!inputs.extra.is_object() && !inputs.extra.is_null()) {
    return invalid_argument(fmt::format("template variables must be an object, not {}", inputs.extra.type_name()));
  }
  if (!is_valid_utf8(inputs.bos_token) || !is_valid_utf8(inputs.eos_token)) {
    return invalid_data("bos_token or eos_token is not valid UTF-8");
  }
  return {};
}

std::vector<TemplateSpan> spans_of(const jinja::TextBuilder& text) {
  std::vector<TemplateSpan> spans;
  size_t begin = 0;
  for (const jinja::OriginRun& run : text.runs()) {
    spans.push_back({std::string(text.bytes().substr(begin, run.end - begin)), run.from_template});
    begin = run.end;
  }
  return spans;
}

std::vector<TemplateSpan> render_or_throw(const jinja::Program& program, const ChatInputs& inputs,
                                          const TemplateLimits& limits) {
  jinja::Runtime runtime(limits, inputs);
  std::vector<std::pair<std::string_view, Value>> variables;
  if (inputs.extra.is_object()) {
    for (const auto& [name, value] : inputs.extra.as_object()) {
      variables.emplace_back(name, jinja::from_json(runtime, value));
    }
  }
  const auto add = [&](std::string_view name, const Value& value) {
    if (inputs.extra.find(name) == nullptr) variables.emplace_back(name, value);
  };
  add("messages", convert_messages(runtime, inputs.messages));
  add("tools", jinja::from_json(runtime, inputs.tools));
  add("documents", Value());
  add("add_generation_prompt", Value(inputs.add_generation_prompt));
  add("bos_token", runtime.make_text(inputs.bos_token, true));
  add("eos_token", runtime.make_text(inputs.eos_token, true));
  return spans_of(jinja::run_program(runtime, program, variables));
}

}  // namespace

Result<ChatTemplate> ChatTemplate::parse(std::string source, const TemplateLimits& limits) {
  try {
    return ChatTemplate(jinja::parse_program(std::move(source), limits));
  } catch (const jinja::TemplateError& error) {
    return error.status;
  }
}

Result<std::vector<TemplateSpan>> ChatTemplate::render(const ChatInputs& inputs, const TemplateLimits& limits) const {
  if (Status status = check_inputs(inputs); !status.ok()) return status.with_context("chat template");
  try {
    return render_or_throw(*program_, inputs, limits);
  } catch (const jinja::TemplateError& error) {
    return error.status;
  }
}

const std::string& ChatTemplate::source() const { return program_->source; }

std::string joined_text(const std::vector<TemplateSpan>& spans) {
  std::string text;
  for (const TemplateSpan& span : spans) text += span.text;
  return text;
}

}  // namespace batchwright

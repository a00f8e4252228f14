// Chat templates: the Jinja2 that model files carry, interpreted with limits and without any access to the host.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "batchwright/status.h"

namespace batchwright {

namespace jinja {
struct Program;
}  // namespace jinja

// What a template from a stranger may use. A refusal is kResourceExhausted and names the limit and its value.
struct TemplateLimits {
  // Of the source.
  size_t max_source_bytes = size_t{1} << 20;
  // Of blocks and expressions inside each other, in the source. Never more than 200, whatever is set.
  int max_nesting = 100;
  // Statements and expressions evaluated, items visited and comparisons made by filters, in one rendering.
  int64_t max_steps = 2'000'000;
  // Macro calls inside each other. Never more than 100, whatever is set.
  int max_call_depth = 50;
  // Of the rendered text.
  size_t max_output_bytes = size_t{16} << 20;
  // Of all strings and list items made during one rendering, those thrown away included.
  size_t max_work_bytes = size_t{256} << 20;
  // Items in a list, also of range().
  size_t max_list_items = 1'000'000;
};

// A piece of rendered text with one origin.
struct TemplateSpan {
  std::string text;
  // True: characters that the template itself, bos_token or eos_token spelled out; only these may become control
  // tokens. False: characters that came from messages, tools or other inputs, whatever was done to them on the way.
  bool from_template = false;

  friend bool operator==(const TemplateSpan& a, const TemplateSpan& b) {
    return a.from_template == b.from_template && a.text == b.text;
  }
};

struct ChatInputs {
  // An array of message objects.
  JsonValue messages = JsonValue(JsonValue::Array{});
  // An array of tools, or null: the template sees none, as transformers do.
  JsonValue tools;
  bool add_generation_prompt = false;
  std::string bos_token;
  std::string eos_token;
  // An object of further variables (such as enable_thinking), or null. They hide the variables above.
  JsonValue extra;
  // The date "YYYY-MM-DD", with or without "THH:MM:SS", that strftime_now sees. Without it a template that asks is
  // refused, so that outputs do not depend on the day.
  std::optional<std::string> date;
};

// A parsed template. Immutable; one object may render in many threads at once. Copies share. Where memory runs out
// std::bad_alloc passes through: neither the template nor a row is to blame.
//
// Jinja2 as transformers set it up (trim_blocks, lstrip_blocks, break and continue, tojson as plain json.dumps,
// raise_exception, strftime_now, the generation block): if, for, set, macro, call, filter, namespace, raw; the
// operators; the filters, tests and methods of str, list and dict that templates use. Without import, include, extends,
// autoescape and anything of Python's object model. Integers are int64; what does not fit is an error. Case mapping
// and character classes follow Unicode's simple properties; where one character becomes several (ß), it stays as is.
// Further differences from jinja2: escape and safe give plain strings, not Markup; a number's, list's or dict's printed
// form counts as written by the user; an inner block sees an input of a name that the template sets only later (jinja2
// sees nothing).
class ChatTemplate {
 public:
  // Errors: kInvalidData for bad syntax ("line 12: ..."), kUnsupported for tags that are not handled,
  // kResourceExhausted. Stack use is bounded by limits.max_nesting, whatever the source.
  static Result<ChatTemplate> parse(std::string source, const TemplateLimits& limits = {});

  // The text in order, neighbours of equal origin joined, no empty span. Errors: kInvalidArgument where inputs have the
  // wrong shape or the template itself refuses them (raise_exception, an operation on an undefined value, ...),
  // kInvalidData where an input is not valid UTF-8, kResourceExhausted. Messages carry the template's line number.
  Result<std::vector<TemplateSpan>> render(const ChatInputs& inputs, const TemplateLimits& limits = {}) const;

  const std::string& source() const;

 private:
  explicit ChatTemplate(std::shared_ptr<const jinja::Program> program) : program_(std::move(program)) {}

  std::shared_ptr<const jinja::Program> program_;
};

// The spans' text without their origins.
std::string joined_text(const std::vector<TemplateSpan>& spans);

}  // namespace batchwright

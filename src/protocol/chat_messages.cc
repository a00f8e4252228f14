#include "protocol/chat_messages.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <utility>

#include "base/json_writer.h"

namespace batchwright {
namespace {

constexpr auto kRoles = std::to_array<std::string_view>({"system", "developer", "user", "assistant", "tool"});
constexpr auto kTemplateArguments =
    std::to_array<std::string_view>({"enable_thinking", "thinking", "reasoning_effort"});

// An element's error, moved to the body's reader.
bool take_error(BodyReader& body, BodyReader& element) {
  if (!element.failed()) return false;
  body.fail(*element.take_error());
  return true;
}

class MessageReader {
 public:
  MessageReader(BodyReader& body, const JsonValue::Object& object, std::string path, int64_t& bytes_left,
                int64_t bytes_limit)
      : body_(body), message_(object, std::move(path)), bytes_left_(bytes_left), bytes_limit_(bytes_limit) {}

  // Null after an error.
  JsonValue read(std::vector<std::string>& ignored) {
    JsonValue::Object out;
    const std::string* const role = message_.string("role");
    if (role == nullptr) {
      if (!message_.failed()) message_.refuse("role", "is missing; each message needs one", "missing");
    } else if (std::find(kRoles.begin(), kRoles.end(), *role) == kRoles.end()) {
      message_.out_of_range("role", *role, fmt::format("one of {}", fmt::join(kRoles, ", ")));
    } else {
      out.push_back({"role", *role == "developer" ? std::string("system") : *role});
      read_content(*role, out);
      for (const char* name : {"name", "tool_call_id", "reasoning_content"}) {
        if (const std::string* const text = message_.string(name)) {
          take_bytes(name, text->size());
          out.push_back({name, *text});
        }
      }
      for (const char* name : {"function_call", "audio"}) {
        if (message_.any(name) != nullptr) message_.refuse(name, "is not supported", "unsupported_value");
      }
      message_.skip("refusal");
      for (std::string& name : message_.unread()) ignored.push_back("messages[]." + std::move(name));
    }
    if (take_error(body_, message_)) return {};
    return JsonValue(std::move(out));
  }

 private:
  void take_bytes(std::string_view name, size_t count) {
    bytes_left_ -= static_cast<int64_t>(count);
    if (bytes_left_ < 0) {
      message_.refuse(name,
                      fmt::format("brings the messages together beyond the limit of {} bytes for a prompt "
                                  "(--limit-prompt-bytes)",
                                  bytes_limit_),
                      "limit_exceeded");
    }
  }

  void read_content(const std::string& role, JsonValue::Object& out) {
    JsonValue calls = read_tool_calls(role);
    const JsonValue* const content = message_.any("content");
    if (content == nullptr) {
      if (role == "assistant" && calls.is_array()) {
        // Templates of models that call tools look at the content of every message.
        out.push_back({"content", JsonValue()});
      } else {
        message_.refuse("content", "is missing; a string or an array of text parts is needed", "missing");
      }
    } else if (content->is_string()) {
      take_bytes("content", content->as_string().size());
      out.push_back({"content", *content});
    } else if (content->is_array()) {
      out.push_back({"content", read_parts(content->as_array())});
    } else {
      message_.wrong_type("content", *content, "a string or an array of text parts");
    }
    if (calls.is_array()) out.push_back({"tool_calls", std::move(calls)});
  }

  std::string read_parts(const JsonValue::Array& parts) {
    std::string text;
    for (size_t i = 0; i < parts.size() && !message_.failed(); ++i) {
      const std::string name = fmt::format("content[{}]", i);
      if (!parts[i].is_object()) {
        message_.wrong_type(name, parts[i], "an object with type and text");
        break;
      }
      BodyReader part(parts[i].as_object(), message_.path_of(name));
      const std::string* const type = part.string("type");
      if (type == nullptr) {
        if (!part.failed()) part.refuse("type", "is missing", "missing");
      } else if (*type != "text") {
        part.refuse("type", fmt::format("is {}; only \"text\" is supported", shown(*type)), "unsupported_value");
      } else if (const std::string* const piece = part.string("text")) {
        take_bytes(name, piece->size());
        if (i > 0) text += '\n';
        text += *piece;
      } else if (!part.failed()) {
        part.refuse("text", "is missing", "missing");
      }
      take_error(message_, part);
    }
    return text;
  }

  // Null where there are none.
  JsonValue read_tool_calls(const std::string& role) {
    const JsonValue::Array* const calls = message_.array("tool_calls");
    if (calls == nullptr || calls->empty()) return {};
    if (role != "assistant") {
      message_.refuse("tool_calls", fmt::format("stands in a message of the role {}; only assistant may have it", role),
                      "invalid_value");
      return {};
    }
    JsonValue::Array out;
    for (size_t i = 0; i < calls->size() && !message_.failed(); ++i) {
      const std::string name = fmt::format("tool_calls[{}]", i);
      const JsonValue* const function = (*calls)[i].find("function");
      const JsonValue* const function_name = function == nullptr ? nullptr : function->find("name");
      if (function_name == nullptr || !function_name->is_string()) {
        message_.wrong_type(name, (*calls)[i], R"(an object like {"function": {"name": "...", "arguments": "{}"}})");
        break;
      }
      JsonValue call = (*calls)[i];
      take_bytes(name, to_json(call).size());
      set_arguments(name, *call.find("function"));
      out.push_back(std::move(call));
    }
    return JsonValue(std::move(out));
  }

  void set_arguments(const std::string& name, JsonValue& function) {
    JsonValue* const arguments = function.find("arguments");
    if (arguments == nullptr || arguments->is_null()) {
      function.set("arguments", JsonValue(JsonValue::Object{}));
      return;
    }
    if (arguments->is_object()) return;
    const std::string field = name + ".function.arguments";
    if (!arguments->is_string()) {
      message_.wrong_type(field, *arguments, "a string of JSON, or an object");
      return;
    }
    auto parsed = parse_json(arguments->as_string());
    if (!parsed.ok() || !parsed->is_object()) {
      message_.out_of_range(field, *arguments, "the JSON of an object");
      return;
    }
    *arguments = std::move(parsed).value();
  }

  BodyReader& body_;
  BodyReader message_;
  int64_t& bytes_left_;
  int64_t bytes_limit_;
};

}  // namespace

JsonValue read_messages(BodyReader& body, const ProtocolLimits& limits, std::vector<std::string>& ignored) {
  const JsonValue::Array* const messages = body.array("messages");
  if (messages == nullptr) {
    if (!body.failed()) body.refuse("messages", "is missing; a chat needs at least one message", "missing");
    return {};
  }
  if (messages->empty()) body.refuse("messages", "is empty; a chat needs at least one message", "out_of_range");
  if (static_cast<int64_t>(messages->size()) > limits.messages) {
    body.refuse(
        "messages",
        fmt::format("is an array of {}; at most {} are allowed (--limit-messages)", messages->size(), limits.messages),
        "limit_exceeded");
  }
  JsonValue::Array out;
  int64_t bytes_left = limits.prompt_bytes;
  for (size_t i = 0; i < messages->size() && !body.failed(); ++i) {
    const std::string name = fmt::format("messages[{}]", i);
    const JsonValue& message = (*messages)[i];
    if (!message.is_object()) {
      body.wrong_type(name, message, "an object with role and content");
      break;
    }
    out.push_back(MessageReader(body, message.as_object(), name, bytes_left, limits.prompt_bytes).read(ignored));
  }
  if (body.failed()) return {};
  return JsonValue(std::move(out));
}

JsonValue read_tools(BodyReader& body, const ProtocolLimits& limits) {
  bool wanted = true;
  if (const JsonValue* const choice = body.any("tool_choice")) {
    if (choice->is_string() && choice->as_string() == "none") {
      wanted = false;
    } else if (!choice->is_string() || choice->as_string() != "auto") {
      body.refuse("tool_choice", "is " + shown(*choice) + "; only \"auto\" and \"none\" are supported",
                  "unsupported_value");
    }
  }
  const JsonValue::Array* const tools = body.array("tools");
  if (tools == nullptr || tools->empty() || body.failed()) return {};
  if (static_cast<int64_t>(tools->size()) > limits.tools) {
    body.refuse("tools",
                fmt::format("is an array of {}; at most {} are allowed (--limit-tools)", tools->size(), limits.tools),
                "limit_exceeded");
    return {};
  }
  int64_t bytes = 0;
  for (size_t i = 0; i < tools->size(); ++i) {
    const JsonValue& tool = (*tools)[i];
    const JsonValue* const type = tool.find("type");
    const JsonValue* const function = tool.find("function");
    const JsonValue* const name = function == nullptr ? nullptr : function->find("name");
    if (type == nullptr || *type != JsonValue("function") || name == nullptr || !name->is_string()) {
      body.wrong_type(fmt::format("tools[{}]", i), tool,
                      R"(an object like {"type": "function", "function": {"name": "..."}})");
      return {};
    }
    bytes += static_cast<int64_t>(to_json(tool).size());
  }
  if (bytes > limits.prompt_bytes) {
    body.refuse(
        "tools",
        fmt::format("is {} bytes long; at most {} are allowed (--limit-prompt-bytes)", bytes, limits.prompt_bytes),
        "limit_exceeded");
  }
  if (!wanted) return {};
  return JsonValue(*tools);
}

JsonValue read_template_arguments(BodyReader& body) {
  const JsonValue::Object* const arguments = body.object("chat_template_kwargs");
  if (arguments == nullptr) return {};
  for (const JsonValue::Member& argument : *arguments) {
    if (std::find(kTemplateArguments.begin(), kTemplateArguments.end(), argument.key) == kTemplateArguments.end()) {
      body.refuse(
          "chat_template_kwargs",
          fmt::format("has the name {}; allowed are {}", shown(argument.key), fmt::join(kTemplateArguments, ", ")),
          "unsupported_value");
    } else if (argument.value.is_array() || argument.value.is_object()) {
      body.wrong_type("chat_template_kwargs." + argument.key, argument.value, "a plain value");
    }
  }
  return JsonValue(*arguments);
}

}  // namespace batchwright

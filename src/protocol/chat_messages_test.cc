#include "protocol/chat_messages.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/json_writer.h"

namespace batchwright {
namespace {

// The messages as JSON, or the error's parameter after "!".
std::string read(const std::string& messages, std::vector<std::string>* ignored = nullptr) {
  const auto body = parse_json("{\"messages\":" + messages + "}");
  EXPECT_TRUE(body.ok()) << body.status().message();
  BodyReader reader(body->as_object());
  std::vector<std::string> names;
  const JsonValue read = read_messages(reader, {}, names);
  if (ignored != nullptr) *ignored = names;
  if (const auto error = reader.take_error()) return "!" + error->param;
  return to_json(read);
}

TEST(ChatMessages, StringsAndParts) {
  EXPECT_EQ(read(R"([{"role":"user","content":"hi"}])"), R"([{"role":"user","content":"hi"}])");
  EXPECT_EQ(read(R"([{"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]}])"),
            R"([{"role":"user","content":"a\nb"}])");
  EXPECT_EQ(read(R"([{"role":"developer","content":"x"}])"), R"([{"role":"system","content":"x"}])");
}

TEST(ChatMessages, ToolCalls) {
  EXPECT_EQ(read(R"([{"role":"assistant","content":null,"tool_calls":[{"id":"1","type":"function",)"
                 R"("function":{"name":"f","arguments":"{\"a\": 1}"}}]},)"
                 R"({"role":"tool","tool_call_id":"1","content":"2"}])"),
            R"([{"role":"assistant","content":null,"tool_calls":[{"id":"1","type":"function",)"
            R"("function":{"name":"f","arguments":{"a":1}}}]},{"role":"tool","content":"2","tool_call_id":"1"}])");
  const auto call = [](const std::string& function) {
    return read(R"([{"role":"assistant","tool_calls":[{"function":)" + function + "}]}]");
  };
  EXPECT_EQ(call(R"({"name":"f","arguments":"no json"})"), "!messages[0].tool_calls[0].function.arguments");
  EXPECT_EQ(call(R"({"name":"f","arguments":"[1]"})"), "!messages[0].tool_calls[0].function.arguments");
  EXPECT_EQ(call(R"({"name":"f","arguments":7})"), "!messages[0].tool_calls[0].function.arguments");
  EXPECT_EQ(call(R"({"name":1})"), "!messages[0].tool_calls[0]");
  EXPECT_EQ(call("[]"), "!messages[0].tool_calls[0]");
  EXPECT_EQ(read(R"([{"role":"user","content":"a","tool_calls":[{"function":{"name":"f"}}]}])"),
            "!messages[0].tool_calls");
}

TEST(ChatMessages, WhatIsWrongIsNamed) {
  const std::vector<std::pair<const char*, const char*>> cases = {
      {"5", "!messages"},
      {"[]", "!messages"},
      {"{}", "!messages"},
      {"null", "!messages"},
      {"[5]", "!messages[0]"},
      {R"([{"content":"a"}])", "!messages[0].role"},
      {R"([{"role":"wizard","content":"a"}])", "!messages[0].role"},
      {R"([{"role":7,"content":"a"}])", "!messages[0].role"},
      {R"([{"role":"user"}])", "!messages[0].content"},
      {R"([{"role":"user","content":null}])", "!messages[0].content"},
      {R"([{"role":"assistant"}])", "!messages[0].content"},
      {R"([{"role":"user","content":5}])", "!messages[0].content"},
      {R"([{"role":"user","content":{}}])", "!messages[0].content"},
      {R"([{"role":"user","content":["a"]}])", "!messages[0].content[0]"},
      {R"([{"role":"user","content":[{"type":"text"}]}])", "!messages[0].content[0].text"},
      {R"([{"role":"user","content":[{"text":"a"}]}])", "!messages[0].content[0].type"},
      {R"([{"role":"user","content":[{"type":"text","text":"a"},{"type":"image_url","image_url":{}}]}])",
       "!messages[0].content[1].type"},
      {R"([{"role":"user","content":"a"},{"role":"user","content":"a","name":1}])", "!messages[1].name"},
      {R"([{"role":"assistant","content":"a","function_call":{}}])", "!messages[0].function_call"},
  };
  for (const auto& [messages, param] : cases) EXPECT_EQ(read(messages), param) << messages;
}

TEST(ChatMessages, UnknownFieldsAreListed) {
  std::vector<std::string> ignored;
  EXPECT_EQ(read(R"([{"role":"user","content":"a","weight":1}])", &ignored), R"([{"role":"user","content":"a"}])");
  EXPECT_EQ(ignored, std::vector<std::string>{"messages[].weight"});
}

TEST(TemplateArguments, OnlyAFewNamesAndPlainValues) {
  const auto read_arguments = [](const std::string& value) {
    const auto body = parse_json("{\"chat_template_kwargs\":" + value + "}");
    BodyReader reader(body->as_object());
    const JsonValue read = read_template_arguments(reader);
    if (const auto error = reader.take_error()) return "!" + error->param;
    return to_json(read);
  };
  EXPECT_EQ(read_arguments(R"({"enable_thinking":false})"), R"({"enable_thinking":false})");
  EXPECT_EQ(read_arguments("null"), "null");
  EXPECT_EQ(read_arguments(R"({"messages":[]})"), "!chat_template_kwargs");
  EXPECT_EQ(read_arguments(R"({"thinking":[]})"), "!chat_template_kwargs.thinking");
  EXPECT_EQ(read_arguments("[]"), "!chat_template_kwargs");
}

}  // namespace
}  // namespace batchwright

// Chat templates against what Python's jinja2 makes of them (tests/golden/text_template/make_cases.py).
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>

#include "base/json.h"
#include "formats/gguf.h"
#include "text/chat_template.h"

namespace batchwright {
namespace {

JsonValue read_json(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  auto parsed = parse_json(text);
  EXPECT_TRUE(parsed.ok()) << path << ": " << parsed.status().message();
  return parsed.ok() ? std::move(*parsed) : JsonValue();
}

std::string golden_path(const std::string& name) {
  return std::string(BATCHWRIGHT_SOURCE_DIR) + "/tests/golden/text_template/" + name;
}

ChatInputs inputs_of(const JsonValue& json) {
  ChatInputs inputs;
  if (const auto* v = json.find("messages")) inputs.messages = *v;
  if (const auto* v = json.find("tools")) inputs.tools = *v;
  if (const auto* v = json.find("extra")) inputs.extra = *v;
  if (const auto* v = json.find("add_generation_prompt")) inputs.add_generation_prompt = v->as_bool();
  if (const auto* v = json.find("bos_token")) inputs.bos_token = v->as_string();
  if (const auto* v = json.find("eos_token")) inputs.eos_token = v->as_string();
  if (const auto* v = json.find("date")) inputs.date = v->as_string();
  return inputs;
}

// Success and error must agree too. Spans must be joined and not empty.
void check_case(const std::string& source, const JsonValue& test_case) {
  const auto parsed = ChatTemplate::parse(source);
  const auto rendered = parsed.ok() ? parsed->render(inputs_of(*test_case.find("inputs"))) : parsed.status();
  const JsonValue& expected = *test_case.find("expected");
  if (expected.is_null()) {
    EXPECT_FALSE(rendered.ok()) << source << "\ngave " << joined_text(*rendered);
    return;
  }
  ASSERT_TRUE(rendered.ok()) << source << "\n" << rendered.status().message();
  EXPECT_EQ(joined_text(*rendered), expected.as_string()) << source;
  for (size_t i = 0; i < rendered->size(); ++i) {
    EXPECT_FALSE((*rendered)[i].text.empty());
    if (i > 0) {
      EXPECT_NE((*rendered)[i].from_template, (*rendered)[i - 1].from_template);
    }
  }
}

void check_file(const std::string& path, size_t least_cases) {
  const JsonValue file = read_json(path);
  ASSERT_TRUE(file.is_object());
  const JsonValue& cases = *file.find("cases");
  EXPECT_GE(cases.as_array().size(), least_cases);
  for (const JsonValue& test_case : cases.as_array()) {
    const JsonValue* source = test_case.find("template");
    if (const JsonValue* const name = test_case.find("template_name")) {
      source = file.find("templates")->find(name->as_string());
    }
    ASSERT_NE(source, nullptr);
    SCOPED_TRACE(test_case.find("name") != nullptr ? test_case.find("name")->as_string() : "");
    check_case(source->as_string(), test_case);
    if (testing::Test::HasFatalFailure()) return;
  }
}

TEST(ChatTemplateGolden, FamiliesAndConstructs) { check_file(golden_path("cases.json"), 250); }

TEST(ChatTemplateGolden, RandomTemplates) { check_file(golden_path("random.json"), 400); }

// What tests/differential/templates.py hands over.
TEST(ChatTemplateGolden, NamedFile) {
  const char* const path = std::getenv("BATCHWRIGHT_TEMPLATE_CASES");
  if (path == nullptr) GTEST_SKIP() << "BATCHWRIGHT_TEMPLATE_CASES is not set";
  check_file(path, 1);
}

TEST(ChatTemplateGolden, QwensOwn) {
  const char* const folder = std::getenv("BATCHWRIGHT_TEST_MODELS");
  if (folder == nullptr) {
    const char* const required = std::getenv("BATCHWRIGHT_REQUIRE_MODELS");
    ASSERT_FALSE(required != nullptr && std::string(required) == "1") << "BATCHWRIGHT_TEST_MODELS is not set";
    GTEST_SKIP() << "BATCHWRIGHT_TEST_MODELS is not set";
  }
  const auto model = GgufFile::open(std::string(folder) + "/qwen2.5-coder-0.5b-instruct-q4_k_m.gguf");
  ASSERT_TRUE(model.ok()) << model.status().message();
  const auto source = model->string("tokenizer.chat_template");
  ASSERT_TRUE(source.ok()) << source.status().message();
  const JsonValue file = read_json(golden_path("qwen.json"));
  ASSERT_TRUE(file.is_object());
  for (const JsonValue& test_case : file.find("cases")->as_array()) {
    SCOPED_TRACE(test_case.find("name")->as_string());
    check_case(std::string(*source), test_case);
  }
}

}  // namespace
}  // namespace batchwright

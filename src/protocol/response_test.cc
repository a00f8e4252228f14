#include "protocol/response.h"

#include <gtest/gtest.h>

#include <limits>
#include <string>

#include "protocol/testing/byte_prompt_encoder.h"

namespace batchwright {
namespace {

TokenLogprobs logprobs(TokenId token, float logprob, std::vector<TokenLogprob> top = {}) {
  return {{token, logprob}, std::move(top)};
}

std::string body(const ResponseShape& shape, const Completion& completion) {
  std::string text;
  JsonWriter out(text);
  append_response_body(out, shape, {"id-1", 0, "fp"}, completion, BytePromptEncoder());
  return text;
}

Completion one_choice() {
  Completion completion;
  completion.prompt_tokens = 5;
  Choice choice;
  choice.tokens = {'h', 'i'};
  choice.text = "hi";
  choice.finish_reason = FinishReason::kStop;
  choice.generated_tokens = 3;
  completion.choices.push_back(choice);
  return completion;
}

TEST(Response, ChatWithTwoChoices) {
  Completion completion = one_choice();
  completion.choices.push_back(completion.choices.front());
  completion.choices[1].text = "say \"\n\xFF";
  completion.choices[1].finish_reason = FinishReason::kLength;
  ResponseShape shape;
  shape.model = "m";
  EXPECT_EQ(body(shape, completion),
            R"({"id":"id-1","object":"chat.completion","created":0,"model":"m","choices":[)"
            R"({"index":0,"message":{"role":"assistant","content":"hi"},"logprobs":null,"finish_reason":"stop"},)"
            "{\"index\":1,\"message\":{\"role\":\"assistant\",\"content\":\"say \\\"\\n\xEF\xBF\xBD\"},"
            R"("logprobs":null,"finish_reason":"length"}],)"
            R"("usage":{"prompt_tokens":5,"completion_tokens":6,"total_tokens":11},"system_fingerprint":"fp"})");
}

TEST(Response, ProbabilitiesOfAListStandInEachChoice) {
  Completion completion = one_choice();
  completion.choices.push_back(completion.choices.front());
  completion.answer_logprobs = {{"hi", -0.25F, 0.75F}, {"\"ho\"", -std::numeric_limits<float>::infinity(), 0.0F}};
  const std::string text = body({}, completion);
  const std::string list = R"("finish_reason":"stop","choice_logprobs":[{"text":"hi","logprob":-0.25,"probability":)"
                           R"(0.75},{"text":"\"ho\"","logprob":-9999.0,"probability":0.0}]})";
  const size_t first = text.find(list);
  ASSERT_NE(first, std::string::npos) << text;
  EXPECT_NE(text.find(list, first + 1), std::string::npos);
}

TEST(Response, ChatLogprobs) {
  Completion completion = one_choice();
  completion.choices[0].logprobs = {logprobs('h', -0.5F, {{'h', -0.5F}, {0xC3, -1.25F}}), logprobs('i', -0.1F)};
  ResponseShape shape;
  shape.logprobs = true;
  const std::string text = body(shape, completion);
  EXPECT_NE(text.find(R"("logprobs":{"content":[{"token":"h","logprob":-0.5,"bytes":[104],"top_logprobs":[)"
                      R"({"token":"h","logprob":-0.5,"bytes":[104]},)"
                      R"({"token":"bytes:\\xc3","logprob":-1.25,"bytes":[195]}]},)"
                      R"({"token":"i","logprob":-0.1,"bytes":[105],"top_logprobs":[]}]})"),
            std::string::npos)
      << text;
}

TEST(Response, CompletionWithEchoAndLogprobs) {
  Completion completion = one_choice();
  completion.choices[0].logprobs = {logprobs('h', -0.5F, {{'h', -0.5F}, {'x', -2.0F}}), logprobs('i', -0.25F)};
  completion.prompt_logprobs = {{}, logprobs('a', -3.0F, {{'b', -1.0F}}), logprobs(0xC3, -4.0F), logprobs(0xA4, -5.0F)};
  ResponseShape shape;
  shape.endpoint = Endpoint::kCompletions;
  shape.logprobs = true;
  shape.echo = true;
  shape.echo_text = "a\xC3\xA4";
  shape.echo_tokens = {BytePromptEncoder::kBos, 'a', 0xC3, 0xA4};
  const std::string text = body(shape, completion);
  EXPECT_NE(text.find("\"object\":\"text_completion\""), std::string::npos);
  EXPECT_NE(text.find("\"text\":\"a\xC3\xA4hi\""), std::string::npos) << text;
  EXPECT_NE(text.find(R"("tokens":["<bos>","a","bytes:\\xc3","bytes:\\xa4","h","i"],)"
                      R"("token_logprobs":[null,-3.0,-4.0,-5.0,-0.5,-0.25],)"
                      R"("top_logprobs":[null,{"b":-1.0},{},{},{"h":-0.5,"x":-2.0},{}],)"
                      R"("text_offset":[0,0,1,2,2,3])"),
            std::string::npos)
      << text;
}

TEST(Response, EveryChoiceWithoutWhatWasNotAskedFor) {
  ResponseShape shape;
  shape.endpoint = Endpoint::kCompletions;
  const std::string text = body(shape, one_choice());
  EXPECT_NE(text.find(R"({"index":0,"text":"hi","logprobs":null,"finish_reason":"stop"})"), std::string::npos) << text;
}

TEST(RequestErrors, Bodies) {
  std::string text;
  JsonWriter out(text);
  append_error_body(out, {400, "n is 0", "n", "out_of_range"});
  EXPECT_EQ(text, R"({"error":{"message":"n is 0","type":"invalid_request_error","param":"n","code":"out_of_range"}})");
  EXPECT_EQ(request_error(resource_exhausted("x")).status_code, 400);
  EXPECT_EQ(request_error(internal_error("x")).status_code, 500);
  EXPECT_STREQ(request_error(internal_error("x")).type(), "server_error");
}

}  // namespace
}  // namespace batchwright

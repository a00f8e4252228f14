#include "protocol/prepare_request.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "protocol/testing/byte_prompt_encoder.h"

namespace batchwright {
namespace {

class PrepareRequestTest : public testing::Test {
 protected:
  std::variant<PreparedRequest, RequestError> prepare(Endpoint endpoint, const std::string& body) {
    auto parsed = parse_json(body);
    EXPECT_TRUE(parsed.ok()) << body << ": " << parsed.status().message();
    const ProtocolContext context{encoder_, context_length_, "the-model", defaults_, limits_};
    return prepare_request(endpoint, parsed.ok() ? *parsed : JsonValue(), "row-1", context);
  }

  // The fields after a minimal valid body.
  std::variant<PreparedRequest, RequestError> chat(const std::string& fields) {
    return prepare(Endpoint::kChatCompletions, R"({"messages":[{"role":"user","content":"hi"}])" + comma(fields) + "}");
  }
  std::variant<PreparedRequest, RequestError> completion(const std::string& fields) {
    return prepare(Endpoint::kCompletions, R"({"prompt":"hello")" + comma(fields) + "}");
  }

  static std::string comma(const std::string& fields) { return fields.empty() ? "" : "," + fields; }

  static const Request& request(const std::variant<PreparedRequest, RequestError>& outcome) {
    static const Request kNone;
    if (const auto* const error = std::get_if<RequestError>(&outcome)) {
      ADD_FAILURE() << error->message;
      return kNone;
    }
    return std::get<PreparedRequest>(outcome).request;
  }

  // The error's message; checks its parameter.
  static std::string refused(const std::variant<PreparedRequest, RequestError>& outcome, const std::string& param) {
    const auto* const error = std::get_if<RequestError>(&outcome);
    if (error == nullptr) {
      ADD_FAILURE() << "accepted, but " << param << " is wrong";
      return "";
    }
    EXPECT_EQ(error->param, param) << error->message;
    EXPECT_EQ(error->status_code, 400);
    return error->message;
  }

  BytePromptEncoder encoder_;
  int context_length_ = 1000;
  RequestDefaults defaults_;
  ProtocolLimits limits_;
};

TEST_F(PrepareRequestTest, DefaultsOfChats) {
  const auto outcome = chat("");
  const Request& r = request(outcome);
  EXPECT_EQ(r.sampling.temperature, 1.0F);
  EXPECT_EQ(r.sampling.top_p, 1.0F);
  EXPECT_EQ(r.sampling.top_k, 0);
  EXPECT_EQ(r.n, 1);
  EXPECT_EQ(r.max_tokens, 1000);  // more than the context leaves: until it is full
  EXPECT_EQ(r.top_logprobs, -1);
  EXPECT_FALSE(r.prompt_logprobs);
  EXPECT_EQ(encoder_.decode(r.prompt), "user:hi");
  EXPECT_EQ(std::get<PreparedRequest>(outcome).shape.model, "the-model");
}

TEST_F(PrepareRequestTest, DefaultsOfCompletions) {
  const auto outcome = completion("");
  const Request& r = request(outcome);
  EXPECT_EQ(r.max_tokens, 16);
  EXPECT_EQ(r.prompt.front(), BytePromptEncoder::kBos);
  EXPECT_EQ(encoder_.decode(r.prompt), "hello");
}

TEST_F(PrepareRequestTest, DefaultsOfTheCommandLineGiveWayToTheRow) {
  defaults_.sampling.temperature = 0;
  defaults_.sampling.top_k = 5;
  defaults_.max_tokens = 7;
  defaults_.stop_strings = {"END"};
  defaults_.ignore_eos = true;
  const auto plain = completion("");
  EXPECT_EQ(request(plain).sampling.temperature, 0.0F);
  EXPECT_EQ(request(plain).sampling.top_k, 5);
  EXPECT_EQ(request(plain).max_tokens, 7);
  EXPECT_EQ(request(plain).stop_strings, std::vector<std::string>{"END"});
  EXPECT_TRUE(request(plain).ignore_eos);
  const auto own = completion(R"("temperature":0.5,"top_k":-1,"max_tokens":9,"stop":["a","b"],"ignore_eos":false)");
  EXPECT_EQ(request(own).sampling.temperature, 0.5F);
  EXPECT_EQ(request(own).sampling.top_k, 0);
  EXPECT_EQ(request(own).max_tokens, 9);
  EXPECT_EQ(request(own).stop_strings, (std::vector<std::string>{"a", "b"}));
  EXPECT_FALSE(request(own).ignore_eos);
}

TEST_F(PrepareRequestTest, EveryFieldArrives) {
  const auto outcome =
      completion(R"("model":"m","temperature":0.25,"top_p":0.5,"top_k":3,"min_p":0.125,"repetition_penalty":1.5,)"
                 R"("presence_penalty":-1,"frequency_penalty":2,"logit_bias":{"20":-100,"3":0.5},"seed":-7,"n":4,)"
                 R"("max_tokens":11,"min_tokens":2,"ignore_eos":true,"stop":"x","stop_token_ids":[5,6],"logprobs":2)");
  const Request& r = request(outcome);
  EXPECT_EQ(std::get<PreparedRequest>(outcome).shape.model, "m");
  EXPECT_EQ(r.sampling.temperature, 0.25F);
  EXPECT_EQ(r.sampling.top_p, 0.5F);
  EXPECT_EQ(r.sampling.top_k, 3);
  EXPECT_EQ(r.sampling.min_p, 0.125F);
  EXPECT_EQ(r.sampling.repetition_penalty, 1.5F);
  EXPECT_EQ(r.sampling.presence_penalty, -1.0F);
  EXPECT_EQ(r.sampling.frequency_penalty, 2.0F);
  const std::vector<std::pair<TokenId, float>> bias = {{3, 0.5F}, {20, -100.0F}};
  EXPECT_EQ(r.sampling.logit_bias, bias);
  EXPECT_EQ(r.sampling.seed, static_cast<uint64_t>(int64_t{-7}));
  EXPECT_EQ(r.n, 4);
  EXPECT_EQ(r.max_tokens, 11);
  EXPECT_EQ(r.min_tokens, 2);
  EXPECT_TRUE(r.ignore_eos);
  EXPECT_EQ(r.stop_strings, std::vector<std::string>{"x"});
  EXPECT_EQ(r.stop_token_ids, (std::vector<TokenId>{5, 6}));
  EXPECT_EQ(r.top_logprobs, 2);
  EXPECT_TRUE(std::get<PreparedRequest>(outcome).ignored_fields.empty());
}

TEST_F(PrepareRequestTest, SeedsComeFromTheRowOrItsId) {
  const auto context = [&](uint64_t seed) {
    RequestDefaults defaults;
    defaults.sampling.seed = seed;
    return ProtocolContext{encoder_, context_length_, "", defaults, limits_};
  };
  const auto seed_of = [&](const char* id, uint64_t seed, const char* body) {
    const auto outcome = prepare_request(Endpoint::kCompletions, parse_json(body).value(), id, context(seed));
    return request(outcome).sampling.seed;
  };
  const char* const plain = R"({"prompt":"a"})";
  EXPECT_EQ(seed_of("x", 0, plain), seed_of("x", 0, plain));
  EXPECT_NE(seed_of("x", 0, plain), seed_of("y", 0, plain));
  EXPECT_NE(seed_of("x", 0, plain), seed_of("x", 1, plain));
  EXPECT_EQ(seed_of("x", 0, R"({"prompt":"a","seed":5})"), 5U);
}

struct IntegerField {
  const char* name;
  Endpoint endpoint;
  int64_t lowest;
  int64_t highest;
};

// Every integer at -1, 0, INT_MAX, 2^63, as string, float, array and boolean; null is as if it were not there.
TEST_F(PrepareRequestTest, IntegersOfEveryKind) {
  const Endpoint kChat = Endpoint::kChatCompletions;
  const Endpoint kText = Endpoint::kCompletions;
  const std::vector<IntegerField> fields = {
      {"n", kChat, 1, 128},
      {"max_tokens", kChat, 1, INT32_MAX},
      {"max_completion_tokens", kChat, 1, INT32_MAX},
      {"max_tokens", kText, 1, INT32_MAX},
      {"top_k", kChat, -1, INT32_MAX},
      {"seed", kChat, INT64_MIN, INT64_MAX},
      {"logprobs", kText, 0, 20},
  };
  for (const IntegerField& field : fields) {
    const auto with = [&](const std::string& value) {
      const std::string text = fmt::format("\"{}\":{}", field.name, value);
      return field.endpoint == kChat ? chat(text) : completion(text);
    };
    for (const int64_t value : {int64_t{-1}, int64_t{0}, int64_t{1}, int64_t{INT32_MAX}, int64_t{1} << 40, INT64_MAX}) {
      const auto outcome = with(std::to_string(value));
      const bool fits = value >= field.lowest && value <= field.highest;
      EXPECT_EQ(std::holds_alternative<PreparedRequest>(outcome), fits) << field.name << " " << value;
      if (fits) continue;
      const std::string message = refused(outcome, field.name);
      EXPECT_NE(message.find(std::to_string(value)), std::string::npos) << message;
      EXPECT_NE(message.find(std::to_string(field.highest)), std::string::npos) << message;
    }
    for (const char* const wrong : {"9223372036854775808", "1e999999999999", "\"1\"", "1.0", "1.5", "true", "[1]", "{}",
                                    "\"NaN\"", "-9223372036854775809", "1e3"}) {
      const auto parsed = parse_json(wrong);
      if (!parsed.ok()) continue;  // refused with the whole line
      const std::string message = refused(with(wrong), field.name);
      EXPECT_NE(message.find(field.name), std::string::npos);
    }
    EXPECT_TRUE(std::holds_alternative<PreparedRequest>(with("null"))) << field.name;
  }
  EXPECT_FALSE(parse_json(R"({"n":NaN})").ok());
  EXPECT_EQ(refused(chat(R"("n":1000000000)"), "n"), "n is 1000000000; it must be a whole number from 1 to 128");
  EXPECT_EQ(refused(chat(R"("n":"four")"), "n"), R"(n is "four" (string); it must be a whole number from 1 to 128)");
}

TEST_F(PrepareRequestTest, NumbersOutsideTheirRange) {
  struct Case {
    const char* name;
    std::vector<const char*> good;
    std::vector<const char*> bad;
  };
  const std::vector<Case> cases = {
      {"temperature", {"0", "100", "0.7", "null"}, {"-0.1", "100.1", "1e300", "\"1\"", "true", "[]", "{}"}},
      {"top_p", {"1", "0.001", "1e-3"}, {"0", "0.0", "1e-300", "1.1", "-1", "\"0.5\""}},
      {"min_p", {"0", "1"}, {"-0.1", "1.1", "\"\""}},
      {"repetition_penalty", {"1", "0.5", "100"}, {"0", "-1", "101", "false"}},
      {"presence_penalty", {"-2", "2"}, {"-2.1", "2.1", "\"a\""}},
      {"frequency_penalty", {"-2", "2", "0"}, {"-3", "9223372036854775807", "[0]"}},
  };
  for (const Case& c : cases) {
    for (const char* const value : c.good) request(chat(fmt::format("\"{}\":{}", c.name, value)));
    for (const char* const value : c.bad) refused(chat(fmt::format("\"{}\":{}", c.name, value)), c.name);
  }
}

TEST_F(PrepareRequestTest, LogitBias) {
  refused(chat(R"("logit_bias":[1])"), "logit_bias");
  for (const char* const key : {"-1", "258", "99999999999999999999", "1.0", "01", "+1", " 1", "a", ""}) {
    const std::string message = refused(chat(fmt::format(R"("logit_bias":{{"{}":1}})", key)), "logit_bias");
    EXPECT_NE(message.find("from 0 to 257"), std::string::npos) << message;
  }
  for (const char* const value : {"101", "-100.5", "\"1\"", "null", "[1]"}) {
    refused(chat(fmt::format(R"("logit_bias":{{"7":{}}})", value)), "logit_bias.7");
  }
  limits_.logit_bias = 1;
  EXPECT_NE(refused(chat(R"("logit_bias":{"1":1,"2":2})"), "logit_bias").find("--limit-logit-bias"), std::string::npos);
}

TEST_F(PrepareRequestTest, StopStrings) {
  refused(chat(R"("stop":"")"), "stop");
  refused(chat(R"("stop":["a",""])"), "stop[1]");
  refused(chat(R"("stop":["a",1])"), "stop[1]");
  refused(chat(R"("stop":1)"), "stop");
  request(chat(R"("stop":[])"));
  std::string many = "\"stop\":[";
  for (int i = 0; i < 10000; ++i) many += (i > 0 ? ",\"a\"" : "\"a\"");
  EXPECT_NE(refused(chat(many + "]"), "stop").find("10000; at most 64"), std::string::npos);
  const std::string message = refused(chat("\"stop\":\"" + std::string(1 << 20, 'x') + "\""), "stop");
  EXPECT_NE(message.find("1048576 bytes long; at most 1024"), std::string::npos) << message;
  refused(chat(R"("stop_token_ids":[258])"), "stop_token_ids[0]");
  refused(chat(R"("stop_token_ids":[1,-1])"), "stop_token_ids[1]");
  refused(chat(R"("stop_token_ids":[1.5])"), "stop_token_ids[0]");
  refused(chat(R"("stop_token_ids":7)"), "stop_token_ids");
}

TEST_F(PrepareRequestTest, CountsOfTokensThatContradictEachOther) {
  refused(chat(R"("max_tokens":5,"max_completion_tokens":6)"), "max_completion_tokens");
  EXPECT_EQ(request(chat(R"("max_tokens":5,"max_completion_tokens":5)")).max_tokens, 5);
  refused(completion(R"("min_tokens":17)"), "min_tokens");
  refused(chat(R"("max_tokens":3,"min_tokens":4)"), "min_tokens");
  refused(chat(R"("min_tokens":-1)"), "min_tokens");
  refused(completion(R"("best_of":2)"), "best_of");
  request(completion(R"("best_of":2,"n":2)"));
  refused(completion(R"("max_tokens":0,"echo":true)"), "max_tokens");
  EXPECT_EQ(request(completion(R"("max_tokens":0,"echo":true,"logprobs":1)")).max_tokens, 0);
}

TEST_F(PrepareRequestTest, LogprobsOfChats) {
  EXPECT_EQ(request(chat(R"("logprobs":true)")).top_logprobs, 0);
  EXPECT_EQ(request(chat(R"("logprobs":true,"top_logprobs":20)")).top_logprobs, 20);
  EXPECT_EQ(request(chat(R"("logprobs":false,"top_logprobs":0)")).top_logprobs, -1);
  refused(chat(R"("top_logprobs":2)"), "top_logprobs");
  refused(chat(R"("logprobs":true,"top_logprobs":21)"), "top_logprobs");
  refused(chat(R"("logprobs":1)"), "logprobs");
  refused(completion(R"("logprobs":true)"), "logprobs");
}

TEST_F(PrepareRequestTest, PromptForms) {
  const auto prompt = [&](const std::string& value) {
    return prepare(Endpoint::kCompletions, "{\"prompt\":" + value + "}");
  };
  const std::vector<TokenId> ids = {1, 2, 257};
  EXPECT_EQ(request(prompt("[1,2,257]")).prompt, ids);
  EXPECT_EQ(request(prompt("[[1,2,257]]")).prompt, ids);
  EXPECT_EQ(encoder_.decode(request(prompt(R"(["one"])")).prompt), "one");
  EXPECT_NE(refused(prompt(R"(["one","two"])"), "prompt").find("row of its own"), std::string::npos);
  refused(prompt("[[1],[2]]"), "prompt");
  refused(prompt("[]"), "prompt");
  refused(prompt("[[]]"), "prompt[0]");
  refused(prompt("[1,258]"), "prompt[1]");
  refused(prompt("[1,-1]"), "prompt[1]");
  refused(prompt("[1,2.0]"), "prompt[1]");
  refused(prompt("[1,\"a\"]"), "prompt[1]");
  refused(prompt("[1.5]"), "prompt[0]");
  refused(prompt("{}"), "prompt");
  refused(prompt("7"), "prompt");
  refused(prompt("null"), "prompt");
  // BOS alone is a prompt; nothing at all is none.
  EXPECT_EQ(request(prompt("\"\"")).prompt, std::vector<TokenId>{BytePromptEncoder::kBos});
  refused(prepare(Endpoint::kCompletions, R"({"prompt":"","add_special_tokens":false})"), "prompt");
}

TEST_F(PrepareRequestTest, PromptsThatDoNotFit) {
  context_length_ = 8;
  EXPECT_EQ(refused(chat(""), "messages"), "messages is 9 tokens long; the context holds 8, the answer's included");
  request(prepare(Endpoint::kCompletions, R"({"prompt":[1,2,3,4,5,6,7]})"));
  refused(prepare(Endpoint::kCompletions, R"({"prompt":[1,2,3,4,5,6,7,8]})"), "prompt");
  // A score leaves no place for an answer.
  request(prepare(Endpoint::kCompletions, R"({"prompt":[1,2,3,4,5,6,7,8],"echo":true,"logprobs":0,"max_tokens":0})"));
  limits_.prompt_bytes = 3;
  EXPECT_NE(refused(completion(""), "prompt").find("--limit-prompt-bytes"), std::string::npos);
  EXPECT_NE(refused(prepare(Endpoint::kChatCompletions,
                            R"({"messages":[{"role":"user","content":"ab"},{"role":"user","content":"cd"}]})"),
                    "messages[1].content")
                .find("--limit-prompt-bytes"),
            std::string::npos);
}

TEST_F(PrepareRequestTest, FieldsThatWouldChangeTheMeaningAreRefused) {
  for (const char* const field : {R"("response_format":{"type":"json_object"})",
                                  R"("response_format":{"type":"json_schema","json_schema":{}})"}) {
    refused(chat(field), "response_format.type");
  }
  refused(chat(R"("response_format":"text")"), "response_format");
  request(chat(R"("response_format":{"type":"text"})"));
  const std::string tools = R"("tools":[{"type":"function","function":{"name":"f"}}])";
  refused(chat(tools + R"(,"tool_choice":"required")"), "tool_choice");
  refused(chat(tools + R"(,"tool_choice":{"type":"function","function":{"name":"f"}})"), "tool_choice");
  request(chat(tools + R"(,"tool_choice":"auto")"));
  EXPECT_TRUE(encoder_.last_chat.tools.is_array());
  request(chat(tools + R"(,"tool_choice":"none")"));
  EXPECT_TRUE(encoder_.last_chat.tools.is_null());
  refused(chat(R"("tools":[1])"), "tools[0]");
  for (const char* const field : {R"("guided_json":{})", R"("functions":[{}])", R"("use_beam_search":true)",
                                  R"("mirostat":2)", R"("bad_words":["x"])", R"("reasoning_effort":"low")",
                                  R"("echo":true)", R"("modalities":["audio"])", R"("chat_template":"x")"}) {
    const std::string name = std::string(field).substr(1, std::string(field).find('"', 1) - 1);
    const std::string message = refused(chat(field), name);
    EXPECT_NE(message.find("support"), std::string::npos) << message;
  }
  refused(completion(R"("suffix":"x")"), "suffix");
  // Their neutral values change nothing.
  request(chat(R"("functions":[],"use_beam_search":false,"mirostat":0,"length_penalty":1.0,"modalities":["text"])"));
}

TEST_F(PrepareRequestTest, AnswersOutOfAList) {
  const auto outcome = chat(R"("choice":["library","game","gamer"],"choice_logprobs":true,"temperature":0)");
  const Request& r = request(outcome);
  ASSERT_NE(r.allowed_answers, nullptr);
  ASSERT_EQ(r.allowed_answers->size(), 3U);
  EXPECT_EQ(r.allowed_answers->at(1).text, "game");
  EXPECT_EQ(r.allowed_answers->at(1).tokens, (std::vector<TokenId>{'g', 'a', 'm', 'e'}));
  EXPECT_TRUE(r.answer_logprobs);
  EXPECT_EQ(r.max_tokens, 7);
  EXPECT_TRUE(std::get<PreparedRequest>(outcome).ignored_fields.empty());
  EXPECT_FALSE(request(completion(R"("choice":["a"])")).answer_logprobs);
  EXPECT_EQ(request(completion(R"("guided_choice":["a","b"])")).allowed_answers->size(), 2U);
  EXPECT_EQ(request(completion(R"("choice":null)")).allowed_answers, nullptr);
}

TEST_F(PrepareRequestTest, WhenToStopIsDecidedByTheList) {
  defaults_.max_tokens = 2;
  defaults_.stop_strings = {"END"};
  defaults_.ignore_eos = true;
  defaults_.min_tokens = 1;
  const auto outcome = chat(R"("choice":["library","game"])");
  const Request& r = request(outcome);
  EXPECT_EQ(r.max_tokens, 7);
  EXPECT_TRUE(r.stop_strings.empty());
  EXPECT_FALSE(r.ignore_eos);
  EXPECT_EQ(r.min_tokens, 0);
  // Values that change nothing are no contradiction.
  EXPECT_EQ(request(chat(R"("choice":["ab"],"stop":[],"min_tokens":0,"ignore_eos":false,"max_tokens":50)")).max_tokens,
            2);
}

TEST_F(PrepareRequestTest, ListsOfTheCommandLineGiveWayToTheRow) {
  defaults_.choice = {"yes", "no"};
  defaults_.choice_logprobs = true;
  EXPECT_EQ(request(chat("")).allowed_answers->at(0).text, "yes");
  EXPECT_TRUE(request(chat("")).answer_logprobs);
  EXPECT_FALSE(request(chat(R"("choice_logprobs":false)")).answer_logprobs);
  EXPECT_EQ(request(chat(R"("choice":["maybe"])")).allowed_answers->at(0).text, "maybe");
  defaults_.choice = {"yes", "yes"};
  EXPECT_NE(refused(chat(""), "choice[1]").find("\"yes\""), std::string::npos);
  defaults_.choice.clear();
  EXPECT_FALSE(request(chat("")).answer_logprobs) << "without a list there is nothing to have probabilities";
}

TEST_F(PrepareRequestTest, EqualListsAreOneObject) {
  const ProtocolContext context{encoder_, context_length_, "the-model", defaults_, limits_};
  const auto answers = [&](const char* body) {
    return request(prepare_request(Endpoint::kCompletions, parse_json(body).value(), "row", context)).allowed_answers;
  };
  const auto first = answers(R"({"prompt":"a","choice":["x","y"]})");
  EXPECT_EQ(answers(R"({"prompt":"b","choice":["x","y"]})"), first);
  const auto second = answers(R"({"prompt":"b","choice":["y","x"]})");
  EXPECT_NE(second, first);
  EXPECT_EQ(second->at(0).text, "y");
  EXPECT_EQ(first->at(0).text, "x");
}

TEST_F(PrepareRequestTest, RefusalsOfLists) {
  const auto message = [&](const std::string& fields, const std::string& param) {
    return refused(completion(fields), param);
  };
  EXPECT_EQ(message(R"("choice":"a")", "choice"), R"(choice is "a" (string); it must be an array)");
  EXPECT_EQ(message(R"("choice":[])", "choice"), "choice is empty; at least one string is needed");
  EXPECT_EQ(message(R"("choice":["a",5])", "choice[1]"), "choice[1] is 5 (integer); it must be a string");
  message(R"("choice":["a",null])", "choice[1]");
  message(R"("choice":["a",["b"]])", "choice[1]");
  message(R"("choice":["a",""])", "choice[1]");
  message(R"("guided_choice":[""])", "guided_choice[0]");
  EXPECT_EQ(message(R"("choice":["a","b","a"])", "choice[2]"),
            R"(choice[2] is "a", like choice[0]; each string may stand once)");
  EXPECT_EQ(message(R"("choice":["?1","b","?2"])", "choice[2]"),
            R"(choice[2] is "?2"; the model has the same tokens for choice[0], "?1")");
  message(R"("choice":["a"],"guided_choice":["a"])", "guided_choice");
  message(R"("choice_logprobs":true)", "choice_logprobs");
  message(R"("choice":["a"],"choice_logprobs":1)", "choice_logprobs");
  request(completion(R"("choice_logprobs":false)"));

  EXPECT_EQ(message(R"("choice":["a"],"stop":"x")", "stop"), R"(stop is "x"; it cannot be combined with choice)");
  message(R"("choice":["a"],"stop":["x"])", "stop");
  message(R"("choice":["a"],"stop_token_ids":[5])", "stop_token_ids");
  message(R"("choice":["a"],"min_tokens":1)", "min_tokens");
  message(R"("choice":["a"],"ignore_eos":true)", "ignore_eos");
  EXPECT_EQ(message(R"("choice":["a","long","more"],"max_tokens":3)", "max_tokens"),
            R"(max_tokens is 3; the longest string of choice, "long", has 4 tokens)");
  message(R"("choice":["long"],"max_completion_tokens":3)", "max_completion_tokens");
  request(completion(R"("choice":["long"],"max_tokens":4)"));

  context_length_ = 10;
  const std::string seven = R"({"prompt":[1,2,3,4,5,6,7],"choice":)";
  request(prepare(Endpoint::kCompletions, seven + R"(["abc"]})"));
  const auto outcome = prepare(Endpoint::kCompletions, seven + R"(["abcd"]})");
  EXPECT_EQ(refused(outcome, "prompt"),
            "prompt is 7 tokens long and the longest string of choice 4; the context holds 10");
  EXPECT_EQ(std::get<RequestError>(outcome).code, "context_length_exceeded");

  limits_.choices = 2;
  EXPECT_EQ(message(R"("choice":["a","b","c"])", "choice"),
            "choice is an array of 3; at most 2 are allowed (--limit-choices)");
  limits_.choice_bytes = 2;
  EXPECT_EQ(message(R"("choice":["a","abc"])", "choice[1]"),
            "choice[1] is 3 bytes long; at most 2 are allowed (--limit-choice-bytes)");
}

TEST_F(PrepareRequestTest, UnknownFieldsAreIgnoredAndListed) {
  const auto outcome = chat(R"("stream":true,"foo":{"bar":[1]},"user":"u","metadata":{},"store":true,"baz":null)");
  request(outcome);
  EXPECT_EQ(std::get<PreparedRequest>(outcome).ignored_fields, (std::vector<std::string>{"stream", "foo", "baz"}));
}

TEST_F(PrepareRequestTest, BodiesThatAreNoObjects) {
  refused(prepare(Endpoint::kChatCompletions, "[]"), "body");
  refused(prepare(Endpoint::kCompletions, "\"x\""), "body");
  refused(prepare(Endpoint::kChatCompletions, "{}"), "messages");
  refused(chat(R"("model":5)"), "model");
}

TEST_F(PrepareRequestTest, RefusalsOfTheTemplate) {
  encoder_.chat_failure = unsupported("the model has no chat template");
  EXPECT_EQ(refused(chat(""), "messages"), "the model has no chat template");
  encoder_.chat_failure = internal_error("defect");
  const auto outcome = chat("");
  EXPECT_EQ(std::get<RequestError>(outcome).status_code, 500);
}

}  // namespace
}  // namespace batchwright

#include "job/result_line.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "protocol/testing/byte_prompt_encoder.h"

namespace batchwright {
namespace {

constexpr Hash128 kHash = {1, 2};
const std::string kHex = "00000000000000010000000000000002";  // NOLINT(cert-err58-cpp)

std::string answer(const CarriedColumns& columns) {
  Completion completion;
  completion.prompt_tokens = 2;
  completion.choices.resize(1);
  completion.choices[0].text = "x";
  completion.choices[0].generated_tokens = 1;
  completion.choices[0].finish_reason = FinishReason::kStop;
  ResponseShape shape;
  shape.endpoint = Endpoint::kCompletions;
  shape.model = "m";
  return result_line("a", kHash, shape, completion, BytePromptEncoder(), {5, "fp"}, columns);
}

const std::string kAnswer =  // NOLINT(cert-err58-cpp)
    R"({"id":"batch_req_)" + kHex + R"(","custom_id":"a","response":{"status_code":200,"request_id":"req_)" + kHex +
    R"(","body":{"id":"cmpl-)" + kHex +
    R"(","object":"text_completion","created":5,"model":"m","choices":[{"index":0,"text":"x","logprobs":null,)"
    R"("finish_reason":"stop"}],"usage":{"prompt_tokens":2,"completion_tokens":1,"total_tokens":3},)"
    R"("system_fingerprint":"fp"}})";

TEST(ResultLine, Answers) {
  EXPECT_EQ(answer({}), kAnswer + R"(,"error":null})" + "\n");
  const std::vector<std::string> names = {"title", "b\"c"};
  const std::vector<std::string> values = {"", "two\nlines"};
  EXPECT_EQ(answer({names, values}), kAnswer + R"(,"columns":{"title":"","b\"c":"two\nlines"},"error":null})" + "\n");
  // A job that carries columns, and a record that could not be split.
  EXPECT_EQ(answer({names, {}}), kAnswer + R"(,"error":null})" + "\n");
}

TEST(ResultLine, Errors) {
  RequestError error;
  error.message = "no";
  error.param = "text";
  error.code = "invalid_record";
  const std::vector<std::string> names = {"title"};
  const std::vector<std::string> values = {"T"};
  const std::string response = R"("response":{"status_code":400,"request_id":"req_)" + kHex +
                               R"(","body":{"error":{"message":"no","type":"invalid_request_error","param":"text",)"
                               R"("code":"invalid_record"}}})";
  EXPECT_EQ(error_line(std::nullopt, kHash, 3, error),
            R"({"id":"batch_req_)" + kHex + R"(","custom_id":null,"line":3,)" + response + R"(,"error":null})" + "\n");
  EXPECT_EQ(error_line("a", kHash, 3, error, {names, values}), R"({"id":"batch_req_)" + kHex +
                                                                   R"(","custom_id":"a","line":3,)" + response +
                                                                   R"(,"columns":{"title":"T"},"error":null})" + "\n");
}

}  // namespace
}  // namespace batchwright

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <string>

#include "decode/sampler.h"

namespace batchwright {
namespace {

Status validate(const std::function<void(SamplingParams&)>& change) {
  SamplingParams params;
  change(params);
  return validate_sampling(params, 1000);
}

TEST(ValidateSampling, AcceptsTheDefaultsAndTheBounds) {
  EXPECT_TRUE(validate([](SamplingParams&) {}).ok());
  const Status low = validate([](SamplingParams& p) {
    p.temperature = 0;
    p.top_p = 1e-6F;
    p.repetition_penalty = 1e-3F;
    p.presence_penalty = p.frequency_penalty = -2;
    p.logit_bias = {{0, -100.0F}};
  });
  EXPECT_TRUE(low.ok()) << low.message();
  const Status high = validate([](SamplingParams& p) {
    p.temperature = p.repetition_penalty = 100;
    p.top_k = 2147483647;
    p.min_p = 1;
    p.presence_penalty = p.frequency_penalty = 2;
    p.logit_bias = {{0, 0.0F}, {999, 100.0F}};
  });
  EXPECT_TRUE(high.ok()) << high.message();
}

TEST(ValidateSampling, NamesFieldValueAndLimit) {
  struct Case {
    const char* expected;
    std::function<void(SamplingParams&)> change;
  };
  const Case cases[] = {
      {"temperature is -1; it may be 0 to 100", [](auto& p) { p.temperature = -1; }},
      {"temperature is 100.5; it may be 0 to 100", [](auto& p) { p.temperature = 100.5F; }},
      {"temperature is nan; it may be 0 to 100", [](auto& p) { p.temperature = std::nanf(""); }},
      {"top_k is -1; it has to be at least 1, or 0 to keep all", [](auto& p) { p.top_k = -1; }},
      {"top_p is 0; it has to be above 0 and may be at most 1", [](auto& p) { p.top_p = 0; }},
      {"top_p is 1.5; it has to be above 0 and may be at most 1", [](auto& p) { p.top_p = 1.5F; }},
      {"top_p is nan; it has to be above 0 and may be at most 1", [](auto& p) { p.top_p = std::nanf(""); }},
      {"min_p is -0.5; it may be 0 to 1", [](auto& p) { p.min_p = -0.5F; }},
      {"min_p is inf; it may be 0 to 1", [](auto& p) { p.min_p = INFINITY; }},
      {"repetition_penalty is 0; it has to be above 0", [](auto& p) { p.repetition_penalty = 0; }},
      {"presence_penalty is 2.5; it may be -2 to 2", [](auto& p) { p.presence_penalty = 2.5F; }},
      {"frequency_penalty is -3; it may be -2 to 2", [](auto& p) { p.frequency_penalty = -3; }},
      {"logit_bias names token 1000; the model has tokens 0 to 999",
       [](auto& p) {
         p.logit_bias = {{1000, 0.0F}};
       }},
      {"logit_bias names token -1; the model has tokens 0 to 999",
       [](auto& p) {
         p.logit_bias = {{-1, 0.0F}};
       }},
      {"logit_bias names token 5 after 5",
       [](auto& p) {
         p.logit_bias = {{5, 0.0F}, {5, 1.0F}};
       }},
      {"logit_bias of token 5 is 101; it may be -100 to 100",
       [](auto& p) {
         p.logit_bias = {{5, 101.0F}};
       }},
      {"logit_bias of token 5 is nan",
       [](auto& p) {
         p.logit_bias = {{5, std::nanf("")}};
       }},
  };
  for (const Case& c : cases) {
    const Status status = validate(c.change);
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
    EXPECT_EQ(status.message().rfind(c.expected, 0), 0U) << status.message() << " instead of " << c.expected;
  }
}

}  // namespace
}  // namespace batchwright

// How long answers of a job are, learned from those that have ended.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace batchwright {

// The past of a Past-Future scheduler (Gong et al., LightLLM, ASPLOS 2025): of the last answers, the length that one in
// twenty exceeds. The first that end are the short ones; so until kEnough have ended no answer is expected to be
// shorter than kPrior. What comes out decides how many rows run at once, never what they say.
class AnswerLengths {
 public:
  static constexpr int kPrior = 256;
  static constexpr size_t kEnough = 64;

  void record(int tokens);
  // Of an answer that may have so many tokens.
  int expected(int max_tokens) const;

 private:
  static constexpr size_t kRemembered = 1024;

  std::array<int, kRemembered> lengths_{};
  size_t recorded_ = 0;
};

}  // namespace batchwright

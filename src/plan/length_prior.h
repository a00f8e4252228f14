// How long answers will be, said before any of them is known: what the scenarios of a plan are drawn from.
#pragma once

#include <cstdint>

#include "schedule/answer_lengths.h"

namespace batchwright {

// Between the two outer ones the truth is meant to lie with four chances in five.
enum class LengthScenario { kLow, kExpected, kHigh };

// What is known of a row's answers (each choice's) before it runs.
struct AnswerBounds {
  uint32_t least = 1;      // min_tokens; max_tokens with ignore_eos; the shortest of a list of answers
  uint32_t most = 16;      // max_tokens, cut to what the context leaves; the longest of a list
  bool is_listed = false;  // out of a list: any of them is as likely as another
  uint32_t group = 0;      // answer_group()
};

// Lengths of answers are log-normal twice over: those of one task around its own median, and the medians of tasks
// around that of all. Before a row of the task has run its median is the great unknown; so the scenarios are three
// tasks - one in ten has shorter answers than the low one, one in ten longer ones than the high one - and all groups of
// a job move together, which errs on the side of too wide a range.
//
// The numbers are a judgement, not a fit: a median of 110 tokens lies between the means that are published for short
// instructions (Alpaca, 58 tokens) and for conversations (ShareGPT, 338; both in Kwon et al., "Efficient Memory
// Management for Large Language Model Serving with PagedAttention", SOSP 2023); tasks differ from one another by a
// factor of 4.5 either way at the outer scenarios, from 24 to 500 tokens - from a label with a word of reason to an
// essay -, and answers to one task by a factor of 2.5. Who sets max_tokens knows something of his answers: the middle
// task's median is no more than half of that. All are cut by max_tokens, where longer answers end.
//
// Where answers have ended before (a resumed job), at least AnswerLengths::kEnough of the same group or else of all,
// theirs take the prior's place, and the scenarios are apart by what chance leaves open in a mean of so many.
class LengthPrior {
 public:
  static constexpr double kMedian = 110;
  static constexpr double kBetweenTasks = 1.18;  // standard deviations of the logarithm
  static constexpr double kWithinTask = 0.7;

  // learnt: null, or what outlives this object.
  explicit LengthPrior(const AnswerLengths* learnt = nullptr) : learnt_(learnt) {}

  // What each choice of the row generates in this scenario: spread over the rows as the lengths of answers are, the
  // same for the same number of a row. Between least and most.
  uint32_t answer_tokens(const AnswerBounds& bounds, LengthScenario scenario, uint64_t row) const;

 private:
  const AnswerLengths* learnt_;
};

}  // namespace batchwright

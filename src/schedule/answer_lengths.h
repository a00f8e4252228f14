// How long answers of a job are, learned from those that have ended.
#pragma once

#include <cstddef>
#include <cstdint>
#include <unordered_map>
#include <vector>

#include "batchwright/request.h"

namespace batchwright {

// For how long an answer there must be memory when its row is admitted (Request::expected_tokens).
enum class Admission {
  kPastFuture,  // as AnswerLengths expects it: what the program does
  kReserveMax,  // max_tokens
  kPromptOnly,  // none
  kOracle,      // the true length, where it is known: in a simulation
};

// Rows whose answers are likely to be alike in length have equal groups: those whose prompts have the first half of a
// page in common - an instruction, where the row's own text comes after it - and that may answer equally long, both
// freely or both out of lists. Chance or malice may put others together; that costs time, never bytes.
uint32_t answer_group(const Request& request);

// The lengths of the last answers, in order. Not thread-safe.
class LengthSample {
 public:
  static constexpr size_t kRemembered = 1024;

  void record(int tokens);
  size_t size() const { return sorted_.size(); }
  double mean() const;
  double deviation() const;  // standard
  // The length that a share of 1 - q exceeds, 0 <= q <= 1; 0 where nothing is known.
  int quantile(double q) const;
  // The same among those longer than `tokens`; `tokens` where there is none.
  int quantile_beyond(int tokens, double q) const;

 private:
  int at(size_t begin, double q) const;

  std::vector<int> sorted_;
  std::vector<int> ring_;  // in order of time from next_ on, once it is full
  size_t next_ = 0;
  int64_t sum_ = 0;
  double sum_of_squares_ = 0;
};

// The past of a Past-Future scheduler (Gong et al., LightLLM, ASPLOS 2025): each row is expected to be as long as one
// of the last answers, drawn from the longer half, and who outlives that as long as one drawn likewise from
// those that were longer still. So many rows together are as long as they should be, and some more, whatever lengths
// there are; a fixed share's length is that of all or of none where there are two lengths in a group. More caution
// leaves memory empty, and less makes too many wait (plan/admission_test.cc). Nothing is left to chance: a row's draw
// follows from its number, and numbers that follow each other spread over all lengths.
//
// The first that end are the short ones; so until kEnough have ended no answer is expected to be shorter than kPrior,
// and of longer ones nothing is known. A group of which kEnough have ended is judged by its own answers, others by all.
// What comes out decides how many rows run at once, never what they say.
//
// Of kGroupsMax groups the lengths are kept, whatever the job: those of the group of which nothing has ended for the
// longest time give way. Not thread-safe.
class AnswerLengths {
 public:
  static constexpr int kPrior = 64;
  static constexpr size_t kEnough = 8;
  static constexpr size_t kGroupsMax = 64;

  void record(uint32_t group, int tokens);
  // Of an answer that may have max_tokens, and has more than `generated` where these are not 0: no more than these
  // where nothing longer is known. number: the row's, any.
  int expected(uint32_t group, int max_tokens, uint64_t number, int generated = 0) const;

  // What is known of the group's answers: its own where they are enough, otherwise all.
  const LengthSample& lengths(uint32_t group) const;
  const LengthSample& all() const { return all_; }
  // Null where they are not enough.
  const LengthSample* own_lengths(uint32_t group) const;

 private:
  struct Group {
    LengthSample lengths;
    uint64_t last_record = 0;
  };

  LengthSample all_;
  std::unordered_map<uint32_t, Group> groups_;
  uint64_t records_ = 0;
};

}  // namespace batchwright

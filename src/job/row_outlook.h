// What a row will ask of the scheduler and of the machine, as far as its request says.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <vector>

#include "batchwright/request.h"
#include "batchwright/status.h"
#include "engine/answer_work.h"
#include "plan/simulator.h"

namespace batchwright {

class Vocabulary;

struct RowOutlook {
  // Without what depends on its neighbours: common_tokens and reused_tokens are 0. Where answers end freely,
  // answer_tokens are the fewest that they may have; of a list it is one of the strings.
  SimulatedRow row;
  bool ends_freely = false;  // the model decides how long its answers are
};

// Thread-safe.
class RowOutlooks {
 public:
  // The vocabulary must outlive the object.
  RowOutlooks(const Vocabulary& vocabulary, int context_length)
      : vocabulary_(vocabulary), context_length_(context_length) {}

  // kInvalidArgument where the engine will refuse the request, with its message. number: the row's; rows with the same
  // list give its strings in turn.
  Result<RowOutlook> of(const Request& request, int64_t number);

 private:
  static constexpr size_t kListsMax = 16;

  // What follows from a list of answers; nothing but the trie where it is not scored.
  struct List {
    std::shared_ptr<const AllowedAnswers> answers;
    std::shared_ptr<const TokenTrie> trie;
    ScoredPaths paths;
  };
  Result<List> list_of(const std::shared_ptr<const AllowedAnswers>& answers);
  Status add_listed_answer(const Request& request, int64_t number, SimulatedRow& row);

  const Vocabulary& vocabulary_;
  const int context_length_;
  std::mutex mutex_;
  std::deque<List> lists_;  // those used last
};

}  // namespace batchwright

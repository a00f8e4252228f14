#include "job/row_outlook.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "base/status_macros.h"
#include "engine/request_check.h"
#include "schedule/answer_lengths.h"

namespace batchwright {
namespace {

uint16_t as_short(uint32_t count) {
  return static_cast<uint16_t>(std::min<uint32_t>(count, std::numeric_limits<uint16_t>::max()));
}

}  // namespace

Result<RowOutlook> RowOutlooks::of(const Request& request, int64_t number) {
  BATCHWRIGHT_RETURN_IF_ERROR(check_request(request, vocabulary_, context_length_));
  RowOutlook outlook;
  SimulatedRow& row = outlook.row;
  row.prompt_tokens = static_cast<uint32_t>(request.prompt.size());
  row.max_tokens = static_cast<uint32_t>(answer_tokens_max(request, context_length_));
  row.answer_tokens = row.max_tokens;
  row.answer_runs = row.max_tokens;
  row.group = answer_group(request);
  row.choices = as_short(static_cast<uint32_t>(request.n));
  row.full_logits = needs_full_logits(request, vocabulary_);
  row.is_shared = !request.prompt_logprobs;
  if (request.allowed_answers != nullptr) {
    BATCHWRIGHT_RETURN_IF_ERROR(add_listed_answer(request, number, row));
  } else {
    outlook.ends_freely = row.max_tokens > 1 && !runs_to_max_tokens(request, vocabulary_, context_length_);
    if (outlook.ends_freely) row.answer_tokens = static_cast<uint32_t>(std::clamp(request.min_tokens, 1, 1 << 24));
  }
  return outlook;
}

Status RowOutlooks::add_listed_answer(const Request& request, int64_t number, SimulatedRow& row) {
  BATCHWRIGHT_ASSIGN_OR_RETURN(const List list, list_of(request.allowed_answers));
  BATCHWRIGHT_RETURN_IF_ERROR(check_answers(request, *list.trie, context_length_));
  const bool all_computed = request.top_logprobs >= 0 || request.prompt_logprobs;
  const ListedAnswerWork work = listed_answer_work(*list.trie, static_cast<size_t>(number) % list.trie->answers(),
                                                   all_computed, request.answer_logprobs);
  row.answer_tokens = work.tokens;
  row.answer_runs = work.runs;
  if (request.answer_logprobs && list.paths.count > 0) {
    row.scored_paths = as_short(list.paths.count);
    row.scored_path_tokens = as_short((list.paths.tokens + list.paths.count / 2) / list.paths.count);
  }
  return {};
}

Result<RowOutlooks::List> RowOutlooks::list_of(const std::shared_ptr<const AllowedAnswers>& answers) {
  const std::lock_guard lock(mutex_);
  const auto found = std::find_if(lists_.begin(), lists_.end(), [&](const List& l) { return l.answers == answers; });
  if (found != lists_.end()) return *found;
  List list{answers, nullptr, {}};
  BATCHWRIGHT_ASSIGN_OR_RETURN(TokenTrie trie, make_trie(*answers, vocabulary_));
  list.paths = scored_paths(trie);
  list.trie = std::make_shared<const TokenTrie>(std::move(trie));
  if (lists_.size() == kListsMax) lists_.pop_back();
  lists_.push_front(list);
  return list;
}

}  // namespace batchwright

#include "protocol/answer_lists.h"

#include <algorithm>
#include <numeric>
#include <string>
#include <vector>

namespace batchwright {
namespace {

bool has_texts(const AnswerList& list, std::span<const std::string_view> texts) {
  return std::equal(list.answers.begin(), list.answers.end(), texts.begin(), texts.end(),
                    [](const AllowedAnswer& answer, std::string_view text) { return answer.text == text; });
}

std::optional<std::pair<size_t, size_t>> find_same_tokens(const AllowedAnswers& answers) {
  std::vector<size_t> order(answers.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return answers[a].tokens != answers[b].tokens ? answers[a].tokens < answers[b].tokens : a < b;
  });
  for (size_t i = 1; i < order.size(); ++i) {
    if (answers[order[i]].tokens == answers[order[i - 1]].tokens) return std::pair(order[i], order[i - 1]);
  }
  return std::nullopt;
}

std::shared_ptr<const AnswerList> make_list(std::span<const std::string_view> texts, const PromptEncoder& encoder) {
  auto list = std::make_shared<AnswerList>();
  list->answers.reserve(texts.size());
  for (const std::string_view text : texts) {
    list->answers.push_back({std::string(text), encoder.encode_answer(text)});
    const size_t last = list->answers.size() - 1;
    if (list->answers[last].tokens.size() > list->answers[list->longest].tokens.size()) list->longest = last;
  }
  list->same_tokens = find_same_tokens(list->answers);
  return list;
}

}  // namespace

std::shared_ptr<const AnswerList> AnswerLists::get(std::span<const std::string_view> texts,
                                                   const PromptEncoder& encoder) {
  std::shared_ptr<const AnswerList> last;
  {
    const std::lock_guard lock(mutex_);
    last = last_;
  }
  if (last && has_texts(*last, texts)) return last;
  auto made = make_list(texts, encoder);
  const std::lock_guard lock(mutex_);
  // Another thread may have made the same list meanwhile: then there is to be one only.
  if (last_ && has_texts(*last_, texts)) return last_;
  last_ = made;
  return made;
}

}  // namespace batchwright

// Lists of strings that an answer may be, as tokens.
#pragma once

#include <cstddef>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string_view>
#include <utility>

#include "batchwright/request.h"
#include "protocol/prompt_encoder.h"

namespace batchwright {

struct AnswerList {
  AllowedAnswers answers;
  size_t longest = 0;  // index of the first one with the most tokens
  // Two of them that no sequence of tokens can tell apart, the later one first; a list that has such is of no use.
  std::optional<std::pair<size_t, size_t>> same_tokens;

  int tokens_max() const { return static_cast<int>(answers[longest].tokens.size()); }
};

// Makes lists and remembers the last one: most rows of a job have the same. Thread-safe.
class AnswerLists {
 public:
  // texts: at least one. Who asks with equal texts one after the other gets the same object; always with the same
  // encoder.
  std::shared_ptr<const AnswerList> get(std::span<const std::string_view> texts, const PromptEncoder& encoder);

 private:
  std::mutex mutex_;
  std::shared_ptr<const AnswerList> last_;
};

}  // namespace batchwright

// Which requests can run at all. Errors are kInvalidArgument; messages name the field, the value and the limit.
#pragma once

#include <cstdint>

#include "batchwright/request.h"
#include "batchwright/status.h"
#include "decode/token_trie.h"
#include "text/vocabulary.h"

namespace batchwright {

Status check_range(const char* field, int64_t value, int64_t least, int64_t most);

// All but the allowed answers.
Status check_request(const Request& request, const Vocabulary& vocabulary, int context_length);

// The trie of a list whose tokens are in the vocabulary and end no text.
Result<TokenTrie> make_trie(const AllowedAnswers& answers, const Vocabulary& vocabulary);

// The other fields of a request with allowed answers. trie: theirs.
Status check_answers(const Request& request, const TokenTrie& trie, int context_length);

}  // namespace batchwright

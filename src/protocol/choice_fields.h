#pragma once

#include <memory>

#include "protocol/answer_lists.h"
#include "protocol/body_reader.h"
#include "protocol/prepare_request.h"

namespace batchwright {

// Reads `choice` (or `guided_choice`, as vLLM calls it) and `choice_logprobs`; the defaults where the body has no list
// of its own. Null where anything may be answered.
std::shared_ptr<const AnswerList> read_choice(BodyReader& body, const ProtocolContext& context, Request& request);

// Refuses what cannot be combined with a list of answers, once the other fields are read into `request`; sets
// max_tokens to what the longest answer needs.
void check_fields_beside_choice(BodyReader& body, const AnswerList& answers, Request& request);

}  // namespace batchwright

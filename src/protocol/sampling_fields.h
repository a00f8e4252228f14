#pragma once

#include <string_view>

#include "protocol/body_reader.h"
#include "protocol/prepare_request.h"

namespace batchwright {

// Reads how to choose tokens and when to stop: all but the prompt, max_tokens' default and log-probabilities.
// Where the request has allowed answers, the defaults for when to stop are not applied.
// max_tokens is left at the context's length where nothing says otherwise; `lowest_max_tokens` is 0 or 1.
void read_sampling_fields(BodyReader& body, std::string_view seed_key, const ProtocolContext& context,
                          int lowest_max_tokens, int default_max_tokens, Request& request);

}  // namespace batchwright

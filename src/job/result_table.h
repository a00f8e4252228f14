// Results as a table, for outputs whose name ends in ".csv": docs/formats/results.md.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "batchwright/request.h"
#include "batchwright/status.h"
#include "protocol/prepare_request.h"

namespace batchwright {

// kInvalidArgument where a carried column has the name of one that the results have themselves.
Status check_carried_names(std::span<const std::string> carried);

// The names: custom_id, the carried columns, answer, finish_reason, prompt_tokens, completion_tokens; with_probability:
// also probability, the answer's among a list of choices. With its line feed.
std::string table_header(std::span<const std::string> carried, bool with_probability);

// With its line feed. Precondition: the completion's status is ok.
std::string table_record(std::string_view custom_id, std::span<const std::string> carried, const ResponseShape& shape,
                         const Completion& completion, bool with_probability);

}  // namespace batchwright

#pragma once

#include "protocol/body_reader.h"
#include "protocol/prepare_request.h"

namespace batchwright {

// Refuses the known fields that would change the meaning of the request and are not supported, unless they have the
// value that changes nothing; marks those that change nothing in any case as read.
void check_refused_fields(Endpoint endpoint, BodyReader& body);

}  // namespace batchwright

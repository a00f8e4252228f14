// Rows that are lines of JSON: docs/formats/rows.md.
#pragma once

#include <memory>

#include "job/row_format.h"

namespace batchwright {

std::unique_ptr<RowFormat> json_lines_format(const ProtocolLimits& limits);

}  // namespace batchwright

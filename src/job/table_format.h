// Rows that are records of a table, in CSV or TSV: docs/formats/rows.md.
#pragma once

#include <memory>
#include <string>

#include "job/row_format.h"

namespace batchwright {

// Reads the header. Errors: those of open_row_format().
Result<std::unique_ptr<RowFormat>> open_table_format(const RowFormatOptions& options, const ProtocolLimits& limits,
                                                     const ReadableFile& file, const std::string& name);

}  // namespace batchwright

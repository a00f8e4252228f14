#pragma once

#include <memory>

#include "base/file_system.h"

namespace batchwright {

// The machine's files. Interrupted and short calls are continued; writers are locked with flock; scratch files lie in
// TMPDIR (else /tmp) without a name.
std::unique_ptr<FileSystem> posix_file_system();

}  // namespace batchwright

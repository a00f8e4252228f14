#pragma once

namespace batchwright {

// SIGINT and SIGTERM ask for a stop; a second one ends the process at once with exit code 130.
void watch_stop_signals();
bool stop_signalled();

}  // namespace batchwright

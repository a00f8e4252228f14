// The command line: parsing, help, and which command runs.
#pragma once

namespace batchwright {

// What main() does; the exit code.
int run_command_line(int argc, const char* const* argv);

}  // namespace batchwright

#include "cli/cli.h"

int main(int argc, char** argv) { return batchwright::run_command_line(argc, argv); }

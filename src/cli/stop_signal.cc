#include "cli/stop_signal.h"

#include <unistd.h>

#include <atomic>
#include <csignal>

#include "cli/exit_code.h"

namespace batchwright {
namespace {

std::atomic<bool> stopping{false};
static_assert(std::atomic<bool>::is_always_lock_free);

void on_signal(int /*signal*/) {
  if (stopping.exchange(true)) ::_exit(kExitKilled);
}

}  // namespace

void watch_stop_signals() {
  struct sigaction action {};
  action.sa_handler = on_signal;
  ::sigemptyset(&action.sa_mask);
  // Reading standard input must not go on waiting, so calls are interrupted rather than restarted.
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
  // Of a terminal that went away; nohup makes it ignored, and so it stays.
  struct sigaction former {};
  if (::sigaction(SIGHUP, nullptr, &former) == 0 && former.sa_handler != SIG_IGN) ::sigaction(SIGHUP, &action, nullptr);
}

bool stop_signalled() { return stopping.load(); }

}  // namespace batchwright

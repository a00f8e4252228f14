// Where memory runs out on a thread of its own, the thread's owner is told: an exception that leaves a thread ends the
// process.
#pragma once

#include <new>
#include <system_error>

#include "batchwright/status.h"

namespace batchwright {

// kResourceExhausted with a message so short that std::string takes no memory for it: it can be made when there is
// none. Who hands it on says what was being done.
inline Status out_of_memory() noexcept { return resource_exhausted("out of memory"); }

// The status of f(); out_of_memory() where it throws std::bad_alloc, or std::system_error, as a thread does that gets
// no memory for its stack. Anything else that it throws passes: a defect.
template <class F>
Status catch_out_of_memory(F&& f) {
  try {
    return f();
  } catch (const std::bad_alloc&) {
    return out_of_memory();
  } catch (const std::system_error&) {
    return out_of_memory();
  }
}

}  // namespace batchwright

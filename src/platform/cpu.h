// What the processor can do and how much of it this process may use.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "batchwright/options.h"
#include "batchwright/status.h"

namespace batchwright {

const char* isa_name(Isa isa);

// All sets, weakest first.
std::span<const Isa> all_isas();

// True where `needed` is `set` itself or one of those that it is built on, so that a machine with `set` has `needed`.
bool includes(Isa set, Isa needed);

// True where both processor and operating system support the set.
bool machine_has(Isa isa);

// The strongest set that the machine has.
Isa strongest_isa();

// What "auto" means: the strongest set of the machine whose kernels have been run on real processors. Those of AMX have
// been run on emulated tiles only, so AMX must be asked for.
Isa default_isa();

// "auto" or a name. `requested` empty: the environment variable BATCHWRIGHT_ISA, else auto. kInvalidArgument for an
// unknown name (the names are listed) and for a set that the machine lacks.
Result<Isa> select_isa(std::string_view requested);

// What the processor calls itself, as "AMD EPYC 9B14"; empty where it does not say.
std::string processor_name();

// CPUs of the affinity mask, and no more than the cgroup's quota allows (rounded up); at least 1.
int usable_cpus();

// Bytes that this process may still take: MemAvailable, and what the cgroup's limit leaves.
size_t available_memory_bytes();

// The largest resident size of this process so far.
size_t peak_memory_bytes();

// How often a CPU was taken from one of this process' threads that could have gone on, for other work.
int64_t preemptions();

// Sets the floating-point environment that numerics.md asks for (round to nearest even, no flush to zero, exceptions
// masked), and restores the former one at the end of the scope.
class FloatEnvironment {
 public:
  FloatEnvironment();
  ~FloatEnvironment();
  FloatEnvironment(const FloatEnvironment&) = delete;
  FloatEnvironment& operator=(const FloatEnvironment&) = delete;

 private:
  unsigned saved_;
};

}  // namespace batchwright

// How much memory the system lets this process take, where a cgroup limits it.
#pragma once

#include <cstddef>
#include <optional>
#include <string>

namespace batchwright {

struct CgroupMemory {
  size_t limit = 0;  // of the group that leaves least: this process's own, or one above it
  size_t left = 0;   // of it: without what the group's processes hold, files' cached pages excepted, which give way
};

// None where nothing is limited or nothing can be read. Both versions of cgroups are looked at, also side by side:
// memory.max of the unified hierarchy, memory.limit_in_bytes of the memory controller's own.
// membership: the list of this process's groups; mounts: the folder under which hierarchies are mounted.
std::optional<CgroupMemory> cgroup_memory(const std::string& membership = "/proc/self/cgroup",
                                          const std::string& mounts = "/sys/fs/cgroup");

// Gives what the allocator keeps of freed memory back to the system, where that can be done.
void return_freed_memory();

// What this process holds now of memory that is its own: not that of files.
size_t own_memory_bytes();

}  // namespace batchwright

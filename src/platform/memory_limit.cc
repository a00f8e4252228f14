#include "platform/memory_limit.h"

#include <unistd.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

#include <algorithm>
#include <fstream>
#include <string_view>
#include <vector>

namespace batchwright {
namespace {

// Of the first version, "no limit" is the greatest multiple of a page; nothing real is as large.
constexpr size_t kNoLimit = size_t{1} << 60;

struct Hierarchy {
  std::vector<std::string> mounts;
  const char* limit;
  const char* usage;
  const char* cached_prefix;  // of the keys of memory.stat that count the groups below as well
};

std::optional<size_t> read_number(const std::string& path) {
  std::ifstream in(path);
  size_t number = 0;
  return in >> number ? std::optional(number) : std::nullopt;  // "max" is no number
}

size_t cached_bytes(const std::string& folder, const std::string& prefix) {
  std::ifstream in(folder + "/memory.stat");
  std::string key;
  size_t value = 0;
  size_t cached = 0;
  while (in >> key >> value) {
    if (key == prefix + "inactive_file" || key == prefix + "active_file") cached += value;
  }
  return cached;
}

std::optional<CgroupMemory> read_group(const Hierarchy& hierarchy, const std::string& folder) {
  const auto limit = read_number(folder + "/" + hierarchy.limit);
  const auto usage = read_number(folder + "/" + hierarchy.usage);
  if (!limit || !usage || *limit >= kNoLimit) return std::nullopt;
  const size_t held = *usage - std::min(*usage, cached_bytes(folder, hierarchy.cached_prefix));
  return CgroupMemory{*limit, *limit - std::min(*limit, held)};
}

// The group at `path` and all above it, as far as they can be seen: in a container the upper ones cannot.
void look_up_from(const Hierarchy& hierarchy, std::string path, std::optional<CgroupMemory>& least) {
  while (true) {
    for (const std::string& mount : hierarchy.mounts) {
      const auto group = read_group(hierarchy, mount + path);
      if (group && (!least || group->left < least->left)) least = group;
    }
    const size_t slash = path.rfind('/');
    if (slash == std::string::npos) return;
    path.resize(slash);
  }
}

}  // namespace

std::optional<CgroupMemory> cgroup_memory(const std::string& membership, const std::string& mounts) {
  const Hierarchy unified{{mounts, mounts + "/unified"}, "memory.max", "memory.current", ""};
  const Hierarchy memory{{mounts + "/memory"}, "memory.limit_in_bytes", "memory.usage_in_bytes", "total_"};
  std::optional<CgroupMemory> least;
  std::ifstream in(membership);
  for (std::string line; std::getline(in, line);) {  // "4:memory,cpu:/a/b", and "0::/a/b" of the unified one
    const size_t first = line.find(':');
    const size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = "," + line.substr(first + 1, second - first - 1) + ",";
    const std::string path = line.substr(second + 1);
    if (controllers == ",,") look_up_from(unified, path, least);
    if (controllers.find(",memory,") != std::string::npos) look_up_from(memory, path, least);
  }
  return least;
}

void return_freed_memory() {
#ifdef __GLIBC__
  malloc_trim(0);
#endif
}

size_t own_memory_bytes() {
  std::ifstream in("/proc/self/statm");
  size_t size = 0;
  size_t resident = 0;
  size_t shared = 0;
  if (!(in >> size >> resident >> shared) || resident < shared) return 0;
  return (resident - shared) * static_cast<size_t>(sysconf(_SC_PAGESIZE));
}

}  // namespace batchwright

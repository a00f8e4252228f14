#include "platform/cpu.h"

#include <cpuid.h>
#include <fmt/format.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <xmmintrin.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <thread>

#include "platform/memory_limit.h"

namespace batchwright {
namespace {

constexpr Isa kAllIsas[] = {Isa::kScalar, Isa::kAvx2, Isa::kAvxVnni, Isa::kAvx512, Isa::kVnni, Isa::kAmx};

struct Leaf {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
};

Leaf cpuid(unsigned leaf, unsigned subleaf) {
  Leaf r;
  if (__get_cpuid_count(leaf, subleaf, &r.eax, &r.ebx, &r.ecx, &r.edx) == 0) return {};
  return r;
}

uint64_t enabled_state() {
  if ((cpuid(1, 0).ecx & bit_OSXSAVE) == 0) return 0;
  uint32_t low = 0;
  uint32_t high = 0;
  asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (uint64_t{high} << 32) | low;
}

// AMX tiles must be asked for from the kernel before their first use. The permission is the process's: all its threads
// have it, those that begin later too, and so do forked children; a thread's first tile instruction makes the kernel
// enlarge what it saves of that thread. Kernels before 5.16 refuse; then the machine counts as without.
bool request_amx() {
  constexpr int kArchReqXcompPerm = 0x1023;
  constexpr int kTileData = 18;
  return syscall(SYS_arch_prctl, kArchReqXcompPerm, kTileData) == 0;
}

bool detect(Isa isa) {
  constexpr uint64_t kYmm = 0x6;
  constexpr uint64_t kZmm = 0xe6;
  constexpr uint64_t kTiles = 0x60000;
  const uint64_t state = enabled_state();
  const Leaf l1 = cpuid(1, 0);
  const Leaf l7 = cpuid(7, 0);
  switch (isa) {
    case Isa::kScalar:
      return true;
    case Isa::kAvx2:
      return (state & kYmm) == kYmm && (l7.ebx & bit_AVX2) != 0 && (l1.ecx & bit_FMA) != 0 && (l1.ecx & bit_F16C) != 0;
    case Isa::kAvxVnni: {
      constexpr unsigned kAvxVnni = 1U << 4;
      return detect(Isa::kAvx2) && (cpuid(7, 1).eax & kAvxVnni) != 0;
    }
    case Isa::kAvx512: {
      constexpr unsigned kBits = bit_AVX512F | bit_AVX512BW | bit_AVX512VL | bit_AVX512DQ;
      return detect(Isa::kAvx2) && (state & kZmm) == kZmm && (l7.ebx & kBits) == kBits;
    }
    case Isa::kVnni:
      return detect(Isa::kAvx512) && (l7.ecx & bit_AVX512VNNI) != 0;
    case Isa::kAmx: {
      constexpr unsigned kAmxTile = 1U << 24;
      constexpr unsigned kAmxInt8 = 1U << 25;
      return detect(Isa::kVnni) && (state & kTiles) == kTiles && (l7.edx & kAmxTile) != 0 && (l7.edx & kAmxInt8) != 0 &&
             request_amx();
    }
  }
  return false;
}

// The set that `isa` adds to.
Isa base_of(Isa isa) {
  switch (isa) {
    case Isa::kScalar:
    case Isa::kAvx2:
      return Isa::kScalar;
    case Isa::kAvxVnni:
    case Isa::kAvx512:
      return Isa::kAvx2;
    case Isa::kVnni:
      return Isa::kAvx512;
    case Isa::kAmx:
      return Isa::kVnni;
  }
  return Isa::kScalar;
}

// A cgroup's controller file of this process (v2), or an empty string.
std::string read_cgroup(const std::string& file) {
  std::ifstream self("/proc/self/cgroup");
  std::string line;
  std::string path;
  while (std::getline(self, line)) {
    if (line.rfind("0::", 0) == 0) path = line.substr(3);
  }
  for (const std::string& folder : {"/sys/fs/cgroup" + path, std::string("/sys/fs/cgroup")}) {
    std::ifstream in(folder + "/" + file);
    std::string content;
    if (std::getline(in, content)) return content;
  }
  return "";
}

}  // namespace

const char* isa_name(Isa isa) {
  switch (isa) {
    case Isa::kScalar:
      return "scalar";
    case Isa::kAvx2:
      return "avx2";
    case Isa::kAvxVnni:
      return "avxvnni";
    case Isa::kAvx512:
      return "avx512";
    case Isa::kVnni:
      return "vnni";
    case Isa::kAmx:
      return "amx";
  }
  return "?";
}

std::span<const Isa> all_isas() { return kAllIsas; }

bool includes(Isa set, Isa needed) {
  while (set != needed && set != Isa::kScalar) set = base_of(set);
  return set == needed;
}

bool machine_has(Isa isa) {
  static const auto kHas = [] {
    std::vector<bool> has;
    for (const Isa candidate : kAllIsas) has.push_back(detect(candidate));
    return has;
  }();
  return kHas[static_cast<size_t>(isa)];
}

Isa strongest_isa() {
  Isa strongest = Isa::kScalar;
  for (const Isa isa : kAllIsas) {
    if (machine_has(isa)) strongest = isa;
  }
  return strongest;
}

Isa default_isa() {
  const Isa strongest = strongest_isa();
  return strongest == Isa::kAmx ? Isa::kVnni : strongest;
}

Result<Isa> select_isa(std::string_view requested) {
  std::string name(requested);
  std::string source = "--isa";
  if (name.empty()) {
    const char* environment = std::getenv("BATCHWRIGHT_ISA");
    name = environment != nullptr && *environment != '\0' ? environment : "auto";
    source = "BATCHWRIGHT_ISA";
  }
  if (name == "auto") return default_isa();
  for (const Isa isa : kAllIsas) {
    if (name != isa_name(isa)) continue;
    if (machine_has(isa)) return isa;
    return invalid_argument(fmt::format("{}: this machine has no {}; its strongest instruction set is {}", source, name,
                                        isa_name(strongest_isa())));
  }
  return invalid_argument(fmt::format(
      "{}: unknown instruction set '{}'; known are auto, scalar, avx2, avxvnni, avx512, vnni, amx", source, name));
}

std::string processor_name() {
  std::string name;
  for (unsigned leaf = 0x80000002; leaf <= 0x80000004; ++leaf) {
    const Leaf part = cpuid(leaf, 0);
    for (const unsigned word : {part.eax, part.ebx, part.ecx, part.edx}) {
      for (unsigned shift = 0; shift < 32; shift += 8) name += static_cast<char>(word >> shift & 0xff);
    }
  }
  name.resize(std::min(name.size(), name.find('\0')));
  while (name.ends_with(' ')) name.pop_back();
  return name;
}

int usable_cpus() {
  int cpus = static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
  cpu_set_t mask;
  if (sched_getaffinity(0, sizeof mask, &mask) == 0) cpus = std::max(1, CPU_COUNT(&mask));
  const std::string quota = read_cgroup("cpu.max");  // "max 100000" or "150000 100000"
  char* rest = nullptr;
  const double allowed = std::strtod(quota.c_str(), &rest);
  if (rest != quota.c_str()) {
    const double period = std::strtod(rest, nullptr);
    if (period > 0 && allowed > 0) cpus = std::clamp(static_cast<int>(std::ceil(allowed / period)), 1, cpus);
  }
  return cpus;
}

size_t available_memory_bytes() {
  size_t available = SIZE_MAX;
  std::ifstream info("/proc/meminfo");
  std::string key;
  size_t kib = 0;
  std::string rest;
  while (info >> key >> kib && std::getline(info, rest)) {
    if (key == "MemAvailable:") available = kib * 1024;
  }
  if (const auto group = cgroup_memory()) available = std::min(available, group->left);
  return available == SIZE_MAX ? size_t{1} << 30 : available;
}

size_t peak_memory_bytes() {
  // What getrusage() says begins with the size of the process that started this one.
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.rfind("VmHWM:", 0) == 0) return size_t{std::strtoull(line.c_str() + 6, nullptr, 10)} * 1024;
  }
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<size_t>(usage.ru_maxrss) * 1024;
}

int64_t preemptions() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_nivcsw;
}

FloatEnvironment::FloatEnvironment() : saved_(_mm_getcsr()) { _mm_setcsr(0x1f80); }
FloatEnvironment::~FloatEnvironment() { _mm_setcsr(saved_); }

}  // namespace batchwright

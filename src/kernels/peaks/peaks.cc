#include "kernels/peaks/peaks.h"

#include <emmintrin.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

#include "kernels/peaks/loops.h"
#include "platform/cpu.h"
#include "platform/thread_pool.h"

namespace batchwright {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

// Billions a second: the best slice of each thread, all running at once, added up. A neighbour's disturbance can only
// make slices slower.
double measure_loop(const PeakLoop& loop, ThreadPool& pool, double seconds) {
  constexpr int64_t kIterations = 20'000;  // well under a millisecond
  std::vector<double> best(static_cast<size_t>(pool.size()), 0.0);
  pool.run([&](int worker) {
    loop.run(kIterations);
    double most = 0;
    const auto begin = Clock::now();
    do {
      const auto start = Clock::now();
      loop.run(kIterations);
      most = std::max(most, static_cast<double>(kIterations * loop.multiply_adds) / seconds_since(start));
    } while (seconds_since(begin) < seconds);
    best[static_cast<size_t>(worker)] = most;
  });
  double sum = 0;
  for (const double b : best) sum += b;
  return sum / 1e9;
}

void read_all(const uint8_t* data, size_t bytes) {
  __m128i a = _mm_setzero_si128();
  __m128i b = a;
  __m128i c = a;
  __m128i d = a;
  const auto* p = reinterpret_cast<const __m128i*>(data);
  for (size_t i = 0; i < bytes / 16; i += 4) {
    a = _mm_xor_si128(a, _mm_load_si128(p + i));
    b = _mm_xor_si128(b, _mm_load_si128(p + i + 1));
    c = _mm_xor_si128(c, _mm_load_si128(p + i + 2));
    d = _mm_xor_si128(d, _mm_load_si128(p + i + 3));
  }
  asm volatile("" : : "x"(_mm_xor_si128(_mm_xor_si128(a, b), _mm_xor_si128(c, d))));
}

size_t default_read_bytes() {
  const long cache = sysconf(_SC_LEVEL3_CACHE_SIZE);
  const size_t wanted = std::max(size_t{256} << 20, static_cast<size_t>(std::max(cache, 0L)) * 8);
  return std::min(wanted, available_memory_bytes() / 4);
}

double measure_bandwidth(ThreadPool& pool, double seconds, size_t read_bytes) {
  constexpr size_t kHugePage = size_t{2} << 20;
  const size_t workers = static_cast<size_t>(pool.size());
  const size_t share = (read_bytes / workers + kHugePage - 1) / kHugePage * kHugePage;
  const size_t bytes = share * workers;
  const std::unique_ptr<void, decltype(&std::free)> memory(std::aligned_alloc(kHugePage, bytes), &std::free);
  if (memory == nullptr || bytes == 0) return 0;
  (void)madvise(memory.get(), bytes, MADV_HUGEPAGE);  // seconds of page faults fewer on virtual machines
  auto* data = static_cast<uint8_t*>(memory.get());
  double best = 0;
  bool done = false;
  pool.run([&](int worker) {
    uint8_t* mine = data + share * static_cast<size_t>(worker);
    std::memset(mine, 1, share);  // the memory of the worker's own node
    const auto begin = Clock::now();
    Clock::time_point start;
    while (true) {
      pool.barrier().wait();
      if (worker == 0) {
        done = best > 0 && seconds_since(begin) >= seconds;
        start = Clock::now();
      }
      pool.barrier().wait();
      if (done) return;
      read_all(mine, share);
      pool.barrier().wait();
      if (worker == 0) best = std::max(best, static_cast<double>(bytes) / seconds_since(start));
    }
  });
  return best / 1e9;
}

}  // namespace

Peaks measure_peaks(Isa isa, int threads, double seconds, size_t read_bytes) {
  ThreadPool pool(std::max(threads, 1));
  const double part = seconds / 6;
  Peaks peaks;
  if (machine_has(Isa::kAvx2)) {
    peaks.int8_maddubs_madd = measure_loop(kPeakMaddubsMadd, pool, part);
    peaks.int8_maddubs_add16 = measure_loop(kPeakMaddubsAdd16, pool, part);
  }
  if (machine_has(Isa::kAvxVnni)) peaks.int8_avxvnni = measure_loop(kPeakAvxVnni, pool, part);
  if (machine_has(Isa::kVnni)) peaks.int8_vnni = measure_loop(kPeakVnni, pool, part);
  if (includes(isa, Isa::kAvx512) && machine_has(Isa::kAvx512)) {
    peaks.fp32_fma = measure_loop(kPeakFma512, pool, part);
  } else if (includes(isa, Isa::kAvx2) && machine_has(Isa::kAvx2)) {
    peaks.fp32_fma = measure_loop(kPeakFma256, pool, part);
  }
  peaks.read_bandwidth = measure_bandwidth(pool, part, read_bytes != 0 ? read_bytes : default_read_bytes());
  return peaks;
}

}  // namespace batchwright

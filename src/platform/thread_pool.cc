#include "platform/thread_pool.h"

#include <xmmintrin.h>

#include <exception>
#include <new>

#include "base/check.h"
#include "platform/cpu.h"

namespace batchwright {
namespace {

// About 20 microseconds of pauses: longer than the gap between two stages or steps, shorter than a time slice.
constexpr int kSpins = 2000;

}  // namespace

void SpinBarrier::wait() {
  const uint32_t generation = generation_.load(std::memory_order_acquire);
  if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == participants_) {
    arrived_.store(0, std::memory_order_relaxed);
    generation_.fetch_add(1, std::memory_order_release);
    return;
  }
  for (int spins = 0; generation_.load(std::memory_order_acquire) == generation; ++spins) {
    if (spins < kSpins) {
      _mm_pause();
    } else {
      std::this_thread::yield();
    }
  }
}

ThreadPool::ThreadPool(int threads) : size_(threads), barrier_(threads) {
  BATCHWRIGHT_CHECK(threads >= 1);
  workers_.reserve(static_cast<size_t>(threads - 1));
  try {
    for (int worker = 1; worker < threads; ++worker) {
      workers_.emplace_back([this, worker] { work(worker); });
    }
  } catch (const std::exception&) {
    // Those that were started wait for work, and are waited for.
    stop();
    throw std::bad_alloc();
  }
}

ThreadPool::~ThreadPool() { stop(); }

void ThreadPool::stop() {
  stopping_.store(true, std::memory_order_relaxed);
  epoch_.fetch_add(1, std::memory_order_release);
  epoch_.notify_all();
}

void ThreadPool::run(const std::function<void(int)>& task) {
  const FloatEnvironment environment;
  task_ = &task;
  pending_.store(size_ - 1, std::memory_order_relaxed);
  epoch_.fetch_add(1, std::memory_order_release);
  epoch_.notify_all();
  [&]() noexcept { task(0); }();
  for (int spins = 0; pending_.load(std::memory_order_acquire) != 0; ++spins) {
    if (spins < kSpins) {
      _mm_pause();
    } else {
      std::this_thread::yield();
    }
  }
}

void ThreadPool::work(int worker) noexcept {
  const FloatEnvironment environment;
  uint32_t seen = 0;
  while (true) {
    uint32_t epoch = epoch_.load(std::memory_order_acquire);
    for (int spins = 0; epoch == seen && spins < kSpins; ++spins) {
      _mm_pause();
      epoch = epoch_.load(std::memory_order_acquire);
    }
    if (epoch == seen) {
      epoch_.wait(seen, std::memory_order_acquire);
      continue;
    }
    seen = epoch;
    if (stopping_.load(std::memory_order_relaxed)) return;
    (*task_)(worker);
    pending_.fetch_sub(1, std::memory_order_release);
  }
}

}  // namespace batchwright

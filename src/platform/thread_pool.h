#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

namespace batchwright {

// A barrier for the workers of one pool: spins shortly, then yields, so that other threads of a small machine (reading,
// tokenising, writing) are not starved.
class SpinBarrier {
 public:
  explicit SpinBarrier(int participants) : participants_(participants) {}
  void wait();

 private:
  const int participants_;
  std::atomic<int> arrived_{0};
  std::atomic<uint32_t> generation_{0};
};

// Persistent workers. run(f) calls f(worker) on every worker at once, worker 0 being the caller; returns when all are
// done. One run at a time, always from the same thread at a time. Workers sleep between runs after a short spin, and
// keep the floating-point environment of numerics.md. f must not throw: others may wait for it at the barrier, so that
// an exception ends the process.
class ThreadPool {
 public:
  // Throws std::bad_alloc where a thread cannot be started.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int size() const { return size_; }
  void run(const std::function<void(int worker)>& task);
  SpinBarrier& barrier() { return barrier_; }

 private:
  void work(int worker) noexcept;
  void stop();

  const int size_;
  SpinBarrier barrier_;
  const std::function<void(int)>* task_ = nullptr;
  std::atomic<uint32_t> epoch_{0};
  std::atomic<int> pending_{0};
  std::atomic<bool> stopping_{false};
  std::vector<std::jthread> workers_;
};

}  // namespace batchwright

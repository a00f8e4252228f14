#include "formats/allocation_count.h"

#include <atomic>
#include <cstdlib>
#include <new>

namespace {
std::atomic<uint64_t> g_allocated_bytes{0};
}  // namespace

// In a file of its own, which allocates nothing: inlined beside uses, g++ takes the pair for a mismatch.
void* operator new(size_t size) {
  g_allocated_bytes += size;
  if (void* memory = std::malloc(size != 0 ? size : 1)) return memory;
  throw std::bad_alloc();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }

namespace batchwright::formats {

uint64_t allocated_bytes() { return g_allocated_bytes; }

}  // namespace batchwright::formats

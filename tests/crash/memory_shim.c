// A library to preload (LD_PRELOAD) that counts a program's requests for memory - malloc, calloc, realloc and the
// aligned ones, on which operator new stands - and refuses some of them. Environment:
//
//   BATCHWRIGHT_MEMORY_FAULT   "AT" or "AT,COUNT": the first request that fails, from 1, and how many do (default 1);
//                              without it, only counting
//   BATCHWRIGHT_MEMORY_COUNTS  a file for the line "REQUESTS REFUSED", written at exit
//
// The GNU C library's own names for its functions are called, not dlsym(3), which asks for memory itself.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void* __libc_malloc(size_t size);
void* __libc_calloc(size_t count, size_t size);
void* __libc_realloc(void* old, size_t size);
void* __libc_memalign(size_t alignment, size_t size);

static atomic_long requests;
static atomic_long refused;
static long first = 0;
static long last = -1;

__attribute__((constructor)) static void read_fault(void) {
  const char* const text = getenv("BATCHWRIGHT_MEMORY_FAULT");
  if (text == NULL) return;
  char* rest = NULL;
  first = strtol(text, &rest, 10);
  last = *rest == ',' ? first + strtol(rest + 1, NULL, 10) - 1 : first;
}

__attribute__((destructor)) static void write_counts(void) {
  const char* const path = getenv("BATCHWRIGHT_MEMORY_COUNTS");
  if (path == NULL) return;
  char text[64];
  const int length = snprintf(text, sizeof(text), "%ld %ld\n", atomic_load(&requests), atomic_load(&refused));
  const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (fd < 0) return;
  (void)!write(fd, text, (size_t)length);
  close(fd);
}

static bool is_refused(void) {
  const long number = atomic_fetch_add(&requests, 1) + 1;
  if (number < first || number > last) return false;
  atomic_fetch_add(&refused, 1);
  errno = ENOMEM;
  return true;
}

void* malloc(size_t size) { return is_refused() ? NULL : __libc_malloc(size); }
void* calloc(size_t count, size_t size) { return is_refused() ? NULL : __libc_calloc(count, size); }
void* realloc(void* old, size_t size) { return is_refused() ? NULL : __libc_realloc(old, size); }
void* memalign(size_t alignment, size_t size) { return is_refused() ? NULL : __libc_memalign(alignment, size); }
void* aligned_alloc(size_t alignment, size_t size) { return memalign(alignment, size); }

int posix_memalign(void** out, size_t alignment, size_t size) {
  void* const memory = memalign(alignment, size);
  if (memory == NULL) return ENOMEM;
  *out = memory;
  return 0;
}

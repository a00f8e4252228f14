// A broken invariant of this program ends it with a message. Never used on anything a user or a file can cause.
#pragma once

#include <cstdio>
#include <cstdlib>

#define BATCHWRIGHT_CHECK(condition)                                                                       \
  do {                                                                                                     \
    if (!(condition)) [[unlikely]] {                                                                       \
      std::fprintf(stderr, "batchwright: broken invariant: %s (%s:%d)\n", #condition, __FILE__, __LINE__); \
      std::abort();                                                                                        \
    }                                                                                                      \
  } while (false)

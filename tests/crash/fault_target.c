// fault_target FOLDER [threads]: makes each kind of call that fault_shim.c knows on files in the folder, and tells on
// standard output, a line each, its kind, its result and its error. With "threads", 4 threads write 250 bytes each, one
// by one; it tells how many writes failed.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/uio.h>
#include <unistd.h>

static long tell(const char* kind, long result) {
  const int error = result < 0 ? errno : 0;
  char line[64];
  const int length =
      snprintf(line, sizeof(line), "%s %ld %d\n", kind, kind[0] == 'o' && result >= 0 ? 0 : result, error);
  return write(STDOUT_FILENO, line, (size_t)length) == length ? result : -1;
}

static int file;
static atomic_int failures;

static void* write_bytes(void* unused) {
  for (int i = 0; i < 250; ++i) {
    if (write(file, "x", 1) != 1) atomic_fetch_add(&failures, 1);
  }
  return unused;
}

static int write_in_threads(void) {
  file = open("many", O_WRONLY | O_CREAT | O_APPEND, 0666);
  pthread_t threads[4];
  for (int i = 0; i < 4; ++i) pthread_create(&threads[i], NULL, write_bytes, NULL);
  for (int i = 0; i < 4; ++i) pthread_join(threads[i], NULL);
  printf("%d\n", atomic_load(&failures));
  return close(file);
}

int main(int argc, char** argv) {
  if (argc < 2 || chdir(argv[1]) != 0) return 2;
  if (argc > 2) return write_in_threads();
  char buffer[16];
  char path[4096];
  snprintf(path, sizeof(path), "%s/a", argv[1]);
  const int a = (int)tell("open", open(path, O_RDWR | O_CREAT | O_EXCL, 0666));
  tell("flock", flock(a, LOCK_EX | LOCK_NB));
  tell("write", write(a, "0123456789", 10));
  tell("write", pwrite(a, "abcdefghij", 10, 10));
  lseek(a, 20, SEEK_SET);
  const struct iovec parts[3] = {{"xy", 2}, {"z", 1}, {"XYZ", 3}};
  tell("write", writev(a, parts, 3));
  tell("read", pread(a, buffer, 10, 10));
  lseek(a, 0, SEEK_SET);
  tell("read", read(a, buffer, 4));
  tell("sync", fsync(a));
  tell("sync", fdatasync(a));
  tell("truncate", ftruncate(a, 12));
  tell("rename", rename("a", "b"));
  const int folder = (int)tell("open", open(".", O_RDONLY | O_DIRECTORY));
  tell("sync", fsync(folder));
  tell("close", close(folder));
  tell("close", close(a));
  const int c = (int)tell("open", openat(AT_FDCWD, "c", O_WRONLY | O_CREAT, 0666));
  tell("close", close(c));
  tell("unlink", unlink("c"));
  // Outside the folder: never counted.
  const int elsewhere = open("/dev/null", O_WRONLY);
  if (elsewhere < 0 || write(elsewhere, "x", 1) != 1 || close(elsewhere) != 0) return 3;
  return 0;
}

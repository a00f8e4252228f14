// A library to preload (LD_PRELOAD) that counts a program's calls on files below one folder and strikes at one of them:
// kills the program there, or makes the call fail. What the program reads elsewhere does not count. Environment:
//
//   BATCHWRIGHT_FAULT_FOLDER  the folder; without it the library does nothing
//   BATCHWRIGHT_FAULT         which call, and what happens: "call=write,at=17,do=kill-half"; without it, only counting
//   BATCHWRIGHT_FAULT_COUNTS  a file for lines "KIND COUNT", written at exit and before a kill; "struck" counts strikes
//
//   call=   open write read sync truncate rename unlink close flock, or any (the default). Each stands for its family:
//           openat, creat, pwrite, writev, pread, fdatasync, renameat, unlinkat ...
//   path=   only on paths that contain this below the folder (no comma in it); of a rename, the old path or the new
//   at=     the how-manieth such call, from 1 (the default)
//   do=     kill-before  SIGKILL instead of the call
//           kill-after   SIGKILL when the call is done
//           kill-half    SIGKILL when half of a write is done (other calls: as kill-before)
//           error        the call does nothing and fails (a close closes, and fails)
//           short        a write or read does half, but at least a byte, of what was asked (other calls: no fault)
//           full         as short, and from the next such call on as error: a disk on which some bytes were free
//   error=  ENOSPC EIO EINTR EDQUOT EAGAIN EROFS EMFILE; the default is EIO, for do=full ENOSPC
//   lasts=  once (the default), or ever: from that call on
//
// The calls are made with syscall(2), not with dlsym(RTLD_NEXT): the library works before the program's constructors
// have run, and beside sanitizers (ASAN_OPTIONS=verify_asan_link_order=0). What the C library calls inside itself
// (stdio) is not seen. An environment that it does not understand ends the program with exit code 99.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum kind { kOpen, kWrite, kRead, kSync, kTruncate, kRename, kUnlink, kClose, kFlock, kKinds };
static const char* const kind_names[kKinds] = {"open",   "write",  "read",  "sync", "truncate",
                                               "rename", "unlink", "close", "flock"};

enum action { kNothing, kKillBefore, kKillHalf, kKillAfter, kError, kShort, kFull };
static const char* const action_names[] = {"", "kill-before", "kill-half", "kill-after", "error", "short", "full"};

static struct {
  char folder[PATH_MAX];  // empty: nothing to do
  char counts[PATH_MAX];  // empty: not asked for
  char path[256];         // part of the paths that count; empty: all
  int call;               // an enum kind, or kKinds: any
  long at;
  enum action action;
  int error;
  bool for_ever;
} plan;

static pthread_once_t plan_once = PTHREAD_ONCE_INIT;
static atomic_long counts[kKinds];
static atomic_long matches;
static atomic_long strikes;

static _Noreturn void refuse(const char* what) {
  static const char message[] = "fault shim: not understood: ";
  (void)!syscall(SYS_write, STDERR_FILENO, message, sizeof(message) - 1);
  (void)!syscall(SYS_write, STDERR_FILENO, what, strlen(what));
  (void)!syscall(SYS_write, STDERR_FILENO, "\n", 1);
  syscall(SYS_exit_group, 99);
  for (;;) {
  }
}

static int number_of_error(const char* name) {
  static const struct {
    const char* name;
    int number;
  } errors[] = {{"ENOSPC", ENOSPC}, {"EIO", EIO},     {"EINTR", EINTR},  {"EDQUOT", EDQUOT},
                {"EAGAIN", EAGAIN}, {"EROFS", EROFS}, {"EMFILE", EMFILE}};
  for (size_t i = 0; i < sizeof(errors) / sizeof(*errors); ++i) {
    if (strcmp(name, errors[i].name) == 0) return errors[i].number;
  }
  refuse(name);
}

static void set_option(const char* key, const char* value) {
  if (strcmp(key, "call") == 0) {
    for (plan.call = 0; plan.call < kKinds && strcmp(value, kind_names[plan.call]) != 0;) ++plan.call;
    if (plan.call == kKinds && strcmp(value, "any") != 0) refuse(value);
  } else if (strcmp(key, "path") == 0) {
    snprintf(plan.path, sizeof(plan.path), "%s", value);
  } else if (strcmp(key, "at") == 0) {
    char* end = NULL;
    plan.at = strtol(value, &end, 10);
    if (end == value || *end != '\0' || plan.at < 1) refuse(value);
  } else if (strcmp(key, "do") == 0) {
    plan.action = kFull;
    while (plan.action != kNothing && strcmp(value, action_names[plan.action]) != 0) --plan.action;
    if (plan.action == kNothing) refuse(value);
  } else if (strcmp(key, "error") == 0) {
    plan.error = number_of_error(value);
  } else if (strcmp(key, "lasts") == 0) {
    plan.for_ever = strcmp(value, "ever") == 0;
    if (!plan.for_ever && strcmp(value, "once") != 0) refuse(value);
  } else {
    refuse(key);
  }
}

static void read_plan(void) {
  const char* const folder = getenv("BATCHWRIGHT_FAULT_FOLDER");
  if (folder == NULL || *folder == '\0') return;
  if (realpath(folder, plan.folder) == NULL) refuse(folder);
  const char* const file = getenv("BATCHWRIGHT_FAULT_COUNTS");
  if (file != NULL) snprintf(plan.counts, sizeof(plan.counts), "%s", file);
  plan.call = kKinds;
  plan.at = 1;
  const char* const text = getenv("BATCHWRIGHT_FAULT");
  if (text == NULL || *text == '\0') return;
  char copy[1024];
  if (strlen(text) >= sizeof(copy)) refuse(text);
  strcpy(copy, text);
  char* rest = NULL;
  for (char* part = strtok_r(copy, ",", &rest); part != NULL; part = strtok_r(NULL, ",", &rest)) {
    char* const value = strchr(part, '=');
    if (value == NULL) refuse(part);
    *value = '\0';
    set_option(part, value + 1);
  }
  if (plan.action == kNothing) refuse("a fault without do=");
  if (plan.error == 0) plan.error = plan.action == kFull ? ENOSPC : EIO;
}

__attribute__((destructor)) static void write_counts(void) {
  pthread_once(&plan_once, read_plan);
  if (plan.folder[0] == '\0' || plan.counts[0] == '\0') return;
  char text[512];
  int length = snprintf(text, sizeof(text), "struck %ld\n", atomic_load(&strikes));
  for (int i = 0; i < kKinds; ++i) {
    length +=
        snprintf(text + length, sizeof(text) - (size_t)length, "%s %ld\n", kind_names[i], atomic_load(&counts[i]));
  }
  const long fd = syscall(SYS_openat, AT_FDCWD, plan.counts, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (fd < 0) return;
  (void)!syscall(SYS_write, fd, text, length);
  syscall(SYS_close, fd);
}

static _Noreturn void die(void) {
  write_counts();
  syscall(SYS_kill, getpid(), SIGKILL);
  for (;;) pause();
}

// Whether the path, in full, is the folder's or lies below it.
static bool inside(const char* path) {
  const size_t length = strlen(plan.folder);
  return strncmp(path, plan.folder, length) == 0 && (path[length] == '/' || path[length] == '\0');
}

// Whether it does, and what is left of the path then has the part that the plan asks for.
static bool is_meant(const char* path) { return inside(path) && strstr(path + strlen(plan.folder), plan.path) != NULL; }

// The path of an open file in full; empty where there is none.
static void path_of(int fd, char path[PATH_MAX]) {
  char link[64];
  snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
  const long length = syscall(SYS_readlinkat, AT_FDCWD, link, path, PATH_MAX - 1);
  path[length > 0 ? length : 0] = '\0';
}

// The path in full, its folder without links; the file itself need not exist.
static void path_at(int folder_fd, const char* name, char path[PATH_MAX]) {
  char joined[PATH_MAX] = "";
  if (name[0] != '/' && folder_fd != AT_FDCWD) path_of(folder_fd, joined);
  const size_t length = strlen(joined);
  snprintf(joined + length, sizeof(joined) - length, "%s%s", length > 0 ? "/" : "", name);
  char* const slash = strrchr(joined, '/');
  const char* const last = slash == NULL ? joined : slash + 1;
  char folder[PATH_MAX] = ".";
  if (slash != NULL) snprintf(folder, sizeof(folder), "%.*s", slash == joined ? 1 : (int)(slash - joined), joined);
  char real[PATH_MAX];
  if (realpath(folder, real) == NULL) {
    path[0] = '\0';
    return;
  }
  const int written = snprintf(path, PATH_MAX, "%s%s%s", strcmp(real, "/") == 0 ? "" : real, *last ? "/" : "", last);
  if (written >= PATH_MAX) path[0] = '\0';
}

// Counts the call; what is to happen to it. Kills where that comes before the call.
static enum action count_call(enum kind kind, bool is_inside, bool path_matches) {
  if (!is_inside) return kNothing;
  atomic_fetch_add(&counts[kind], 1);
  if (plan.action == kNothing || !path_matches || (plan.call != kKinds && plan.call != (int)kind)) return kNothing;
  const long match = atomic_fetch_add(&matches, 1) + 1;
  enum action action = kNothing;
  if (match == plan.at || (match > plan.at && plan.for_ever)) action = plan.action;
  if (plan.action == kFull && match > plan.at) action = match == plan.at + 1 || plan.for_ever ? kError : kNothing;
  if (action == kNothing) return kNothing;
  if (action == kFull) action = kShort;
  if (action == kKillHalf && kind != kWrite) action = kKillBefore;
  if (action == kShort && kind != kWrite && kind != kRead) return kNothing;
  atomic_fetch_add(&strikes, 1);
  if (action == kKillBefore) die();
  return action;
}

static enum action count_fd(enum kind kind, int fd) {
  const int error = errno;
  pthread_once(&plan_once, read_plan);
  if (plan.folder[0] == '\0') return kNothing;
  char path[PATH_MAX];
  path_of(fd, path);
  errno = error;
  return count_call(kind, inside(path), is_meant(path));
}

static enum action count_path(enum kind kind, int folder_fd, const char* name) {
  const int error = errno;
  pthread_once(&plan_once, read_plan);
  if (plan.folder[0] == '\0') return kNothing;
  char path[PATH_MAX];
  path_at(folder_fd, name, path);
  errno = error;
  return count_call(kind, inside(path), is_meant(path));
}

static long fail(void) {
  errno = plan.error;
  return -1;
}

static long finish(enum action action, long result) {
  if (action == kKillAfter) die();
  return result;
}

static size_t part_of(enum action action, size_t count) {
  if (action == kKillHalf) return count / 2;
  return action == kShort && count > 1 ? count / 2 : count;
}

static int do_open(int folder_fd, const char* name, int flags, mode_t mode) {
  const enum action action = count_path(kOpen, folder_fd, name);
  if (action == kError) return (int)fail();
  return (int)finish(action, syscall(SYS_openat, folder_fd, name, flags, mode));
}

static mode_t mode_in(int flags, va_list arguments) {
  return (flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE ? va_arg(arguments, mode_t) : 0;
}

int open(const char* name, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = mode_in(flags, arguments);
  va_end(arguments);
  return do_open(AT_FDCWD, name, flags, mode);
}

int open64(const char* name, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = mode_in(flags, arguments);
  va_end(arguments);
  return do_open(AT_FDCWD, name, flags, mode);
}

int openat(int folder_fd, const char* name, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = mode_in(flags, arguments);
  va_end(arguments);
  return do_open(folder_fd, name, flags, mode);
}

int openat64(int folder_fd, const char* name, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = mode_in(flags, arguments);
  va_end(arguments);
  return do_open(folder_fd, name, flags, mode);
}

int creat(const char* name, mode_t mode) { return do_open(AT_FDCWD, name, O_WRONLY | O_CREAT | O_TRUNC, mode); }
int creat64(const char* name, mode_t mode) { return creat(name, mode); }

// What programs built with _FORTIFY_SOURCE call instead.
int __open_2(const char* name, int flags) { return do_open(AT_FDCWD, name, flags, 0); }
int __open64_2(const char* name, int flags) { return do_open(AT_FDCWD, name, flags, 0); }
int __openat_2(int folder_fd, const char* name, int flags) { return do_open(folder_fd, name, flags, 0); }
int __openat64_2(int folder_fd, const char* name, int flags) { return do_open(folder_fd, name, flags, 0); }

ssize_t write(int fd, const void* data, size_t count) {
  const enum action action = count_fd(kWrite, fd);
  if (action == kError) return fail();
  const long result = syscall(SYS_write, fd, data, part_of(action, count));
  if (action == kKillHalf) die();
  return finish(action, result);
}

ssize_t pwrite64(int fd, const void* data, size_t count, off64_t offset) {
  const enum action action = count_fd(kWrite, fd);
  if (action == kError) return fail();
  const long result = syscall(SYS_pwrite64, fd, data, part_of(action, count), offset);
  if (action == kKillHalf) die();
  return finish(action, result);
}

ssize_t pwrite(int fd, const void* data, size_t count, off_t offset) { return pwrite64(fd, data, count, offset); }

ssize_t writev(int fd, const struct iovec* parts, int part_count) {
  const enum action action = count_fd(kWrite, fd);
  if (action == kError) return fail();
  if (action != kKillHalf && action != kShort) return finish(action, syscall(SYS_writev, fd, parts, part_count));
  size_t count = 0;
  for (int i = 0; i < part_count; ++i) count += parts[i].iov_len;
  size_t left = part_of(action, count);
  long done = 0;
  for (int i = 0; i < part_count && left > 0; ++i) {
    const size_t length = parts[i].iov_len < left ? parts[i].iov_len : left;
    const long written = syscall(SYS_write, fd, parts[i].iov_base, length);
    if (written < 0) break;
    done += written;
    left -= (size_t)written;
    if ((size_t)written < length) break;
  }
  if (action == kKillHalf) die();
  return done;
}

ssize_t read(int fd, void* data, size_t count) {
  const enum action action = count_fd(kRead, fd);
  if (action == kError) return fail();
  return finish(action, syscall(SYS_read, fd, data, part_of(action, count)));
}

ssize_t pread64(int fd, void* data, size_t count, off64_t offset) {
  const enum action action = count_fd(kRead, fd);
  if (action == kError) return fail();
  return finish(action, syscall(SYS_pread64, fd, data, part_of(action, count), offset));
}

ssize_t pread(int fd, void* data, size_t count, off_t offset) { return pread64(fd, data, count, offset); }

ssize_t __read_chk(int fd, void* data, size_t count, size_t size) {
  if (count > size) abort();
  return read(fd, data, count);
}

ssize_t __pread_chk(int fd, void* data, size_t count, off_t offset, size_t size) {
  if (count > size) abort();
  return pread64(fd, data, count, offset);
}

ssize_t __pread64_chk(int fd, void* data, size_t count, off64_t offset, size_t size) {
  if (count > size) abort();
  return pread64(fd, data, count, offset);
}

int fsync(int fd) {
  const enum action action = count_fd(kSync, fd);
  if (action == kError) return (int)fail();
  return (int)finish(action, syscall(SYS_fsync, fd));
}

int fdatasync(int fd) {
  const enum action action = count_fd(kSync, fd);
  if (action == kError) return (int)fail();
  return (int)finish(action, syscall(SYS_fdatasync, fd));
}

int ftruncate64(int fd, off64_t length) {
  const enum action action = count_fd(kTruncate, fd);
  if (action == kError) return (int)fail();
  return (int)finish(action, syscall(SYS_ftruncate, fd, length));
}

int ftruncate(int fd, off_t length) { return ftruncate64(fd, length); }

int renameat(int from_fd, const char* from, int to_fd, const char* to) {
  const int error = errno;
  pthread_once(&plan_once, read_plan);
  enum action action = kNothing;
  if (plan.folder[0] != '\0') {
    char before[PATH_MAX];
    char after[PATH_MAX];
    path_at(from_fd, from, before);
    path_at(to_fd, to, after);
    errno = error;
    action = count_call(kRename, inside(before) || inside(after), is_meant(before) || is_meant(after));
  }
  if (action == kError) return (int)fail();
  return (int)finish(action, syscall(SYS_renameat2, from_fd, from, to_fd, to, 0));
}

int rename(const char* from, const char* to) { return renameat(AT_FDCWD, from, AT_FDCWD, to); }

int unlinkat(int folder_fd, const char* name, int flags) {
  const enum action action = count_path(kUnlink, folder_fd, name);
  if (action == kError) return (int)fail();
  return (int)finish(action, syscall(SYS_unlinkat, folder_fd, name, flags));
}

int unlink(const char* name) { return unlinkat(AT_FDCWD, name, 0); }

int close(int fd) {
  const enum action action = count_fd(kClose, fd);
  const long result = syscall(SYS_close, fd);
  if (action == kError) return (int)fail();
  return (int)finish(action, result);
}

int flock(int fd, int operation) {
  const enum action action = count_fd(kFlock, fd);
  if (action == kError) return (int)fail();
  return (int)finish(action, syscall(SYS_flock, fd, operation));
}

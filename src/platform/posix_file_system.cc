#include "platform/posix_file_system.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "base/status_macros.h"

namespace batchwright {
namespace {

Status failure(const char* what, const std::string& path, int error) {
  const std::string message = fmt::format("{}: cannot {}: {}", path, what, std::generic_category().message(error));
  return error == ENOENT ? not_found(message) : io_error(message);
}

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&&) = delete;
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const { return fd_; }
  int release() { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

// A call that signals interrupt is repeated, but not for ever: a file system that never does anything else is broken.
template <typename Call>
auto uninterrupted(const Call& call) {
  constexpr int kTriesMax = 10'000;
  auto result = call();
  for (int tries = 1; result < 0 && errno == EINTR && tries < kTriesMax; ++tries) result = call();
  return result;
}

int open_file(const std::string& path, int flags) {
  return uninterrupted([&] { return ::open(path.c_str(), flags | O_CLOEXEC, 0666); });
}

// False where the file was renamed or removed since it was opened.
Result<bool> is_at(const std::string& path, int fd) {
  struct stat opened {};
  struct stat named {};
  if (::fstat(fd, &opened) != 0) return failure("look at", path, errno);
  if (::stat(path.c_str(), &named) != 0) {
    if (errno == ENOENT) return false;
    return failure("look at", path, errno);
  }
  return opened.st_dev == named.st_dev && opened.st_ino == named.st_ino;
}

// Opens for writing, creating the file where there is none, and locks it.
Result<Descriptor> open_locked(const std::string& path, int flags) {
  constexpr int kTriesMax = 100;
  for (int tries = 0; tries < kTriesMax; ++tries) {
    Descriptor fd(open_file(path, O_WRONLY | O_CREAT | flags));
    if (fd.get() < 0) {
      if (errno == EEXIST) return invalid_argument(path + ": exists already");
      return failure("create", path, errno);
    }
    if (uninterrupted([&] { return ::flock(fd.get(), LOCK_EX | LOCK_NB); }) != 0) {
      if (errno == EWOULDBLOCK) return invalid_argument(path + ": another process is writing it");
      return failure("lock", path, errno);
    }
    // Between the two calls another process may have moved its file aside: a lock on that one guards nothing here.
    BATCHWRIGHT_ASSIGN_OR_RETURN(const bool locked, is_at(path, fd.get()));
    if (locked) return fd;
  }
  return io_error(path + ": cannot lock: it is replaced again and again");
}

class PosixReader : public ReadableFile {
 public:
  PosixReader(std::string path, Descriptor fd) : path_(std::move(path)), fd_(std::move(fd)) {}

  Result<size_t> read_at(uint64_t offset, std::span<char> buffer) const override {
    size_t done = 0;
    while (done < buffer.size()) {
      const ssize_t count = uninterrupted([&] {
        return ::pread(fd_.get(), buffer.data() + done, buffer.size() - done, static_cast<off_t>(offset + done));
      });
      if (count < 0) return failure("read", path_, errno);
      if (count == 0) break;
      done += static_cast<size_t>(count);
    }
    return done;
  }

  Result<uint64_t> size() const override {
    struct stat info {};
    if (::fstat(fd_.get(), &info) != 0) return failure("read", path_, errno);
    return static_cast<uint64_t>(info.st_size);
  }

 private:
  std::string path_;
  Descriptor fd_;
};

// A pipe from its beginning to its end.
class PosixPipeReader : public ReadableFile {
 public:
  PosixPipeReader(std::string path, Descriptor fd) : path_(std::move(path)), fd_(std::move(fd)) {}

  Result<size_t> read_at(uint64_t offset, std::span<char> buffer) const override {
    const std::lock_guard lock(mutex_);
    if (offset != position_) return io_error(path_ + ": is a pipe, and cannot be read twice");
    const ssize_t count = ::read(fd_.get(), buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) return interrupted(path_ + ": a signal came");
    if (count < 0) return failure("read", path_, errno);
    position_ += static_cast<uint64_t>(count);
    return static_cast<size_t>(count);
  }

  Result<uint64_t> size() const override { return io_error(path_ + ": is a pipe, and has no size"); }
  bool comes_once() const override { return true; }

 private:
  const std::string path_;
  const Descriptor fd_;
  mutable std::mutex mutex_;
  mutable uint64_t position_ = 0;
};

class PosixWriter : public WritableFile {
 public:
  PosixWriter(std::string path, Descriptor fd) : path_(std::move(path)), fd_(std::move(fd)) {}

  Status append(std::string_view data) override {
    while (!data.empty()) {
      const ssize_t count = uninterrupted([&] { return ::write(fd_.get(), data.data(), data.size()); });
      if (count < 0) return failure("write", path_, errno);
      if (count == 0) return io_error(path_ + ": cannot write: the file takes no more bytes");
      data.remove_prefix(static_cast<size_t>(count));
    }
    return {};
  }

  Status sync() override {
    if (uninterrupted([&] { return ::fsync(fd_.get()); }) == 0) return {};
    // Pipes and terminals have nothing to sync.
    if (errno == EINVAL || errno == EROFS || errno == ENOTSUP) return {};
    return failure("sync", path_, errno);
  }

  Status truncate(uint64_t bytes) override {
    struct stat info {};
    if (::fstat(fd_.get(), &info) != 0) return failure("look at", path_, errno);
    if (static_cast<uint64_t>(info.st_size) < bytes) {
      return io_error(fmt::format("{}: cannot cut to {} bytes: it has {}", path_, bytes, info.st_size));
    }
    const auto end = static_cast<off_t>(bytes);
    if (uninterrupted([&] { return ::ftruncate(fd_.get(), end); }) != 0) return failure("cut", path_, errno);
    if (::lseek(fd_.get(), end, SEEK_SET) < 0) return failure("cut", path_, errno);
    return {};
  }

  Status close() override {
    const int fd = fd_.release();
    if (fd < 0) return {};
    // Linux closes the file in any case; EINTR is no error.
    if (::close(fd) != 0 && errno != EINTR) return failure("close", path_, errno);
    return {};
  }

 private:
  std::string path_;
  Descriptor fd_;
};

class PosixInput : public InputStream {
 public:
  Result<size_t> read(std::span<char> buffer) override {
    const ssize_t count = ::read(STDIN_FILENO, buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) return interrupted("standard input: a signal came");
    if (count < 0) return failure("read", "standard input", errno);
    return static_cast<size_t>(count);
  }
};

class PosixFileSystem : public FileSystem {
 public:
  Result<std::unique_ptr<ReadableFile>> open_read(const std::string& path) override {
    Descriptor fd(open_file(path, O_RDONLY));
    if (fd.get() < 0) return failure("open", path, errno);
    struct stat info {};
    if (::fstat(fd.get(), &info) != 0) return failure("read", path, errno);
    if (S_ISDIR(info.st_mode)) return invalid_data(path + ": is a folder, not a file");
    if (S_ISFIFO(info.st_mode) || S_ISSOCK(info.st_mode)) {
      return std::unique_ptr<ReadableFile>(std::make_unique<PosixPipeReader>(path, std::move(fd)));
    }
    return std::unique_ptr<ReadableFile>(std::make_unique<PosixReader>(path, std::move(fd)));
  }

  Result<std::unique_ptr<WritableFile>> create(const std::string& path, CreateMode mode) override {
    BATCHWRIGHT_ASSIGN_OR_RETURN(Descriptor fd, open_locked(path, mode == CreateMode::kNew ? O_EXCL : 0));
    if (mode == CreateMode::kContinue) {
      if (::lseek(fd.get(), 0, SEEK_END) < 0 && errno != ESPIPE) return failure("continue", path, errno);
    } else if (uninterrupted([&] { return ::ftruncate(fd.get(), 0); }) != 0 && errno != EINVAL) {
      return failure("empty", path, errno);
    }
    return std::unique_ptr<WritableFile>(std::make_unique<PosixWriter>(path, std::move(fd)));
  }

  Result<Scratch> create_scratch() override {
    const char* folder = std::getenv("TMPDIR");
    const std::string pattern =
        std::string(folder != nullptr && *folder != '\0' ? folder : "/tmp") + "/batchwright-XXXXXX";
    std::vector<char> name(pattern.begin(), pattern.end());
    name.push_back('\0');
    Descriptor fd(::mkostemp(name.data(), O_CLOEXEC));
    if (fd.get() < 0) return failure("create", pattern, errno);
    const std::string path(name.data());
    Descriptor reader(open_file(path, O_RDONLY));
    const int error = errno;
    ::unlink(path.c_str());
    if (reader.get() < 0) return failure("open", path, error);
    Scratch scratch;
    scratch.writer = std::make_unique<PosixWriter>(path, std::move(fd));
    scratch.reader = std::make_unique<PosixReader>(path, std::move(reader));
    return scratch;
  }

  Result<PathKind> kind(const std::string& path) override {
    struct stat info {};
    if (::lstat(path.c_str(), &info) == 0) {
      return S_ISREG(info.st_mode) || S_ISLNK(info.st_mode) ? PathKind::kFile : PathKind::kOther;
    }
    if (errno == ENOENT) return PathKind::kNothing;
    return failure("look at", path, errno);
  }

  Status rename(const std::string& from, const std::string& to) override {
    if (::rename(from.c_str(), to.c_str()) != 0) return failure(("rename to " + to).c_str(), from, errno);
    return {};
  }

  Status remove(const std::string& path) override {
    if (::unlink(path.c_str()) != 0 && errno != ENOENT) return failure("remove", path, errno);
    return {};
  }

  Status make_folder(const std::string& path) override {
    for (size_t slash = path.find('/', 1);; slash = path.find('/', slash + 1)) {
      const std::string folder = path.substr(0, slash);
      if (::mkdir(folder.c_str(), 0777) != 0 && errno != EEXIST) return failure("make folder", folder, errno);
      if (slash == std::string::npos) return {};
    }
  }

  Status sync_folder_of(const std::string& path) override {
    const size_t slash = path.rfind('/');
    const std::string folder = slash == std::string::npos ? "." : path.substr(0, slash + 1);
    const Descriptor fd(open_file(folder, O_RDONLY | O_DIRECTORY));
    if (fd.get() < 0) return failure("open", folder, errno);
    // Some network file systems refuse to sync folders.
    if (uninterrupted([&] { return ::fsync(fd.get()); }) != 0 && errno != EINVAL && errno != EROFS &&
        errno != ENOTSUP) {
      return failure("sync", folder, errno);
    }
    return {};
  }

  std::unique_ptr<InputStream> standard_input() override { return std::make_unique<PosixInput>(); }

  std::unique_ptr<WritableFile> standard_output() override {
    return std::make_unique<PosixWriter>("standard output", Descriptor(::dup(STDOUT_FILENO)));
  }
};

}  // namespace

std::unique_ptr<FileSystem> posix_file_system() { return std::make_unique<PosixFileSystem>(); }

}  // namespace batchwright

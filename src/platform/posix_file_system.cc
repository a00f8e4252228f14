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

int open_file(const std::string& path, int flags) {
  int fd = -1;
  do {
    fd = ::open(path.c_str(), flags | O_CLOEXEC, 0666);
  } while (fd < 0 && errno == EINTR);
  return fd;
}

class PosixReader : public ReadableFile {
 public:
  PosixReader(std::string path, Descriptor fd) : path_(std::move(path)), fd_(std::move(fd)) {}

  Result<size_t> read_at(uint64_t offset, std::span<char> buffer) const override {
    size_t done = 0;
    while (done < buffer.size()) {
      const ssize_t count =
          ::pread(fd_.get(), buffer.data() + done, buffer.size() - done, static_cast<off_t>(offset + done));
      if (count < 0 && errno == EINTR) continue;
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

class PosixWriter : public WritableFile {
 public:
  PosixWriter(std::string path, Descriptor fd) : path_(std::move(path)), fd_(std::move(fd)) {}

  Status append(std::string_view data) override {
    while (!data.empty()) {
      const ssize_t count = ::write(fd_.get(), data.data(), data.size());
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) return failure("write", path_, errno);
      data.remove_prefix(static_cast<size_t>(count));
    }
    return {};
  }

  Status sync() override {
    if (::fsync(fd_.get()) == 0) return {};
    // Pipes and terminals have nothing to sync.
    if (errno == EINVAL || errno == EROFS || errno == ENOTSUP) return {};
    return failure("sync", path_, errno);
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
    return std::unique_ptr<ReadableFile>(std::make_unique<PosixReader>(path, std::move(fd)));
  }

  Result<std::unique_ptr<WritableFile>> create(const std::string& path, CreateMode mode) override {
    Descriptor fd(open_file(path, O_WRONLY | O_CREAT | (mode == CreateMode::kNew ? O_EXCL : 0)));
    if (fd.get() < 0) {
      if (errno == EEXIST) return invalid_argument(path + ": exists already");
      return failure("create", path, errno);
    }
    if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
      if (errno == EWOULDBLOCK) return invalid_argument(path + ": another process is writing it");
      return failure("lock", path, errno);
    }
    // Only now: emptying a file that another run writes would destroy its work.
    if (::ftruncate(fd.get(), 0) != 0 && errno != EINVAL) return failure("empty", path, errno);
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

  Status sync_folder_of(const std::string& path) override {
    const size_t slash = path.rfind('/');
    const std::string folder = slash == std::string::npos ? "." : path.substr(0, slash + 1);
    const Descriptor fd(open_file(folder, O_RDONLY | O_DIRECTORY));
    if (fd.get() < 0) return failure("open", folder, errno);
    // Some network file systems refuse to sync folders.
    if (::fsync(fd.get()) != 0 && errno != EINVAL && errno != EROFS && errno != ENOTSUP) {
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

#include "platform/mapped_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <mutex>
#include <utility>

namespace batchwright {

// One mapping, as the signal handler sees it. Regions are never freed, only reused, so that the handler may walk the
// list at any time. `version` is odd while begin and end are being changed. The handler needs no retry: the mapping in
// which a thread faults is registered before that thread can see it and stays so while it is read, hence a region in
// change is never the one that is looked for.
struct MappedRegion {
  std::atomic<uint32_t> version{0};
  std::atomic<uintptr_t> begin{0};
  std::atomic<uintptr_t> end{0};
  std::atomic<uintptr_t> first_lost{0};  // address, 0 while nothing was lost
  std::atomic<bool> in_use{false};
  MappedRegion* next = nullptr;
};

namespace {

std::atomic<MappedRegion*> g_regions{nullptr};
struct sigaction g_former_action;
uintptr_t g_page_bytes = 0;

static_assert(std::atomic<uintptr_t>::is_always_lock_free && std::atomic<uint32_t>::is_always_lock_free);

MappedRegion* region_at(uintptr_t address) {
  for (MappedRegion* region = g_regions.load(std::memory_order_acquire); region != nullptr; region = region->next) {
    const uint32_t version = region->version.load(std::memory_order_acquire);
    if (version % 2 != 0) continue;
    const uintptr_t begin = region->begin.load(std::memory_order_acquire);
    const uintptr_t end = region->end.load(std::memory_order_acquire);
    if (region->version.load(std::memory_order_acquire) != version) continue;
    if (address >= begin && address < end) return region;
  }
  return nullptr;
}

bool replace_by_zeros(uintptr_t address) {
  MappedRegion* region = region_at(address);
  if (region == nullptr) return false;
  const uintptr_t page = address & ~(g_page_bytes - 1);
  const uintptr_t end = region->end.load(std::memory_order_acquire);
  // To the end at once: what follows a lost page is seldom there, and nothing after it is believed anyway.
  void* zeros = ::mmap(reinterpret_cast<void*>(page), end - page, PROT_READ,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0);
  if (zeros == MAP_FAILED) return false;
  uintptr_t lost = region->first_lost.load(std::memory_order_acquire);
  while ((lost == 0 || page < lost) && !region->first_lost.compare_exchange_weak(lost, page)) {
  }
  return true;
}

void forward(int signal, siginfo_t* info, void* context) {
  if ((g_former_action.sa_flags & SA_SIGINFO) != 0) {
    g_former_action.sa_sigaction(signal, info, context);
    return;
  }
  const bool sent = info->si_code <= 0;  // by kill() or the like, not by a fault
  if (g_former_action.sa_handler == SIG_IGN && sent) return;
  if (g_former_action.sa_handler != SIG_IGN && g_former_action.sa_handler != SIG_DFL) {
    g_former_action.sa_handler(signal);
    return;
  }
  // A fault repeats itself when the handler returns; a sent signal must be sent again.
  struct sigaction fallback {};
  fallback.sa_handler = SIG_DFL;
  ::sigaction(signal, &fallback, nullptr);
  if (sent) ::raise(signal);
}

void on_sigbus(int signal, siginfo_t* info, void* context) {
  const int saved_errno = errno;
  const bool is_fault = info->si_code > 0;
  if (!is_fault || !replace_by_zeros(reinterpret_cast<uintptr_t>(info->si_addr))) forward(signal, info, context);
  errno = saved_errno;
}

void install_handler() {
  static std::once_flag once;
  std::call_once(once, [] {
    g_page_bytes = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
    struct sigaction action {};
    action.sa_sigaction = on_sigbus;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    ::sigemptyset(&action.sa_mask);
    // The former action must be known before the new one can run.
    ::sigaction(SIGBUS, nullptr, &g_former_action);
    ::sigaction(SIGBUS, &action, nullptr);
  });
}

MappedRegion* take_region() {
  for (MappedRegion* region = g_regions.load(std::memory_order_acquire); region != nullptr; region = region->next) {
    bool in_use = false;
    if (region->in_use.compare_exchange_strong(in_use, true)) return region;
  }
  auto* region = new MappedRegion;
  region->in_use = true;
  region->next = g_regions.load(std::memory_order_relaxed);
  while (!g_regions.compare_exchange_weak(region->next, region, std::memory_order_release)) {
  }
  return region;
}

void set_range(MappedRegion& region, uintptr_t begin, uintptr_t end) {
  region.version.fetch_add(1);
  region.begin = begin;
  region.end = end;
  region.first_lost = 0;
  region.version.fetch_add(1);
}

Status open_error(const std::string& path, int error) {
  if (error == ENOENT || error == ENOTDIR) return not_found(fmt::format("{}: no such file", path));
  return io_error(fmt::format("{}: cannot be opened for reading: {}", path, std::strerror(error)));
}

}  // namespace

Result<MappedFile> MappedFile::open(const std::string& path) {
  // O_NONBLOCK: to open a pipe that nobody writes to must not hang.
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return open_error(path, errno);
  MappedFile file(path, fd, nullptr, 0, nullptr);

  struct stat info {};
  if (::fstat(fd, &info) != 0) return open_error(path, errno);
  if (S_ISDIR(info.st_mode)) return invalid_data(fmt::format("{}: is a directory, a file is needed", path));
  if (!S_ISREG(info.st_mode)) return invalid_data(fmt::format("{}: is not a regular file", path));
  if (info.st_size == 0) return file;

  install_handler();
  file.region_ = take_region();
  const auto size = static_cast<size_t>(info.st_size);
  void* data = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0);
  if (data == MAP_FAILED) {
    return io_error(fmt::format("{}: {} bytes cannot be mapped: {}", path, size, std::strerror(errno)));
  }
  file.data_ = static_cast<const std::byte*>(data);
  file.size_ = size;
  // Whole pages, as the bytes between the file's end and the page's end can be touched too.
  const auto begin = reinterpret_cast<uintptr_t>(data);
  set_range(*file.region_, begin, (begin + size + g_page_bytes - 1) & ~(g_page_bytes - 1));
  return file;
}

MappedFile::MappedFile(std::string path, int fd, const std::byte* data, size_t size, MappedRegion* region)
    : path_(std::move(path)), fd_(fd), data_(data), size_(size), region_(region) {}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : path_(std::move(other.path_)),
      fd_(std::exchange(other.fd_, -1)),
      data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)),
      region_(std::exchange(other.region_, nullptr)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  if (this != &other) {
    close();
    path_ = std::move(other.path_);
    fd_ = std::exchange(other.fd_, -1);
    data_ = std::exchange(other.data_, nullptr);
    size_ = std::exchange(other.size_, 0);
    region_ = std::exchange(other.region_, nullptr);
  }
  return *this;
}

MappedFile::~MappedFile() { close(); }

void MappedFile::close() {
  if (region_ != nullptr) {
    // Unregistered before the addresses can be given to somebody else.
    set_range(*region_, 0, 0);
    region_->in_use.store(false, std::memory_order_release);
  }
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
  if (fd_ >= 0) ::close(fd_);
  data_ = nullptr;
  size_ = 0;
  region_ = nullptr;
  fd_ = -1;
}

Status MappedFile::check() const {
  if (region_ == nullptr) return {};
  // The size is asked in any case: what is cut off within a page reads as zeros without a signal.
  struct stat info {};
  if (::fstat(fd_, &info) == 0 && static_cast<uint64_t>(info.st_size) < size_) {
    return io_error(fmt::format("{}: shrank while being read, from {} to {} bytes", path_, size_,
                                static_cast<uint64_t>(info.st_size)));
  }
  const uintptr_t lost = region_->first_lost.load(std::memory_order_acquire);
  if (lost == 0) return {};
  return io_error(fmt::format("{}: shrank while being read, or its disk failed: the page at byte {} could not be read",
                              path_, lost - reinterpret_cast<uintptr_t>(data_)));
}

void MappedFile::release(uint64_t offset, uint64_t length) const {
  if (data_ == nullptr || offset >= size_) return;
  const uint64_t end = offset + std::min<uint64_t>(length, size_ - offset);
  const uint64_t first = (offset + g_page_bytes - 1) & ~uint64_t{g_page_bytes - 1};
  // The last page of the file is whole as far as the mapping goes.
  const uint64_t last = end == size_ ? end : end & ~uint64_t{g_page_bytes - 1};
  if (first >= last) return;
  ::madvise(const_cast<std::byte*>(data_ + first), last - first, MADV_DONTNEED);
}

}  // namespace batchwright

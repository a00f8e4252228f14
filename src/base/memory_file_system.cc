#include "base/memory_file_system.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <mutex>
#include <utility>

#include "base/durability.h"
#include "base/status_macros.h"

namespace batchwright {
namespace {

struct SplitPath {
  std::string folder;
  std::string name;
};

SplitPath split(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return {"", path};
  return {path.substr(0, slash), path.substr(slash + 1)};
}

}  // namespace

struct MemoryFileSystem::State {
  using File = std::shared_ptr<MemoryFile>;

  Status check(const std::string& operation, const std::string& path) {
    ++operations[operation];
    Status status = fault ? fault(operation, path) : Status();
    if (!status.ok()) ++faults;
    return status;
  }
  File find(const std::string& path) const {
    const SplitPath at = split(path);
    const auto folder = folders.find(at.folder);
    return folder == folders.end() ? nullptr : folder->second.find(at.name);
  }

  mutable std::mutex mutex;
  std::map<std::string, FolderHistory> folders;
  uint64_t power_cuts = 0;
  File standard_output = std::make_shared<MemoryFile>();
  std::string standard_input;
  size_t standard_input_read = 0;
  Fault fault;
  std::map<std::string, uint64_t, std::less<>> operations;
  uint64_t faults = 0;
};

class MemoryFileSystem::Reader : public ReadableFile {
 public:
  Reader(std::shared_ptr<State> state, std::string path, State::File file)
      : state_(std::move(state)), path_(std::move(path)), file_(std::move(file)), power_cuts_(state_->power_cuts) {}

  Result<size_t> read_at(uint64_t offset, std::span<char> buffer) const override {
    const std::lock_guard lock(state_->mutex);
    BATCHWRIGHT_RETURN_IF_ERROR(state_->check("read", path_));
    if (power_cuts_ != state_->power_cuts) return io_error(path_ + ": cannot read: the power was off");
    const std::string& content = file_->history.content();
    if (offset >= content.size()) return size_t{0};
    const size_t count = std::min(buffer.size(), content.size() - static_cast<size_t>(offset));
    if (count > 0) std::memcpy(buffer.data(), content.data() + offset, count);
    return count;
  }

  Result<uint64_t> size() const override {
    const std::lock_guard lock(state_->mutex);
    if (power_cuts_ != state_->power_cuts) return io_error(path_ + ": cannot read: the power was off");
    return static_cast<uint64_t>(file_->history.content().size());
  }

 private:
  std::shared_ptr<State> state_;
  std::string path_;
  State::File file_;
  uint64_t power_cuts_;
};

// Holds the file's lock, which its creator took.
class MemoryFileSystem::Writer : public WritableFile {
 public:
  Writer(std::shared_ptr<State> state, std::string path, State::File file)
      : state_(std::move(state)), path_(std::move(path)), file_(std::move(file)), power_cuts_(state_->power_cuts) {}
  ~Writer() override {
    const std::lock_guard lock(state_->mutex);
    release();
  }

  Status append(std::string_view data) override {
    const std::lock_guard lock(state_->mutex);
    const Status status = state_->check("append", path_);
    BATCHWRIGHT_RETURN_IF_ERROR(usable());
    file_->history.append(data.substr(0, status.ok() ? data.size() : data.size() / 2));
    return status;
  }

  Status sync() override {
    const std::lock_guard lock(state_->mutex);
    const Status status = state_->check("sync", path_);
    BATCHWRIGHT_RETURN_IF_ERROR(usable());
    if (status.ok()) {
      file_->history.sync();
    } else {
      file_->history.sync_failed();
    }
    return status;
  }

  Status truncate(uint64_t bytes) override {
    const std::lock_guard lock(state_->mutex);
    BATCHWRIGHT_RETURN_IF_ERROR(state_->check("truncate", path_));
    BATCHWRIGHT_RETURN_IF_ERROR(usable());
    if (file_->history.content().size() < bytes) return io_error(path_ + ": cannot cut to more bytes than it has");
    file_->history.truncate(bytes);
    return {};
  }

  Status close() override {
    const std::lock_guard lock(state_->mutex);
    const Status status = state_->check("close", path_);
    if (file_ != nullptr && power_cuts_ != state_->power_cuts) return usable();
    release();
    return status;
  }

 private:
  Status usable() const {
    if (power_cuts_ != state_->power_cuts) return io_error(path_ + ": cannot write: the power was off");
    if (file_ == nullptr) return io_error(path_ + ": cannot write: it is closed");
    return {};
  }
  void release() {
    if (file_ != nullptr) file_->locked = false;
    file_ = nullptr;
  }

  std::shared_ptr<State> state_;
  std::string path_;
  State::File file_;  // null once it is closed
  uint64_t power_cuts_;
};

class MemoryFileSystem::Input : public InputStream {
 public:
  explicit Input(std::shared_ptr<State> state) : state_(std::move(state)) {}

  Result<size_t> read(std::span<char> buffer) override {
    const std::lock_guard lock(state_->mutex);
    BATCHWRIGHT_RETURN_IF_ERROR(state_->check("read", "-"));
    // Pipes give what they have: never a whole buffer here.
    const size_t rest = state_->standard_input.size() - state_->standard_input_read;
    const size_t count = std::min({buffer.size(), rest, size_t{1000}});
    if (count > 0) std::memcpy(buffer.data(), state_->standard_input.data() + state_->standard_input_read, count);
    state_->standard_input_read += count;
    return count;
  }

 private:
  std::shared_ptr<State> state_;
};

MemoryFileSystem::MemoryFileSystem() : state_(std::make_shared<State>()) {}
MemoryFileSystem::~MemoryFileSystem() = default;

void MemoryFileSystem::set_fault(Fault fault) {
  const std::lock_guard lock(state_->mutex);
  state_->fault = std::move(fault);
}

uint64_t MemoryFileSystem::operations(std::string_view name) const {
  const std::lock_guard lock(state_->mutex);
  uint64_t sum = 0;
  for (const auto& [operation, count] : state_->operations) {
    if (name.empty() || name == operation) sum += count;
  }
  return sum;
}

uint64_t MemoryFileSystem::faults() const {
  const std::lock_guard lock(state_->mutex);
  return state_->faults;
}

void MemoryFileSystem::power_cut(uint64_t seed) {
  const std::lock_guard lock(state_->mutex);
  SeededChoices choices(seed);
  ++state_->power_cuts;
  state_->fault = nullptr;
  for (auto& [path, folder] : state_->folders) {
    FolderHistory after;
    for (const auto& [name, file] : folder.after_power_cut(choices)) {
      after.create(name, std::make_shared<MemoryFile>(FileHistory(file->history.after_power_cut(choices))));
    }
    after.sync();
    folder = std::move(after);
  }
}

void MemoryFileSystem::write(const std::string& path, std::string content) {
  const std::lock_guard lock(state_->mutex);
  const SplitPath at = split(path);
  FolderHistory& folder = state_->folders[at.folder];
  if (folder.find(at.name) != nullptr) folder.remove(at.name);
  folder.create(at.name, std::make_shared<MemoryFile>(FileHistory(std::move(content))));
  folder.sync();
}

std::string MemoryFileSystem::content(const std::string& path) const {
  const std::lock_guard lock(state_->mutex);
  const State::File file = state_->find(path);
  return file == nullptr ? "" : file->history.content();
}

bool MemoryFileSystem::has(const std::string& path) const {
  const std::lock_guard lock(state_->mutex);
  return state_->find(path) != nullptr;
}

std::vector<std::string> MemoryFileSystem::paths() const {
  const std::lock_guard lock(state_->mutex);
  std::vector<std::string> all;
  for (const auto& [path, folder] : state_->folders) {
    for (const auto& [name, file] : folder.names()) all.push_back(path.empty() ? name : path + "/" + name);
  }
  std::sort(all.begin(), all.end());
  return all;
}

void MemoryFileSystem::set_standard_input(std::string content) {
  const std::lock_guard lock(state_->mutex);
  state_->standard_input = std::move(content);
  state_->standard_input_read = 0;
}

std::string MemoryFileSystem::standard_output_content() const {
  const std::lock_guard lock(state_->mutex);
  return state_->standard_output->history.content();
}

Result<std::unique_ptr<ReadableFile>> MemoryFileSystem::open_read(const std::string& path) {
  const std::lock_guard lock(state_->mutex);
  BATCHWRIGHT_RETURN_IF_ERROR(state_->check("open_read", path));
  State::File file = state_->find(path);
  if (file == nullptr) return not_found(path + ": no such file");
  return std::unique_ptr<ReadableFile>(std::make_unique<Reader>(state_, path, std::move(file)));
}

Result<std::unique_ptr<WritableFile>> MemoryFileSystem::create(const std::string& path, CreateMode mode) {
  const std::lock_guard lock(state_->mutex);
  BATCHWRIGHT_RETURN_IF_ERROR(state_->check("create", path));
  State::File file = state_->find(path);
  if (file != nullptr && mode == CreateMode::kNew) return invalid_argument(path + ": exists already");
  if (file == nullptr) {
    file = std::make_shared<MemoryFile>();
    const SplitPath at = split(path);
    state_->folders[at.folder].create(at.name, file);
  }
  if (file->locked) return invalid_argument(path + ": another process is writing it");
  file->locked = true;
  file->history.reopen();
  if (mode == CreateMode::kReplace) file->history.truncate(0);
  return std::unique_ptr<WritableFile>(std::make_unique<Writer>(state_, path, std::move(file)));
}

Result<FileSystem::Scratch> MemoryFileSystem::create_scratch() {
  const std::lock_guard lock(state_->mutex);
  BATCHWRIGHT_RETURN_IF_ERROR(state_->check("create", ""));
  const auto file = std::make_shared<MemoryFile>();
  Scratch scratch;
  scratch.writer = std::make_unique<Writer>(state_, "", file);
  scratch.reader = std::make_unique<Reader>(state_, "", file);
  return scratch;
}

Result<PathKind> MemoryFileSystem::kind(const std::string& path) {
  const std::lock_guard lock(state_->mutex);
  BATCHWRIGHT_RETURN_IF_ERROR(state_->check("kind", path));
  return state_->find(path) != nullptr ? PathKind::kFile : PathKind::kNothing;
}

Status MemoryFileSystem::rename(const std::string& from, const std::string& to) {
  const std::lock_guard lock(state_->mutex);
  BATCHWRIGHT_RETURN_IF_ERROR(state_->check("rename", from));
  if (state_->find(from) == nullptr) return not_found(from + ": no such file");
  const SplitPath before = split(from);
  const SplitPath after = split(to);
  if (before.folder != after.folder) return io_error(from + ": cannot rename to " + to + ": another folder");
  state_->folders[before.folder].rename(before.name, after.name);
  return {};
}

Status MemoryFileSystem::remove(const std::string& path) {
  const std::lock_guard lock(state_->mutex);
  BATCHWRIGHT_RETURN_IF_ERROR(state_->check("remove", path));
  if (state_->find(path) == nullptr) return {};
  const SplitPath at = split(path);
  state_->folders[at.folder].remove(at.name);
  return {};
}

Status MemoryFileSystem::make_folder(const std::string& path) {
  const std::lock_guard lock(state_->mutex);
  return state_->check("make_folder", path);
}

Status MemoryFileSystem::sync_folder_of(const std::string& path) {
  const std::lock_guard lock(state_->mutex);
  BATCHWRIGHT_RETURN_IF_ERROR(state_->check("sync_folder", path));
  const auto folder = state_->folders.find(split(path).folder);
  if (folder != state_->folders.end()) folder->second.sync();
  return {};
}

std::unique_ptr<InputStream> MemoryFileSystem::standard_input() { return std::make_unique<Input>(state_); }

std::unique_ptr<WritableFile> MemoryFileSystem::standard_output() {
  const std::lock_guard lock(state_->mutex);
  return std::make_unique<Writer>(state_, "-", state_->standard_output);
}

MemoryFileSystem::Fault planned_fault(FaultPlan plan) {
  return [plan = std::move(plan), calls = uint64_t{0}, power_off = false](const std::string& operation,
                                                                          const std::string& path) mutable -> Status {
    const bool counts =
        (plan.operation.empty() || plan.operation == operation) && path.find(plan.path_part) != std::string::npos;
    if (counts) ++calls;
    const bool strikes = counts && (calls == plan.at || (calls > plan.at && plan.lasts != FaultPlan::Lasts::kOnce));
    power_off = power_off || (strikes && plan.lasts == FaultPlan::Lasts::kPowerOff);
    if (!strikes && !power_off) return {};
    return io_error(path + ": cannot " + operation + ": " + plan.reason);
  };
}

}  // namespace batchwright

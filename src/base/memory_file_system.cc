#include "base/memory_file_system.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/status_macros.h"

namespace batchwright {

struct MemoryFileSystem::State {
  using Content = std::shared_ptr<std::string>;

  Status check(const std::string& operation, const std::string& path) const {
    return fault ? fault(operation, path) : Status();
  }

  mutable std::mutex mutex;
  std::map<std::string, Content> files;
  Content standard_output = std::make_shared<std::string>();
  std::string standard_input;
  size_t standard_input_read = 0;
  Fault fault;
};

class MemoryFileSystem::Reader : public ReadableFile {
 public:
  Reader(std::shared_ptr<State> state, std::string path, State::Content content)
      : state_(std::move(state)), path_(std::move(path)), content_(std::move(content)) {}

  Result<size_t> read_at(uint64_t offset, std::span<char> buffer) const override {
    const std::lock_guard lock(state_->mutex);
    BATCHWRIGHT_RETURN_IF_ERROR(state_->check("read", path_));
    if (offset >= content_->size()) return size_t{0};
    const size_t count = std::min(buffer.size(), content_->size() - static_cast<size_t>(offset));
    if (count > 0) std::memcpy(buffer.data(), content_->data() + offset, count);
    return count;
  }

  Result<uint64_t> size() const override {
    const std::lock_guard lock(state_->mutex);
    return static_cast<uint64_t>(content_->size());
  }

 private:
  std::shared_ptr<State> state_;
  std::string path_;
  State::Content content_;
};

class MemoryFileSystem::Writer : public WritableFile {
 public:
  Writer(std::shared_ptr<State> state, std::string path, State::Content content)
      : state_(std::move(state)), path_(std::move(path)), content_(std::move(content)) {}

  Status append(std::string_view data) override {
    const std::lock_guard lock(state_->mutex);
    const Status status = state_->check("append", path_);
    content_->append(data.substr(0, status.ok() ? data.size() : data.size() / 2));
    return status;
  }
  Status sync() override { return check("sync"); }
  Status truncate(uint64_t bytes) override {
    const std::lock_guard lock(state_->mutex);
    BATCHWRIGHT_RETURN_IF_ERROR(state_->check("truncate", path_));
    if (content_->size() < bytes) return io_error(path_ + ": cannot cut to more bytes than it has");
    content_->resize(static_cast<size_t>(bytes));
    return {};
  }
  Status close() override { return check("close"); }

 private:
  Status check(const char* operation) const {
    const std::lock_guard lock(state_->mutex);
    return state_->check(operation, path_);
  }

  std::shared_ptr<State> state_;
  std::string path_;
  State::Content content_;
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

void MemoryFileSystem::write(const std::string& path, std::string content) {
  const std::lock_guard lock(state_->mutex);
  state_->files[path] = std::make_shared<std::string>(std::move(content));
}

std::string MemoryFileSystem::content(const std::string& path) const {
  const std::lock_guard lock(state_->mutex);
  const auto found = state_->files.find(path);
  return found == state_->files.end() ? "" : *found->second;
}

bool MemoryFileSystem::has(const std::string& path) const {
  const std::lock_guard lock(state_->mutex);
  return state_->files.count(path) > 0;
}

std::vector<std::string> MemoryFileSystem::paths() const {
  const std::lock_guard lock(state_->mutex);
  std::vector<std::string> all;
  for (const auto& [path, content] : state_->files) all.push_back(path);
  return all;
}

void MemoryFileSystem::set_standard_input(std::string content) {
  const std::lock_guard lock(state_->mutex);
  state_->standard_input = std::move(content);
  state_->standard_input_read = 0;
}

std::string MemoryFileSystem::standard_output_content() const {
  const std::lock_guard lock(state_->mutex);
  return *state_->standard_output;
}

Result<std::unique_ptr<ReadableFile>> MemoryFileSystem::open_read(const std::string& path) {
  const std::lock_guard lock(state_->mutex);
  BATCHWRIGHT_RETURN_IF_ERROR(state_->check("open_read", path));
  const auto found = state_->files.find(path);
  if (found == state_->files.end()) return not_found(path + ": no such file");
  return std::unique_ptr<ReadableFile>(std::make_unique<Reader>(state_, path, found->second));
}

Result<std::unique_ptr<WritableFile>> MemoryFileSystem::create(const std::string& path, CreateMode mode) {
  const std::lock_guard lock(state_->mutex);
  BATCHWRIGHT_RETURN_IF_ERROR(state_->check("create", path));
  if (mode == CreateMode::kNew && state_->files.count(path) > 0) return invalid_argument(path + ": exists already");
  State::Content& content = state_->files[path];
  if (content == nullptr || mode != CreateMode::kContinue) content = std::make_shared<std::string>();
  return std::unique_ptr<WritableFile>(std::make_unique<Writer>(state_, path, content));
}

Result<FileSystem::Scratch> MemoryFileSystem::create_scratch() {
  const std::lock_guard lock(state_->mutex);
  BATCHWRIGHT_RETURN_IF_ERROR(state_->check("create", ""));
  const auto content = std::make_shared<std::string>();
  Scratch scratch;
  scratch.writer = std::make_unique<Writer>(state_, "", content);
  scratch.reader = std::make_unique<Reader>(state_, "", content);
  return scratch;
}

Result<PathKind> MemoryFileSystem::kind(const std::string& path) {
  const std::lock_guard lock(state_->mutex);
  BATCHWRIGHT_RETURN_IF_ERROR(state_->check("kind", path));
  return state_->files.count(path) > 0 ? PathKind::kFile : PathKind::kNothing;
}

Status MemoryFileSystem::rename(const std::string& from, const std::string& to) {
  const std::lock_guard lock(state_->mutex);
  BATCHWRIGHT_RETURN_IF_ERROR(state_->check("rename", from));
  const auto found = state_->files.find(from);
  if (found == state_->files.end()) return not_found(from + ": no such file");
  const State::Content content = found->second;
  state_->files.erase(found);
  state_->files[to] = content;
  return {};
}

Status MemoryFileSystem::remove(const std::string& path) {
  const std::lock_guard lock(state_->mutex);
  BATCHWRIGHT_RETURN_IF_ERROR(state_->check("remove", path));
  state_->files.erase(path);
  return {};
}

Status MemoryFileSystem::sync_folder_of(const std::string& path) {
  const std::lock_guard lock(state_->mutex);
  return state_->check("sync_folder", path);
}

std::unique_ptr<InputStream> MemoryFileSystem::standard_input() { return std::make_unique<Input>(state_); }

std::unique_ptr<WritableFile> MemoryFileSystem::standard_output() {
  return std::make_unique<Writer>(state_, "-", state_->standard_output);
}

}  // namespace batchwright

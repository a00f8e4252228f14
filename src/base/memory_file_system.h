// Files in memory that fail when told to: the double of base/file_system.h for tests.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/file_system.h"

namespace batchwright {

class MemoryFileSystem : public FileSystem {
 public:
  MemoryFileSystem();
  ~MemoryFileSystem() override;

  // Asked before each call that could fail, with its name ("open_read", "read", "create", "append", "sync", "close",
  // "rename", "remove", "sync_folder", "kind") and the path ("-" for the standard streams, "" for scratch files); a
  // Status that is not ok is what the call returns. An append that fails has written half of its data. Called under a
  // lock: it must not use this file system.
  using Fault = std::function<Status(const std::string& operation, const std::string& path)>;
  void set_fault(Fault fault);

  void write(const std::string& path, std::string content);
  // Empty where there is no such file.
  std::string content(const std::string& path) const;
  bool has(const std::string& path) const;
  std::vector<std::string> paths() const;
  void set_standard_input(std::string content);
  std::string standard_output_content() const;

  Result<std::unique_ptr<ReadableFile>> open_read(const std::string& path) override;
  Result<std::unique_ptr<WritableFile>> create(const std::string& path, CreateMode mode) override;
  Result<Scratch> create_scratch() override;
  Result<PathKind> kind(const std::string& path) override;
  Status rename(const std::string& from, const std::string& to) override;
  Status remove(const std::string& path) override;
  Status sync_folder_of(const std::string& path) override;
  std::unique_ptr<InputStream> standard_input() override;
  std::unique_ptr<WritableFile> standard_output() override;

 private:
  struct State;
  class Reader;
  class Writer;
  class Input;
  // Shared with the open files, which may outlive this object.
  std::shared_ptr<State> state_;
};

}  // namespace batchwright

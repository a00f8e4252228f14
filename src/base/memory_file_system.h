// Files in memory that fail when told to and lose what was not synced: the double of base/file_system.h for tests.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/file_system.h"

namespace batchwright {

// The names of folders are what stands before the last slash of a path; they need not be made. A rename from one folder
// into another is refused (kIoError).
class MemoryFileSystem : public FileSystem {
 public:
  MemoryFileSystem();
  ~MemoryFileSystem() override;

  // Asked before each call that could fail, with its name ("open_read", "read", "create", "append", "truncate", "sync",
  // "close", "rename", "remove", "sync_folder", "make_folder", "kind") and the path (of a rename: the old one; "-" for
  // the standard streams, "" for scratch files); a Status that is not ok is what the call returns. An append that fails
  // has written half of its data, a close that fails has closed the file, a sync that fails leaves in doubt what it
  // should have synced (FileHistory::sync_failed). Called under a lock: it must not use this file system.
  using Fault = std::function<Status(const std::string& operation, const std::string& path)>;
  void set_fault(Fault fault);
  // How many calls of this name (empty: of any) there were since construction, failed ones too.
  uint64_t operations(std::string_view name = {}) const;
  // How many calls the fault let fail since construction.
  uint64_t faults() const;

  // The power goes off and comes back: files and names are in one of the states that are legal then (durability.h), the
  // same for the same seed after the same calls. Calls on what was open before fail (kIoError), its locks are gone, and
  // so is the fault. Standard streams keep what went through them.
  void power_cut(uint64_t seed);

  // A file that has always been there; a file of that name is replaced. Makes the names in its folder last.
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
  Status make_folder(const std::string& path) override;
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

// Which calls fail, and how.
struct FaultPlan {
  enum class Lasts {
    kOnce,
    kForEver,   // each such call from then on
    kPowerOff,  // every call from then on: for a power cut at that place
  };
  std::string operation = {};  // of this name only; empty: of any
  std::string path_part = {};  // on paths that contain this
  uint64_t at = 1;             // the how-manieth such call is the first to fail, from 1
  Lasts lasts = Lasts::kOnce;
  std::string reason = "No space left on device";  // the message is "PATH: cannot OPERATION: REASON", the code kIoError
};

MemoryFileSystem::Fault planned_fault(FaultPlan plan);

}  // namespace batchwright

// What a loss of power leaves of files and folders: the model behind base/memory_file_system.h, for tests. It reads
// POSIX strictly: what was synced stays; of what came since then any part may be there, in any order.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/random.h"

namespace batchwright {

// Where more than one outcome is legal, this picks.
class Choices {
 public:
  virtual ~Choices() = default;
  // One of 0 .. bound - 1; bound is at least 1.
  virtual uint64_t below(uint64_t bound) = 0;
  bool coin() { return below(2) == 1; }
};

// The same picks for the same seed, on every machine.
class SeededChoices : public Choices {
 public:
  explicit SeededChoices(uint64_t seed) : random_(seed) {}
  uint64_t below(uint64_t bound) override { return random_.below(bound); }

 private:
  SplitMix64 random_;
};

// One file's bytes, and which of them are on the disk. Not thread-safe.
class FileHistory {
 public:
  // Disks write these whole or not at all.
  static constexpr uint64_t kSectorBytes = 512;

  FileHistory() = default;
  explicit FileHistory(std::string synced) : content_(synced), synced_(std::move(synced)) {}

  const std::string& content() const { return content_; }
  void append(std::string_view data);
  // To at most as many bytes as there are.
  void truncate(uint64_t bytes);
  void sync();
  // What is not synced yet may be lost although the next sync succeeds, as on Linux, which drops pages that it could
  // not write and reports it once.
  void sync_failed();
  // Another writer takes over: its syncs count for all that it finds. (On Linux they do not, but no program could tell:
  // it reads what is not on the disk.)
  void reopen();

  // A content that may be found afterwards. Of each change since the last sync, sector by sector for appended data, it
  // holds the new bytes or those before (zeros where there were none); the size is any that fits.
  std::string after_power_cut(Choices& choices) const;

 private:
  enum class Fate {
    kOpen,      // on the disk or not, until the next sync
    kDoubtful,  // open still after the next sync
    kSynced,    // on the disk, though a doubtful change before it may not be
  };
  struct Change {
    uint64_t offset;  // data goes there; without data, the file is cut there
    std::string data;
    Fate fate;
    bool is_truncation() const { return data.empty(); }
  };

  std::string content_;
  std::string synced_;
  std::vector<Change> changes_;  // since synced_
};

struct MemoryFile {
  MemoryFile() = default;
  explicit MemoryFile(FileHistory file) : history(std::move(file)) {}

  FileHistory history;
  bool locked = false;
};

// The names in one folder, and which changes of them are on the disk. Not thread-safe.
class FolderHistory {
 public:
  using Names = std::map<std::string, std::shared_ptr<MemoryFile>>;

  const Names& names() const { return names_; }
  // Null where there is no such name.
  std::shared_ptr<MemoryFile> find(const std::string& name) const;
  // The name is new.
  void create(const std::string& name, std::shared_ptr<MemoryFile> file);
  // `from` exists; `to` is replaced.
  void rename(const std::string& from, const std::string& to);
  // The name exists.
  void remove(const std::string& name);
  void sync();

  // Names that may be found afterwards. Each change since the last sync happened in whole or not at all; those of the
  // same name happen in their order, all others in any.
  Names after_power_cut(Choices& choices) const;

 private:
  struct Change {
    std::string from;                     // not for a creation
    std::string to;                       // not for a removal
    std::shared_ptr<MemoryFile> created;  // only for a creation
  };
  static void apply(const Change& change, Names& names);
  void record(Change change);

  Names names_;
  Names synced_;
  std::vector<Change> changes_;
};

}  // namespace batchwright

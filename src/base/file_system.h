// The seam to files: everything that a job reads or writes goes through it, so that full disks and failing ones are
// tests. The POSIX side is platform/posix_file_system.h, one in memory that can fail is base/memory_file_system.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/hash.h"
#include "batchwright/status.h"

namespace batchwright {

// Errors of all calls: kNotFound where the file does not exist, kIoError for what the operating system refuses (the
// message names the path and the reason), others where said.

// Bytes at any place of a file. Thread-safe.
class ReadableFile {
 public:
  virtual ~ReadableFile() = default;
  // Fills the buffer as far as the file goes; the count is less than the buffer's size only at the file's end.
  virtual Result<size_t> read_at(uint64_t offset, std::span<char> buffer) const = 0;
  virtual Result<uint64_t> size() const = 0;
  // A pipe: its bytes come once, so that read_at() must go on where the last one ended - it gives at least one byte, or
  // 0 at the end, or kInterrupted where a signal came first - and it has no size.
  virtual bool comes_once() const { return false; }
};

// Bytes that come once, in order: a pipe or a terminal.
class InputStream {
 public:
  virtual ~InputStream() = default;
  // At least one byte, or 0 at the end. kInterrupted where a signal came first: the call may be repeated.
  virtual Result<size_t> read(std::span<char> buffer) = 0;
};

// A file that grows at its end. One thread at a time. Destruction closes it without a word about errors.
class WritableFile {
 public:
  virtual ~WritableFile() = default;
  // All of the data or an error; after an error some of it may have been written.
  virtual Status append(std::string_view data) = 0;
  // Returns when what was appended is on the disk. After an error nothing may be believed to be there.
  virtual Status sync() = 0;
  // Cuts the file to its first bytes; writing goes on there. kIoError where it is shorter. On the disk after sync().
  virtual Status truncate(uint64_t bytes) = 0;
  virtual Status close() = 0;
};

enum class CreateMode {
  kNew,       // the file must not exist: kInvalidArgument where it does
  kReplace,   // what was there is emptied
  kContinue,  // what is there stays, and writing goes on at its end
};

enum class PathKind {
  kNothing,
  kFile,   // also a symbolic link
  kOther,  // a folder, a device, a pipe: nothing that a rename may replace
};

// Thread-safe.
class FileSystem {
 public:
  virtual ~FileSystem() = default;

  // kInvalidData where the path is a folder.
  virtual Result<std::unique_ptr<ReadableFile>> open_read(const std::string& path) = 0;
  // A file held by one writer at a time, from before anything of it is touched until the writer is closed or
  // destroyed: kInvalidArgument where another one, also in this process, writes it.
  virtual Result<std::unique_ptr<WritableFile>> create(const std::string& path, CreateMode mode) = 0;
  // A file without a name for the rest of the process: written through one end, read through the other.
  struct Scratch {
    std::unique_ptr<WritableFile> writer;
    std::unique_ptr<ReadableFile> reader;
  };
  virtual Result<Scratch> create_scratch() = 0;

  virtual Result<PathKind> kind(const std::string& path) = 0;
  // Replaces `to`.
  virtual Status rename(const std::string& from, const std::string& to) = 0;
  // No error where there is no such file.
  virtual Status remove(const std::string& path) = 0;
  // With the folders above it; no error where it is there.
  virtual Status make_folder(const std::string& path) = 0;
  // Makes creations, renames and removals in the folder of `path` last.
  virtual Status sync_folder_of(const std::string& path) = 0;

  virtual std::unique_ptr<InputStream> standard_input() = 0;
  virtual std::unique_ptr<WritableFile> standard_output() = 0;
};

// Writes a whole file so that a reader sees the old content or the new one, never a part: path.tmp, synced, renamed.
Status write_file_atomically(FileSystem& files, const std::string& path, std::string_view content);

// All that is in the file, or comes through a pipe. kInvalidData where it is longer than allowed.
Result<std::string> read_whole_file(FileSystem& files, const std::string& path, uint64_t bytes_max = UINT64_MAX);

// hash128 of all that is in the file.
Result<Hash128> hash_file(FileSystem& files, const std::string& path);

}  // namespace batchwright

// A file's bytes in memory, read-only, without reading them first.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "batchwright/status.h"

namespace batchwright {

struct MappedRegion;

// Maps a whole regular file. Moves; never copies. bytes() stays where it is until the object that holds it is
// destroyed; any number of threads may read it.
//
// A file that shrinks, or whose disk fails, while it is mapped would end the process with SIGBUS at the next touch of a
// lost page. The first open() installs a handler that instead lets such pages of mapped files read as zeros from there
// to the end, and remembers it: whoever has read what matters asks check() before believing it. A SIGBUS anywhere else
// goes to the handler that stood there before. (A file rewritten in place by someone else cannot be noticed.)
class MappedFile {
 public:
  // kNotFound where there is no such file, kInvalidData where it is a directory or no regular file, else kIoError.
  static Result<MappedFile> open(const std::string& path);

  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  ~MappedFile();

  const std::string& path() const { return path_; }
  std::span<const std::byte> bytes() const { return {data_, size_}; }

  // kIoError if the file is shorter than when it was opened, or any byte read so far came from a page that was lost.
  // From any thread.
  Status check() const;

  // Lets the memory of the pages that lie wholly in [offset, offset + length) go. They are read from the file again if
  // they are touched again. The part of a range that lies beyond the file is ignored. From any thread.
  void release(uint64_t offset, uint64_t length) const;

 private:
  MappedFile(std::string path, int fd, const std::byte* data, size_t size, MappedRegion* region);
  void close();

  std::string path_;
  int fd_ = -1;
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
  MappedRegion* region_ = nullptr;
};

}  // namespace batchwright

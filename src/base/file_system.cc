#include "base/file_system.h"

#include <fmt/format.h>

#include <vector>

#include "base/status_macros.h"

namespace batchwright {

Status write_file_atomically(FileSystem& files, const std::string& path, std::string_view content) {
  const std::string temporary = path + ".tmp";
  BATCHWRIGHT_ASSIGN_OR_RETURN(auto file, files.create(temporary, CreateMode::kReplace));
  Status status = file->append(content);
  if (status.ok()) status = file->sync();
  if (status.ok()) status = file->close();
  if (status.ok()) status = files.rename(temporary, path);
  if (!status.ok()) {
    (void)files.remove(temporary);
    return status;
  }
  return files.sync_folder_of(path);
}

namespace {

Result<std::string> read_pipe(const ReadableFile& pipe, const std::string& path, uint64_t bytes_max) {
  constexpr size_t kPieceBytes = size_t{64} << 10;
  std::string text;
  while (true) {
    const size_t before = text.size();
    text.resize(before + kPieceBytes);
    BATCHWRIGHT_ASSIGN_OR_RETURN(const size_t count, pipe.read_at(before, std::span(text).subspan(before)));
    text.resize(before + count);
    if (text.size() > bytes_max) return invalid_data(fmt::format("{}: at most {} bytes are allowed", path, bytes_max));
    if (count == 0) return text;
  }
}

}  // namespace

Result<std::string> read_whole_file(FileSystem& files, const std::string& path, uint64_t bytes_max) {
  BATCHWRIGHT_ASSIGN_OR_RETURN(const auto file, files.open_read(path));
  if (file->comes_once()) return read_pipe(*file, path, bytes_max);
  BATCHWRIGHT_ASSIGN_OR_RETURN(const uint64_t size, file->size());
  if (size > bytes_max) return invalid_data(fmt::format("{}: {} bytes; at most {} are allowed", path, size, bytes_max));
  std::string text(size, '\0');
  BATCHWRIGHT_ASSIGN_OR_RETURN(const size_t count, file->read_at(0, text));
  text.resize(count);
  return text;
}

Result<Hash128> hash_file(FileSystem& files, const std::string& path) {
  constexpr size_t kPieceBytes = size_t{4} << 20;
  BATCHWRIGHT_ASSIGN_OR_RETURN(const auto file, files.open_read(path));
  Hasher128 hasher;
  std::vector<char> piece(kPieceBytes);
  for (uint64_t offset = 0;;) {
    BATCHWRIGHT_ASSIGN_OR_RETURN(const size_t count, file->read_at(offset, piece));
    hasher.update(std::string_view(piece.data(), count));
    offset += count;
    if (count < piece.size()) return hasher.digest();
  }
}

}  // namespace batchwright

#include "job/input_file.h"

#include <utility>
#include <vector>

#include "base/decompress.h"
#include "base/status_macros.h"

namespace batchwright {
namespace {

constexpr size_t kCopyBytes = size_t{256} << 10;

Status copy(InputStream& from, WritableFile& to, const std::string& name, const ReadWatch& watch) {
  std::vector<char> buffer(kCopyBytes);
  uint64_t copied = 0;
  while (true) {
    const auto count = from.read(buffer);
    if (watch.stop_requested && watch.stop_requested()) return interrupted(name + ": interrupted while it was read");
    if (count.status().code() == StatusCode::kInterrupted) continue;
    if (!count.ok()) return count.status().with_context(name);
    if (*count == 0) return {};
    BATCHWRIGHT_RETURN_IF_ERROR(to.append(std::string_view(buffer.data(), *count)));
    copied += *count;
    if (watch.progressed) watch.progressed(copied, 0);
  }
}

Result<bool> is_compressed(const ReadableFile& file) {
  std::string beginning(kCompressionMagicBytes, '\0');
  BATCHWRIGHT_ASSIGN_OR_RETURN(const size_t count, file.read_at(0, beginning));
  return compression_of(std::string_view(beginning).substr(0, count)) != Compression::kNone;
}

}  // namespace

std::string input_name(const std::string& path) { return path == "-" ? "standard input" : path; }

Result<std::unique_ptr<ReadableFile>> open_input_file(FileSystem& files, const InputFileOptions& options) {
  const bool is_stream = options.path == "-";
  std::unique_ptr<InputStream> source;
  if (is_stream) {
    source = files.standard_input();
  } else {
    BATCHWRIGHT_ASSIGN_OR_RETURN(auto file, files.open_read(options.path));
    if (!file->comes_once()) {
      BATCHWRIGHT_ASSIGN_OR_RETURN(const bool compressed, is_compressed(*file));
      if (!compressed) return file;
    }
    source = stream_of(std::move(file));
  }
  source = decompressing(std::move(source));
  const std::string name = input_name(options.path);
  if (options.spool_path.empty()) {
    BATCHWRIGHT_ASSIGN_OR_RETURN(FileSystem::Scratch scratch, files.create_scratch());
    BATCHWRIGHT_RETURN_IF_ERROR(copy(*source, *scratch.writer, name, options.watch));
    return std::move(scratch.reader);
  }
  BATCHWRIGHT_ASSIGN_OR_RETURN(const auto spool, files.create(options.spool_path, CreateMode::kReplace));
  BATCHWRIGHT_RETURN_IF_ERROR(copy(*source, *spool, name, options.watch));
  BATCHWRIGHT_RETURN_IF_ERROR(spool->sync());
  BATCHWRIGHT_RETURN_IF_ERROR(spool->close());
  BATCHWRIGHT_RETURN_IF_ERROR(files.sync_folder_of(options.spool_path));
  return files.open_read(options.spool_path);
}

}  // namespace batchwright

#include "base/file_system.h"

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

}  // namespace batchwright

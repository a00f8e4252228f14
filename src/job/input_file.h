// The file of rows, in a form that can be read at any place.
#pragma once

#include <memory>
#include <string>

#include "base/file_system.h"
#include "job/row_index.h"

namespace batchwright {

// As messages call the file at the path, "-" standard input.
std::string input_name(const std::string& path);

struct InputFileOptions {
  std::string path;  // "-": standard input
  // Where rows are copied to, durably, that cannot be read in place - standard input, a pipe, and what is compressed,
  // which is copied decompressed. Empty: a file without a name.
  std::string spool_path;
  ReadWatch watch;  // while they are copied
};

// Errors: those of FileSystem and decompressing(); kInterrupted.
Result<std::unique_ptr<ReadableFile>> open_input_file(FileSystem& files, const InputFileOptions& options);

}  // namespace batchwright

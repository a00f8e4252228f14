// Where the lines of a job go while it runs, and how they become its output.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/file_system.h"

namespace batchwright {

enum class ResultOrder { kCompletion, kInput };

// One file of lines. One thread at a time.
class ResultFile {
 public:
  virtual ~ResultFile() = default;
  // A whole line with its end, of a row that had none before.
  virtual Status write(int64_t row, std::string_view line) = 0;
  // All lines are written: the output is put in its place, on the disk.
  virtual Status finish() = 0;
  // No more lines will come and the output stays unfinished; lines that are there are kept.
  virtual Status abandon() = 0;
};

// Writes path.partial in order of completion; finish() gives the file its name, in the order of the rows where that is
// wanted (then it is rewritten from path.partial first, through path.ordered.tmp). `rows` bounds the rows' numbers.
// path.partial is made with `mode`. Memory: 12 bytes a row with ResultOrder::kInput.
Result<std::unique_ptr<ResultFile>> open_result_file(FileSystem& files, const std::string& path, CreateMode mode,
                                                     ResultOrder order, int64_t rows);

// Writes to standard output as rows complete. With ResultOrder::kInput lines that are early wait in a scratch file.
Result<std::unique_ptr<ResultFile>> open_result_stream(FileSystem& files, ResultOrder order, int64_t rows);

}  // namespace batchwright

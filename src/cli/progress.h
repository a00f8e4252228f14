// What a user sees while a job runs, on standard error.
#pragma once

#include <cstdio>
#include <functional>
#include <string>

#include "job/job.h"

namespace batchwright {

enum class ProgressStyle {
  kNone,
  kBar,    // one line of a terminal, rewritten
  kLines,  // a line now and then
  kJson,   // the same as JSON objects
};

// Said where a command stops for some seconds to calibrate.
inline constexpr const char* kMeasuring = "measuring what steps cost on this machine";
// And after that.
void print_measured(ProgressStyle style, const std::string& why_not_kept);

// The style that fits: JSON and quiet as asked for, else a bar where standard error is a terminal.
ProgressStyle choose_progress_style(bool quiet, bool json);

// One line without its end: rows, tokens a second, the share of prompt tokens that needed no computing, how full the
// steps were on average (mean_fill of the report), memory, time left. width: of the terminal; 0: no bar.
std::string progress_line(const JobProgress& progress, size_t memory_bytes, int width);
std::string progress_event(const JobProgress& progress, size_t memory_bytes);

// What comes before anything else can be said: a line where that takes long.
class StagePrinter {
 public:
  // seconds: a clock that never goes back.
  StagePrinter(ProgressStyle style, std::function<double()> seconds);
  ~StagePrinter() { finish(); }
  StagePrinter(const StagePrinter&) = delete;
  StagePrinter& operator=(const StagePrinter&) = delete;

  // Something begins that takes seconds, and says nothing meanwhile.
  void begin(const std::string& what);
  // So many rows of all; printed now and then, nothing in the first second.
  void at(const std::string& what, int64_t rows, int64_t rows_total);
  // The same of a file's bytes; bytes_total: 0 where nobody knows.
  void read(const std::string& what, uint64_t bytes, uint64_t bytes_total);
  // Clears the line of a terminal.
  void finish();

 private:
  // Whether to print now; then not again for a while.
  bool is_time();

  const ProgressStyle style_;
  const std::function<double()> seconds_;
  double next_seconds_;
  bool line_shown_ = false;
};

class ProgressPrinter : public JobObserver {
 public:
  ProgressPrinter(ProgressStyle style, std::function<size_t()> memory_bytes);
  ~ProgressPrinter() override;

  void progressed(const JobProgress& progress) override;
  void measuring() override;
  void measured(const std::string& why_not_kept) override;
  // Clears the bar; nothing is printed afterwards.
  void finish();

 private:
  ProgressStyle style_;
  std::function<size_t()> memory_bytes_;
  double next_seconds_ = 0;
  bool bar_shown_ = false;
};

}  // namespace batchwright

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

// The style that fits: JSON and quiet as asked for, else a bar where standard error is a terminal.
ProgressStyle choose_progress_style(bool quiet, bool json);

// One line without its end: rows, tokens a second, the share of prompt tokens that needed no computing, how full the
// steps were on average (mean_fill of the report), memory, time left. width: of the terminal; 0: no bar.
std::string progress_line(const JobProgress& progress, size_t memory_bytes, int width);
std::string progress_event(const JobProgress& progress, size_t memory_bytes);

class ProgressPrinter : public JobObserver {
 public:
  ProgressPrinter(ProgressStyle style, std::function<size_t()> memory_bytes);
  ~ProgressPrinter() override;

  void progressed(const JobProgress& progress) override;
  // Clears the bar; nothing is printed afterwards.
  void finish();

 private:
  ProgressStyle style_;
  std::function<size_t()> memory_bytes_;
  double next_seconds_ = 0;
  bool bar_shown_ = false;
};

}  // namespace batchwright

#include "cli/progress.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <utility>

#include "base/format_bytes.h"
#include "base/json_writer.h"
#include "cli/command.h"

namespace batchwright {
namespace {

constexpr double kBarSeconds = 0.2;
constexpr double kLineSeconds = 5;
constexpr double kEventSeconds = 1;
// What takes no longer before the rows run is not worth a word.
constexpr double kFirstSeconds = 1;

double seconds_between(ProgressStyle style) {
  if (style == ProgressStyle::kBar) return kBarSeconds;
  return style == ProgressStyle::kLines ? kLineSeconds : kEventSeconds;
}

int terminal_width() {
  winsize size{};
  if (::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  return 80;
}

double rate(int64_t count, double seconds) { return seconds > 0 ? static_cast<double>(count) / seconds : 0; }

double share_saved(const JobProgress& progress) {
  if (progress.prompt_tokens <= 0) return 0;
  const double computed =
      static_cast<double>(progress.prompt_tokens_computed) / static_cast<double>(progress.prompt_tokens);
  return std::clamp(1 - computed, 0.0, 1.0);
}

double mean_fill_of(const JobProgress& progress) {
  return mean_fill(progress.engine.steps, progress.engine.steps_filled);
}

// Nothing runs before the rows are in order.
bool is_planning(const JobProgress& progress) {
  return progress.engine.steps == 0 && progress.rows_planned > 0 &&
         progress.rows_ok + progress.rows_failed == progress.rows_resumed;
}

void print_beginning(ProgressStyle style, const std::string& what) {
  if (style == ProgressStyle::kBar) fmt::print(stderr, "\r\x1b[K{}", what);
  if (style == ProgressStyle::kLines) fmt::print(stderr, "{}\n", what);
  if (style == ProgressStyle::kJson) fmt::print(stderr, "{}\n", note_event(what));
  std::fflush(stderr);
}

void print_counts(const char* total_name, int64_t total, const char* name, int64_t count) {
  std::string text;
  JsonWriter out(text);
  out.begin_object();
  out.member("event", "progress");
  out.member(total_name, total);
  out.member(name, count);
  out.end_object();
  fmt::print(stderr, "{}\n", text);
  std::fflush(stderr);
}

std::string format_time(double seconds) {
  const auto whole = static_cast<int64_t>(std::llround(seconds));
  if (whole >= 3600) return fmt::format("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60);
  return fmt::format("{}:{:02}", whole / 60, whole % 60);
}

std::string bar(int64_t done, int64_t total, int width) {
  const auto filled = static_cast<size_t>(total > 0 ? done * width / total : 0);
  return "[" + std::string(filled, '#') + std::string(static_cast<size_t>(width) - filled, '.') + "] ";
}

}  // namespace

ProgressStyle choose_progress_style(bool quiet, bool json) {
  if (json) return ProgressStyle::kJson;
  if (quiet) return ProgressStyle::kNone;
  const char* const terminal = std::getenv("TERM");
  const bool dumb = terminal == nullptr || std::string_view(terminal) == "dumb";
  return ::isatty(STDERR_FILENO) != 0 && !dumb ? ProgressStyle::kBar : ProgressStyle::kLines;
}

std::string progress_line(const JobProgress& progress, size_t memory_bytes, int width) {
  if (is_planning(progress)) {
    const int64_t rows = progress.rows_total - progress.rows_resumed;
    return fmt::format("putting the rows in order: {}/{}", std::min(progress.rows_planned, rows), rows);
  }
  const int64_t done = progress.rows_ok + progress.rows_failed;
  std::string text = fmt::format("{}/{} rows", done, progress.rows_total);
  if (progress.rows_failed > 0) text += fmt::format(", {} failed", progress.rows_failed);
  text += fmt::format(" | {:.0f} prompt + {:.0f} generated tokens/s", rate(progress.prompt_tokens, progress.seconds),
                      rate(progress.engine.generated_tokens, progress.seconds));
  text += fmt::format(" | {:.0f}% shared", 100 * share_saved(progress));
  std::string end = fmt::format(" | {}", format_bytes(static_cast<double>(memory_bytes)));
  if (progress.draining) {
    end += " | stopping";
  } else if (progress.seconds_left >= 0) {
    end += fmt::format(" | {} left", format_time(progress.seconds_left));
  }
  const std::string fill =
      progress.engine.steps > 0 ? fmt::format(", steps {:.0f}% full", 100 * mean_fill_of(progress)) : "";
  // Where the terminal is too narrow for all, it is missed least.
  if (width <= 0 || text.size() + fill.size() + end.size() < static_cast<size_t>(width)) text += fill;
  text += end;
  constexpr int kBarWidthLeast = 8;
  constexpr int kBarWidthMost = 30;
  const int room = width - static_cast<int>(text.size()) - 4;
  if (width > 0 && room >= kBarWidthLeast) {
    text = bar(done, progress.rows_total, std::min(room, kBarWidthMost)) + text;
  } else if (width > 0 && room < -3) {
    text.resize(static_cast<size_t>(std::max(width - 1, 0)));
  }
  return text;
}

std::string progress_event(const JobProgress& progress, size_t memory_bytes) {
  std::string text;
  JsonWriter out(text);
  out.begin_object();
  out.member("event", "progress");
  out.member("rows_total", progress.rows_total);
  out.member("rows_resumed", progress.rows_resumed);
  out.member("rows_ok", progress.rows_ok);
  out.member("rows_failed", progress.rows_failed);
  out.member("rows_planned", progress.rows_planned);
  out.member("seconds", progress.seconds);
  out.member("prompt_tokens", progress.prompt_tokens);
  out.member("prompt_tokens_computed", progress.prompt_tokens_computed);
  out.member("generated_tokens", progress.engine.generated_tokens);
  out.member("share_saved", share_saved(progress));
  out.member("steps", progress.engine.steps);
  out.member("mean_fill", mean_fill_of(progress));
  out.member("sequences_running", progress.engine.sequences_running);
  out.member("sequences_waiting", progress.engine.sequences_waiting);
  out.member("kv_pages_used", progress.engine.kv_pages_used);
  out.member("kv_pages_total", progress.engine.kv_pages_total);
  out.member("memory_bytes", static_cast<uint64_t>(memory_bytes));
  out.key("seconds_left");
  if (progress.seconds_left >= 0) {
    out.value(progress.seconds_left);
  } else {
    out.null();
  }
  out.member("draining", progress.draining);
  out.end_object();
  return text;
}

StagePrinter::StagePrinter(ProgressStyle style, std::function<double()> seconds)
    : style_(style), seconds_(std::move(seconds)), next_seconds_(seconds_() + kFirstSeconds) {}

void StagePrinter::begin(const std::string& what) {
  print_beginning(style_, what);
  line_shown_ = style_ == ProgressStyle::kBar;
}

void StagePrinter::at(const std::string& what, int64_t rows, int64_t rows_total) {
  if (!is_time()) return;
  if (style_ == ProgressStyle::kJson) {
    print_counts("rows_total", rows_total, "rows_planned", rows);
  } else {
    begin(fmt::format("{}: {}/{}", what, rows, rows_total));
  }
}

void StagePrinter::read(const std::string& what, uint64_t bytes, uint64_t bytes_total) {
  if (!is_time()) return;
  if (style_ == ProgressStyle::kJson) {
    print_counts("bytes_total", static_cast<int64_t>(bytes_total), "bytes_read", static_cast<int64_t>(bytes));
  } else if (bytes_total == 0) {
    begin(fmt::format("{}: {}", what, format_bytes(static_cast<double>(bytes))));
  } else {
    begin(
        fmt::format("{}: {}% of {}", what, bytes * 100 / bytes_total, format_bytes(static_cast<double>(bytes_total))));
  }
}

bool StagePrinter::is_time() {
  const double now = seconds_();
  if (style_ == ProgressStyle::kNone || now < next_seconds_) return false;
  next_seconds_ = now + seconds_between(style_);
  return true;
}

void StagePrinter::finish() {
  if (line_shown_) fmt::print(stderr, "\r\x1b[K");
  line_shown_ = false;
}

ProgressPrinter::ProgressPrinter(ProgressStyle style, std::function<size_t()> memory_bytes)
    : style_(style), memory_bytes_(std::move(memory_bytes)) {}

ProgressPrinter::~ProgressPrinter() { finish(); }

void ProgressPrinter::progressed(const JobProgress& progress) {
  if (style_ == ProgressStyle::kNone || progress.seconds < next_seconds_) return;
  // The first line comes when there is something to say.
  const double line_seconds = is_planning(progress) ? kFirstSeconds : kLineSeconds;
  if (style_ == ProgressStyle::kLines && progress.seconds < line_seconds) return;
  switch (style_) {
    case ProgressStyle::kNone:
      break;
    case ProgressStyle::kBar:
      fmt::print(stderr, "\r\x1b[K{}", progress_line(progress, memory_bytes_(), terminal_width()));
      bar_shown_ = true;
      break;
    case ProgressStyle::kLines:
      fmt::print(stderr, "{}\n", progress_line(progress, memory_bytes_(), 0));
      break;
    case ProgressStyle::kJson:
      fmt::print(stderr, "{}\n", progress_event(progress, memory_bytes_()));
      break;
  }
  next_seconds_ = progress.seconds + seconds_between(style_);
  std::fflush(stderr);
}

void print_measured(ProgressStyle style, const std::string& why_not_kept) {
  if (style == ProgressStyle::kBar) fmt::print(stderr, "\r\x1b[K");
  if (style == ProgressStyle::kNone) return;
  const std::string text =
      why_not_kept.empty() ? "measured, and kept for later jobs" : "measured, for this time only: " + why_not_kept;
  fmt::print(stderr, "{}\n", style == ProgressStyle::kJson ? note_event(text) : text);
  std::fflush(stderr);
}

void ProgressPrinter::measured(const std::string& why_not_kept) {
  print_measured(style_, why_not_kept);
  bar_shown_ = false;
}

void ProgressPrinter::measuring() {
  print_beginning(style_, kMeasuring);
  bar_shown_ = style_ == ProgressStyle::kBar;
}

void ProgressPrinter::finish() {
  if (bar_shown_) fmt::print(stderr, "\r\x1b[K");
  bar_shown_ = false;
  style_ = ProgressStyle::kNone;
}

}  // namespace batchwright

#include "plan/chart.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <string_view>
#include <vector>

#include "base/utf8.h"

namespace batchwright {
namespace {

constexpr double kLeft = 72;
constexpr double kPlotWidth = 864;
constexpr double kRight = kLeft + kPlotWidth;
constexpr double kWidth = kRight + 24;
constexpr double kHeight = 672;
constexpr double kPlotsBegin = 106;
constexpr double kPlotsEnd = 616;
constexpr double kTickHeight = 22;

// Both grounds by the reader's own preference; the names are those of what is drawn.
constexpr std::string_view kStyle = R"(<style>
text{fill:#241f31;font-size:12px}
.title{font-size:16px;font-weight:bold}
.panel{font-size:13px;font-weight:bold}
.quiet{fill:#5e5c64}
.ground{fill:#ffffff}
.axis{stroke:#241f31;fill:none}
.grid{stroke:#deddda;fill:none}
.decode{fill:#3584e4}
.prompt{fill:#e66100}
.memory{fill:#9141ac}
.local{fill:#8fd0ab}
.limit{stroke:#5e5c64;stroke-width:2;stroke-dasharray:7 5;fill:none}
.far{stroke:#1c7c4c;stroke-width:2.5;fill:none;stroke-linejoin:round}
@media (prefers-color-scheme:dark){
text{fill:#f6f5f4}
.quiet{fill:#b5b2ba}
.ground{fill:#1c1b22}
.axis{stroke:#f6f5f4}
.grid{stroke:#3d3a48}
.decode{fill:#4a90e8}
.prompt{fill:#f08030}
.memory{fill:#b06ac8}
.local{fill:#2c6b48}
.limit{stroke:#b5b2ba}
.far{stroke:#57e389}
}
</style>
)";

// As an element's content: what XML cannot hold becomes U+FFFD.
std::string escaped(std::string_view text) {
  std::string valid;
  append_valid_utf8(valid, text);
  std::string out;
  for (const char c : valid) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      default:
        if (static_cast<unsigned char>(c) < 0x20) {
          append_utf8(out, kReplacementCharacter);
        } else {
          out += c;
        }
    }
  }
  return out;
}

std::string text_at(double x, double y, std::string_view words, const char* anchor = "start", const char* kind = "") {
  const std::string of_class = *kind != '\0' ? fmt::format(" class=\"{}\"", kind) : "";
  return fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\"{}>{}</text>\n", x, y, anchor, of_class,
                     escaped(words));
}

// 1234567 as 1,234,567; others with as few digits as they need.
std::string number_text(double value) {
  std::string digits = fmt::format("{:.0f}", std::floor(value + 1e-9));
  for (size_t i = digits.size(); i > 3; i -= 3) digits.insert(i - 3, ",");
  const double rest = value - std::floor(value + 1e-9);
  if (rest < 1e-9) return digits;
  return digits + fmt::format("{:.6g}", rest).substr(1);
}

struct Unit {
  double size;
  const char* name;
};

Unit unit_of_bytes(double bytes) {
  constexpr std::array<Unit, 4> kUnits = {
      {{1024.0 * 1024 * 1024, "GiB"}, {1024.0 * 1024, "MiB"}, {1024, "KiB"}, {1, "bytes"}}};
  return *std::find_if(kUnits.begin(), kUnits.end() - 1, [&](const Unit& unit) { return bytes >= unit.size; });
}

Unit unit_of_time(double seconds) {
  constexpr double kMinute = 60;
  constexpr double kHour = 3600;
  if (seconds >= 4 * kHour) return {kHour, "hours"};
  if (seconds >= 4 * kMinute) return {kMinute, "minutes"};
  if (seconds >= 1) return {1, "seconds"};
  return {1e-3, "milliseconds"};
}

std::string bytes_text(double bytes) {
  const Unit unit = unit_of_bytes(bytes);
  return fmt::format("{:.{}f} {}", bytes / unit.size, unit.size > 1 ? 1 : 0, unit.name);
}

// One of the pictures: columns over time, values from 0 to `top` upwards.
class Panel {
 public:
  Panel(const StepColumns& steps, double y, double height, double top)
      : steps_(steps), y_(y), height_(height), top_(top > 0 ? top : 1) {}

  double bottom() const { return y_ + height_; }
  double y_of(double value) const { return bottom() - height_ * std::clamp(value / top_, 0.0, 1.0); }
  double x_of(double seconds) const {
    return kLeft + kPlotWidth * std::clamp(seconds / std::max(steps_.seconds(), 1e-9), 0.0, 1.0);
  }

  // Names of `unit` at the values `unit` times so many.
  std::string frame(std::string_view title, double unit, std::string_view after_number = "") const {
    std::string out = text_at(kLeft, y_ - 12, title, "start", "panel");
    const double step = tick_step(top_ / unit, height_ / kTickHeight);
    for (int i = 0; i * step <= top_ / unit * (1 + 1e-9); ++i) {
      const double y = y_of(i * step * unit);
      out += fmt::format("<path class=\"{}\" d=\"M{} {:.1f}H{}\"/>\n", i == 0 ? "axis" : "grid", kLeft, y, kRight);
      out += text_at(kLeft - 8, y + 4, number_text(i * step) + std::string(after_number), "end");
    }
    return out;
  }

  using Value = std::function<double(const StepColumn&)>;

  // The ground between two values of each column; columns in which nothing ran are gaps.
  std::string area(const char* kind, const Value& low, const Value& high, const Value& exists) const {
    std::string path;
    const auto& columns = steps_.columns();
    for (size_t begin = 0; begin < columns.size();) {
      size_t end = begin;
      while (end < columns.size() && exists(columns[end]) > 0) ++end;
      if (end > begin) path += stairs(begin, end, high, low);
      begin = std::max(end, begin + 1);
    }
    return path.empty() ? "" : fmt::format("<path class=\"{}\" d=\"{}\"/>\n", kind, path);
  }

  // The value of each column, a straight line where it stays the same.
  std::string level_line(const char* kind, const Value& value) const {
    std::string path;
    double last = -1;
    for (size_t i = 0; i < steps_.columns().size(); ++i) {
      const StepColumn& column = steps_.columns()[i];
      if (column.busy_seconds <= 0) continue;
      const double y = y_of(value(column));
      if (path.empty())
        path = fmt::format("M{:.1f} {:.1f}", left_of(i), y);
      else if (std::abs(y - last) >= 0.05)
        path += fmt::format("H{:.1f}V{:.1f}", left_of(i), y);
      last = y;
    }
    if (path.empty()) return "";
    return fmt::format("<path class=\"{}\" d=\"{}H{}\"/>\n", kind, path, kRight);
  }

  double left_of(size_t column) const { return x_of(steps_.column_seconds() * static_cast<double>(column)); }

 private:
  std::string stairs(size_t begin, size_t end, const Value& high, const Value& low) const {
    std::string path;
    const auto& columns = steps_.columns();
    for (size_t i = begin; i < end; ++i) {
      path += fmt::format("{}{:.1f} {:.1f}H{:.1f}", i == begin ? "M" : "L", left_of(i), y_of(high(columns[i])),
                          left_of(i + 1));
    }
    for (size_t i = end; i-- > begin;) {
      path += fmt::format("L{:.1f} {:.1f}H{:.1f}", left_of(i + 1), y_of(low(columns[i])), left_of(i));
    }
    return path + "Z";
  }

  const StepColumns& steps_;
  const double y_;
  const double height_;
  const double top_;
};

double per_busy(double integral, const StepColumn& column) {
  return column.busy_seconds > 0 ? integral / column.busy_seconds : 0;
}
double zero(const StepColumn& /*column*/) { return 0; }
double busy(const StepColumn& column) { return column.busy_seconds; }
double budget(const StepColumn& column) { return per_busy(column.budget_seconds, column); }
double decode_tokens(const StepColumn& column) { return per_busy(column.decode_seconds, column); }
double all_tokens(const StepColumn& column) { return per_busy(column.decode_seconds + column.prompt_seconds, column); }
double kv_bytes(const StepColumn& column) { return static_cast<double>(column.kv_bytes_max); }
double has_prompts(const StepColumn& column) { return column.prompt_tokens; }
double share_saved(const StepColumn& column) {
  return column.prompt_tokens > 0 ? std::clamp(1 - column.prompt_tokens_computed / column.prompt_tokens, 0.0, 1.0) : 0;
}

// A legend, from the right end of a panel's title line leftwards in reading order.
struct Key {
  const char* kind;
  std::string words;
  bool is_line = false;
};

std::string legend(double y, const std::vector<Key>& keys) {
  constexpr double kCharacter = 6.4;
  double x = kRight;
  for (const Key& key : keys) x -= 28 + 14 + kCharacter * static_cast<double>(key.words.size());
  std::string out;
  for (const Key& key : keys) {
    out += key.is_line ? fmt::format("<path class=\"{}\" d=\"M{:.1f} {:.1f}h22\"/>\n", key.kind, x, y - 4)
                       : fmt::format("<rect class=\"{}\" x=\"{:.1f}\" y=\"{:.1f}\" width=\"22\" height=\"11\"/>\n",
                                     key.kind, x, y - 10);
    out += text_at(x + 28, y, key.words);
    x += 28 + 14 + kCharacter * static_cast<double>(key.words.size());
  }
  return out;
}

std::string tokens_panel(const StepColumns& steps, double y, double height) {
  double top = 0;
  for (const StepColumn& column : steps.columns()) top = std::max({top, budget(column), all_tokens(column)});
  const Panel panel(steps, y, height, 1.06 * top);
  std::string out = panel.frame("Tokens of a step", 1);
  out += panel.area("decode", zero, decode_tokens, busy);
  out += panel.area("prompt", decode_tokens, all_tokens, busy);
  out += panel.level_line("limit", budget);
  return out +
         legend(y - 12, {{"decode", "answers (decode)"}, {"prompt", "prompts (prefill)"}, {"limit", "budget", true}});
}

std::string memory_panel(const StepColumns& steps, double y, double height, size_t kv_bytes_total) {
  const double used = static_cast<double>(steps.total().kv_bytes_max);
  const auto total = static_cast<double>(kv_bytes_total);
  // A limit further away than this would press all else to the floor.
  constexpr double kFar = 3;
  const bool near = total > 0 && total <= kFar * used;
  const double top = 1.08 * (near ? std::max(total, used) : used);
  const Unit unit = unit_of_bytes(top);
  const Panel panel(steps, y, height, top);
  std::string out = panel.frame(fmt::format("KV memory held, {}", unit.name), unit.size);
  out += panel.area("memory", zero, kv_bytes, busy);
  if (near) out += panel.level_line("limit", [&](const StepColumn&) { return total; });
  std::vector<Key> keys = {{"memory", fmt::format("by sequences, at most {}", bytes_text(used))}};
  if (near) keys.push_back({"limit", fmt::format("there are {}", bytes_text(total)), true});
  if (!near && total > 0) keys.front().words += fmt::format(" of {}", bytes_text(total));
  return out + legend(y - 12, keys);
}

std::string sharing_panel(const StepColumns& steps, double y, double height) {
  const Panel panel(steps, y, height, 1);
  std::string out = panel.frame("Prompt tokens that needed no computing, %", 0.01);
  out += panel.area("local", zero, share_saved, has_prompts);
  StepColumn sum;
  std::string path;
  for (size_t i = 0; i < steps.columns().size(); ++i) {
    const StepColumn& column = steps.columns()[i];
    sum += column;
    // Before a prompt was got past there is no share; without one it stays as it was.
    if (column.prompt_tokens <= 0) continue;
    path +=
        fmt::format("{}{:.1f} {:.1f}", path.empty() ? "M" : "L", panel.left_of(i + 1), panel.y_of(share_saved(sum)));
  }
  if (!path.empty()) out += fmt::format("<path class=\"far\" d=\"{}H{}\"/>\n", path, kRight);
  return out + legend(y - 12, {{"local", "at this time"},
                               {"far", fmt::format("until then, {:.1f}% at the end", 100 * share_saved(sum)), true}});
}

std::string time_axis(const StepColumns& steps) {
  const Unit unit = unit_of_time(steps.seconds());
  const double all = steps.seconds() / unit.size;
  const double step = tick_step(all, 10);
  std::string out;
  for (int i = 0; i * step <= all * (1 + 1e-9); ++i) {
    const double x = kLeft + kPlotWidth * i * step / all;
    out += fmt::format("<path class=\"axis\" d=\"M{:.1f} {}v5\"/>\n", x, kPlotsEnd);
    out += text_at(x, kPlotsEnd + 20, number_text(i * step), "middle");
  }
  return out + text_at((kLeft + kRight) / 2, kPlotsEnd + 42, fmt::format("time since the first step, {}", unit.name),
                       "middle");
}

std::string summary(const StepColumns& steps) {
  if (steps.steps() == 0) return "no step was run";
  const Unit unit = unit_of_time(steps.seconds());
  return fmt::format("{} steps in {:.1f} {}, of {:.0f} tokens on average: {:.0f}% full",
                     number_text(static_cast<double>(steps.steps())), steps.seconds() / unit.size, unit.name,
                     static_cast<double>(steps.tokens()) / static_cast<double>(steps.steps()), 100 * steps.mean_fill());
}

}  // namespace

double tick_step(double top, double ticks_max) {
  const double power = std::pow(10, std::floor(std::log10(top / ticks_max)));
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (top / (power * factor) <= ticks_max) return power * factor;
  }
  return 10 * power;
}

std::string chart_svg(const StepColumns& steps, const ChartText& text) {
  std::string out = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0}\" height=\"{1}\" viewBox=\"0 0 {0} {1}\" "
      "font-family=\"system-ui, sans-serif\" role=\"img\">\n<title>{2}</title>\n",
      kWidth, kHeight, escaped(text.title));
  out += kStyle;
  out += fmt::format("<rect class=\"ground\" width=\"{}\" height=\"{}\"/>\n", kWidth, kHeight);
  out += text_at(kLeft, 28, text.title, "start", "title");
  out += text_at(kLeft, 48, text.subtitle.empty() ? summary(steps) : text.subtitle + "; " + summary(steps), "start",
                 "quiet");
  if (steps.steps() > 0) {
    constexpr double kBetween = 46;
    constexpr double kSmall = 100;
    constexpr double kLarge = kPlotsEnd - kPlotsBegin - 2 * (kSmall + kBetween);
    out += tokens_panel(steps, kPlotsBegin, kLarge);
    out += memory_panel(steps, kPlotsBegin + kLarge + kBetween, kSmall, text.kv_bytes_total);
    out += sharing_panel(steps, kPlotsEnd - kSmall, kSmall);
    out += time_axis(steps);
  }
  return out + "</svg>\n";
}

}  // namespace batchwright

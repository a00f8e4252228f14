// A picture of steps over time: what they held, the memory for keys and values, and what sharing saved.
#pragma once

#include <cstddef>
#include <string>

#include "plan/step_columns.h"

namespace batchwright {

struct ChartText {
  std::string title;     // any bytes
  std::string subtitle;  // a second line, before what the chart itself says of the steps
  size_t kv_bytes_total = 0;
};

// A whole SVG file, readable on light and on dark ground. Three panels over one axis of time: tokens of a step (those
// of answers, those of prompts upon them, the budget as a line; means over the time in which steps ran), the memory
// that sequences held (the most in each column), and the share of the prompts' tokens that needed no computing (in each
// column, and as a line of all until then). The same text for the same columns.
std::string chart_svg(const StepColumns& steps, const ChartText& text);

// The distance between round values on an axis from 0 to `top`, above 0, of which there are at most so many beside 0.
double tick_step(double top, double ticks_max);

}  // namespace batchwright

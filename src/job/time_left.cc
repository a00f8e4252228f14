#include "job/time_left.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <queue>
#include <utility>

namespace batchwright {
namespace {

// Choices that run through events, at the end of a job.
constexpr double kCourseChoices = 2048;
// Before so many steps nothing is said.
constexpr int64_t kStepsLeast = 8;

// Each choice is as good as any other: they are spread over the whole distribution of lengths, the order mixed.
double place_of(size_t choice) { return std::fmod(0.5 + static_cast<double>(choice) * 0.6180339887498949, 1.0); }

}  // namespace

// The tokens that the plan computes for the row which begins; below 0 where it is not planned.
int64_t TimeLeft::pass_row() {
  ++rows_begun_;
  if (wants_plan()) return -1;
  const WorkSegment& segment = planned_[segment_];
  const auto until = [&](int64_t rows) { return segment.compute_tokens * rows / segment.rows; };
  const int64_t tokens = until(passed_ + 1) - until(passed_);
  if (++passed_ == segment.rows) {
    ++segment_;
    passed_ = 0;
  }
  return tokens;
}

void TimeLeft::begin(uint64_t id, RowLoad row, bool full_logits) {
  if (const int64_t planned = pass_row(); planned >= 0) row.compute_tokens = planned;
  begun_ += segment_of(row);
  if (full_logits) begun_full_ += row.choices;
  in_flight_.emplace(id, Row{row, full_logits});
}

void TimeLeft::end(uint64_t id, std::span<const int> generated) {
  const auto row = in_flight_.find(id);
  if (row == in_flight_.end()) return;
  const RowLoad& load = row->second.load;
  for (const int tokens : generated) {
    forecast_.ended(tokens, tokens >= load.answer_tokens_max);
    ended_generated_ += tokens;
  }
  ++ended_rows_;
  ended_choices_ += load.choices;
  ended_planned_ += load.compute_tokens;
  in_flight_.erase(row);
}

void TimeLeft::stepped(const StepRecord& step, StepLimit limit, const CostModel* model, double clock_seconds) {
  const int64_t planned_before = planned_tokens();
  const int started = start_rows(step.sequences_running);
  speed_.set_model(model);
  speed_.record(composition(step), step.seconds);
  if (clock_ >= 0) {
    in_steps_ += step.seconds;
    between_steps_ += std::max(0.0, clock_seconds - clock_ - step.seconds);
  }
  clock_ = clock_seconds;
  ++steps_;
  generated_ += step.generated_tokens;
  decoded_ += step.decode_tokens;
  computed_ += step.prompt_tokens_computed;
  running_ = step.sequences_running;
  token_budget_ = std::max(1, step.token_budget);
  const int64_t planned = planned_tokens();
  if (step.tokens() < step.token_budget) {
    // There was room for more: of all that run the prompts are computed.
    known_computed_ = computed_;
    known_planned_ = planned;
  } else if (planned > planned_before && planned_before > 0) {
    // New rows get what those before them leave of a step; the last of them, or the first, only a part.
    const double given = step.prompt_tokens_computed * (1 - 0.5 / started);
    known_computed_ = computed_ - std::llround(given);
    known_planned_ = planned_before;
  }
  short_of_memory_ = limit == StepLimit::kKvMemory;
}

// The engine runs the oldest.
int TimeLeft::start_rows(int64_t sequences) {
  int started = 0;
  for (auto& [id, row] : in_flight_) {
    if (sequences <= 0) break;
    sequences -= std::max<int64_t>(1, row.load.choices);
    if (row.started_step >= 0) continue;
    row.started_step = steps_;
    ++started;
  }
  return started;
}

// By the plan, of the prompts of all rows that have started.
int64_t TimeLeft::planned_tokens() const {
  int64_t tokens = ended_planned_;
  for (const auto& [id, row] : in_flight_) {
    if (row.started_step < 0) break;
    tokens += row.load.compute_tokens;
  }
  return tokens;
}

// Tokens that an answer has which runs for a step.
double TimeLeft::mean_age() const {
  int64_t steps = 0;
  for (const auto& [id, row] : in_flight_) {
    if (row.started_step >= 0) steps += row.load.choices * (steps_ - row.started_step);
  }
  const double generated = static_cast<double>(std::max<int64_t>(0, generated_ - ended_generated_));
  return steps > 0 ? generated / static_cast<double>(steps) : 0;
}

// Of the choices that run, in order of age.
std::vector<int64_t> TimeLeft::ages() const {
  std::vector<int64_t> all;
  const double a_step = mean_age();
  for (const auto& [id, row] : in_flight_) {
    if (row.started_step < 0) break;
    const double age = a_step * static_cast<double>(steps_ - row.started_step);
    const auto limit = std::max<int64_t>(0, row.load.answer_tokens_max - 1);
    all.insert(all.end(), static_cast<size_t>(row.load.choices), std::min(static_cast<int64_t>(age), limit));
  }
  return all;
}

StepTokens TimeLeft::composition(const StepRecord& step) const {
  StepTokens tokens;
  tokens.prompt = step.prompt_tokens_computed;
  tokens.decode = step.decode_tokens;
  if (tokens.prompt > 0) {
    tokens.prompt_position = static_cast<double>(step.prompt_positions) / tokens.prompt;
    tokens.prompt_span = step.prompt_run_tokens;
  }
  if (tokens.decode > 0) tokens.decode_position = static_cast<double>(step.decode_positions) / tokens.decode;
  double own = 0;
  double choices = 0;
  double full = 0;
  const double a_step = mean_age();
  for (const auto& [id, row] : in_flight_) {
    if (row.started_step < 0) break;
    const auto of_row = static_cast<double>(row.load.choices);
    choices += of_row;
    own +=
        static_cast<double>(row.load.compute_tokens) + of_row * a_step * static_cast<double>(steps_ - row.started_step);
    if (row.full_logits) full += of_row;
  }
  if (choices > 0) {
    tokens.decode_own = own / choices;
    tokens.decode_full = tokens.decode * full / choices;
  }
  return tokens;
}

// Of the prompts' tokens that the plan computes, so many are computed: copies save some, lack of memory costs some.
double TimeLeft::compute_share() const {
  if (known_planned_ == 0) return 1;
  return std::min(static_cast<double>(known_computed_) / static_cast<double>(known_planned_), 8.0);
}

// Tokens of answers that are computed, for each behind the first: of answers out of a list some are certain.
double TimeLeft::decode_share() const {
  const int64_t more = generated_ - ended_choices_ - running_;
  return more > 0 ? std::clamp(static_cast<double>(decoded_) / static_cast<double>(more), 0.0, 4.0) : 1;
}

// What has not begun, in order.
std::vector<TimeLeft::Load> TimeLeft::ahead() const {
  std::vector<Load> loads;
  const auto add = [&](const WorkSegment& of, double rows) {
    if (!(rows > 0) || of.rows == 0 || of.choices == 0) return;
    const auto choices = static_cast<double>(of.choices);
    loads.push_back({choices * rows / static_cast<double>(of.rows), static_cast<double>(of.compute_tokens) / choices,
                     static_cast<double>(of.prompt_tokens) / choices,
                     static_cast<double>(of.answer_tokens_max) / choices});
  };
  int64_t rows = 0;
  WorkSegment known;
  for (const WorkSegment& segment : planned_) {
    rows += segment.rows;
    add(segment, static_cast<double>(std::clamp<int64_t>(rows - rows_begun_, 0, segment.rows)));
    known += segment;
  }
  add(known.rows > 0 ? known : begun_, static_cast<double>(std::max<int64_t>(0, rows_ - std::max(rows, rows_begun_))));
  return loads;
}

// Rows that begin and end. Time is counted in steps.
class TimeLeft::Course {
 public:
  // full_share: of answers whose whole logits are wanted.
  Course(const StepSpeed& speed, double budget, double rows_at_once, double full_share)
      : speed_(speed), budget_(budget), rows_at_once_(std::max(1.0, rows_at_once)), full_share_(full_share) {}

  // A choice that decodes for so many steps from now on, at a position up to which it owns so many.
  void run(double position, double own, double decodes) {
    if (!(decodes > 0)) return;
    ends_.push({now_ + decodes, position - now_, own - now_});
    positions_ += position - now_;
    own_ += own - now_;
  }
  // One whose prompt is computed first, as soon as there is room.
  void begin(const Load& choice, double compute_tokens, double decodes) {
    const double before = now_;
    compute(choice, compute_tokens, rows_at_once_);
    // It has its place for a whole step at least before its first token.
    const double waits = std::max(0.0, 1 - (now_ - before));
    run(choice.prompt_tokens, compute_tokens, decodes > 0 ? decodes + waits : 0);
  }
  // Prompts of choices that run.
  void compute(const Load& choice, double tokens) { compute(choice, tokens, std::numeric_limits<double>::infinity()); }
  void finish() {
    while (!ends_.empty()) {
      pass(next_end() - now_, tokens(0, 0, 0));
      stop_ended();
    }
  }
  // Many choices of a kind, as if it went on like this.
  void stream(const Load& load, double compute_tokens, double decodes, double mean_age) {
    const double a_decode = decodes > 0 ? compute_tokens / decodes : 0;
    const double at_once = rows_at_once_ * decodes / (decodes + 1);
    const double decoding = decodes > 0 ? std::min(at_once, budget_ / (1 + a_decode)) : 0;
    const double prompt = decodes > 0 ? decoding * a_decode : budget_;
    const double steps = decodes > 0 ? load.choices * decodes / decoding : load.choices * compute_tokens / budget_;
    seconds_ += steps * speed_.seconds({prompt, decoding, full_share_ * decoding, compute_tokens + mean_age,
                                        std::max(0.0, load.prompt_tokens - compute_tokens / 2), compute_tokens,
                                        load.prompt_tokens + mean_age});
  }

  double seconds() const { return seconds_; }

 private:
  struct Running {
    double end;
    double position;  // where it would have been at the time 0,
    double own;       // and how many of its positions would have been its own
    bool operator>(const Running& other) const { return end > other.end; }
  };

  double next_end() const { return ends_.empty() ? std::numeric_limits<double>::infinity() : ends_.top().end; }
  // Of those that run, now, from a sum at the time 0.
  double mean(double sum) const { return ends_.empty() ? 0 : sum / static_cast<double>(ends_.size()) + now_; }

  StepTokens tokens(double prompt, double prompt_position, double prompt_span) const {
    const auto decoding = static_cast<double>(ends_.size());
    return {prompt, decoding, full_share_ * decoding, mean(own_), prompt_position, prompt_span, mean(positions_)};
  }
  void compute(const Load& choice, double tokens_left, double rows_at_once) {
    const double prompt_position = std::max(0.0, choice.prompt_tokens - tokens_left / 2);
    const double prompt_span = std::min(tokens_left, choice.prompt_tokens);
    while (true) {
      const auto decoding = static_cast<double>(ends_.size());
      const double prompt = decoding < rows_at_once ? std::max(1.0, budget_ - decoding) : 0;
      const double until_end = next_end() - now_;
      const bool is_last = prompt > 0 && tokens_left <= until_end * prompt;
      const double steps = is_last ? tokens_left / prompt : until_end;
      tokens_left -= steps * prompt;
      pass(steps, tokens(prompt, prompt_position, prompt_span));
      if (is_last) return;
      stop_ended();
    }
  }
  void pass(double steps, const StepTokens& step) {
    seconds_ += steps * speed_.seconds(step);
    now_ += steps;
  }
  void stop_ended() {
    while (!ends_.empty() && ends_.top().end <= now_) {
      positions_ -= ends_.top().position;
      own_ -= ends_.top().own;
      ends_.pop();
    }
  }

  const StepSpeed& speed_;
  const double budget_;
  const double rows_at_once_;
  const double full_share_;
  double now_ = 0;
  double seconds_ = 0;
  double positions_ = 0;  // sums over those that run
  double own_ = 0;
  std::priority_queue<Running, std::vector<Running>, std::greater<>> ends_;
};

double TimeLeft::seconds() {
  if (steps_ == 0 || (steps_ < kStepsLeast && ended_rows_ == 0)) return -1;
  const std::vector<int64_t> running = ages();
  forecast_.learn(running);
  const double share = compute_share();
  const double decode = decode_share();
  const auto decodes = [&](double answer_tokens) { return std::max(0.0, answer_tokens - 1) * decode; };
  Course course(speed_, token_budget_, short_of_memory_ ? running_ : max_batch_,
                static_cast<double>(begun_full_) / static_cast<double>(std::max<int64_t>(1, begun_.choices)));

  // Those that run: what is left of their prompts is not known one by one.
  const double prompts_left =
      static_cast<double>(known_computed_ - computed_) + share * static_cast<double>(planned_tokens() - known_planned_);
  size_t i = 0;
  Load prompts{1, 0, 0, 0};
  for (const auto& [id, row] : in_flight_) {
    if (row.started_step < 0) break;
    prompts.prompt_tokens = static_cast<double>(row.load.prompt_tokens);
    for (int64_t c = 0; c < row.load.choices; ++c, ++i) {
      const auto age = static_cast<double>(running[i]);
      const double length =
          std::min(forecast_.quantile(place_of(i), age), static_cast<double>(row.load.answer_tokens_max));
      const double own = static_cast<double>(row.load.compute_tokens) / static_cast<double>(row.load.choices);
      course.run(static_cast<double>(row.load.prompt_tokens) + age, own + age, std::max(1.0, length - age) * decode);
    }
  }
  prompts.prompt_tokens = std::max(prompts.prompt_tokens, prompts_left / 2);

  std::vector<Load> loads;
  for (const auto& [id, row] : in_flight_) {
    if (row.started_step >= 0 || row.load.choices == 0) continue;
    const auto choices = static_cast<double>(row.load.choices);
    loads.push_back({choices, static_cast<double>(row.load.compute_tokens) / choices,
                     static_cast<double>(row.load.prompt_tokens), static_cast<double>(row.load.answer_tokens_max)});
  }
  const std::vector<Load> later = ahead();
  loads.insert(loads.end(), later.begin(), later.end());
  double choices = 0;
  for (const Load& load : loads) choices += load.choices;

  if (prompts_left > 0) course.compute(prompts, prompts_left);
  double owed = 0;  // parts of a choice, over segments
  for (Load load : loads) {
    const double compute = std::max(1.0, share * load.compute_tokens);
    if (const double streamed = std::min(load.choices, choices - kCourseChoices); streamed > 0) {
      Load stream = load;
      stream.choices = streamed;
      // Of those that run at a time the long ones are more than their share.
      const AnswerForecast::Moments answers = forecast_.moments(load.answer_tokens_max);
      const double age = answers.mean > 0 ? answers.square / answers.mean / 2 : 0;
      course.stream(stream, compute, decodes(answers.mean), age);
      load.choices -= streamed;
      choices -= streamed;
    }
    for (owed += load.choices; owed >= 0.5; owed -= 1, ++i) {
      course.begin(load, compute, decodes(std::min(forecast_.quantile(place_of(i)), load.answer_tokens_max)));
    }
  }
  course.finish();
  const double wall = in_steps_ > 0 ? 1 + between_steps_ / in_steps_ : 1;
  return course.seconds() * wall;
}

}  // namespace batchwright

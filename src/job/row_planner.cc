#include "job/row_planner.h"

#include <algorithm>
#include <thread>
#include <utility>
#include <variant>

#include "base/out_of_memory.h"
#include "base/status_macros.h"
#include "engine/answer_work.h"
#include "job/common_beginnings.h"
#include "job/fed_row.h"

namespace batchwright {
namespace {

// Rows that a thread takes at a time, and the text that all of them hold together: what is tokenised waits in memory.
constexpr size_t kRowsAThread = 256;
constexpr size_t kTextBytesMax = size_t{16} << 20;
// Of answers that nothing but the context bounds: enough to tell long ones from short ones.
constexpr int kAnswerTokensMost = 1024;

// Rows of a window of which the prompts are compared with their neighbours', and the tokens of all of these. The
// prompts of windows of no more are kept until the order is known; of others some are tokenised again then.
constexpr size_t kComparedRowsMax = 4096;
constexpr size_t kComparedRowsMin = 256;
constexpr size_t kComparedTokensMax = size_t{4} << 20;

uint32_t expected_answer_tokens(const Request& request) {
  const int tokens = std::min(request.max_tokens, kAnswerTokensMost);
  return static_cast<uint32_t>(tokens) * static_cast<uint32_t>(std::max(1, request.n));
}

// What is left of an order's work where only some of its rows are wanted.
template <class Keep>
std::vector<WorkSegment> keep_work(const SavedPlan& plan, Keep keep) {
  std::vector<WorkSegment> kept;
  size_t next = 0;
  for (const WorkSegment& segment : plan.work) {
    int64_t rows = 0;
    for (const size_t end = next + static_cast<size_t>(segment.rows); next < end; ++next) {
      rows += keep(plan.order[next].row) ? 1 : 0;
    }
    if (rows == 0) continue;
    const auto part = [&](int64_t sum) { return sum * rows / segment.rows; };
    kept.push_back({rows, part(segment.choices), part(segment.compute_tokens), part(segment.prompt_tokens),
                    part(segment.answer_tokens_max)});
  }
  return kept;
}

// Prompts of a small window, by number of row; none of a larger one.
class KeptPrompts {
 public:
  explicit KeptPrompts(size_t rows) : keeps_(rows <= kComparedRowsMax) {}

  void add(std::vector<TokenId> prompt) {
    tokens_ += prompt.size();
    if (tokens_ > kComparedTokensMax) keeps_ = false;
    if (keeps_) {
      prompts_.push_back(std::move(prompt));
    } else {
      prompts_ = {};
    }
  }

  bool keeps() const { return keeps_; }
  std::vector<TokenId> take(size_t row) { return std::move(prompts_[row]); }
  // Of how many rows as long as these the prompts are compared: of all that are kept.
  size_t compared_rows(size_t rows) const {
    const size_t mean = tokens_ / std::max<size_t>(1, rows) + 1;
    return keeps_ ? rows : std::clamp(kComparedTokensMax / mean, kComparedRowsMin, kComparedRowsMax);
  }

 private:
  bool keeps_;
  size_t tokens_ = 0;
  std::vector<std::vector<TokenId>> prompts_;
};

// An order as it runs; of each row, with how many tokens one before it begins alike.
std::vector<PlannedRow> planned_rows(const std::vector<OrderedRow>& order, const std::vector<uint32_t>& common_tokens) {
  std::vector<PlannedRow> planned;
  planned.reserve(order.size());
  for (size_t place = 0; place < order.size(); ++place) {
    const auto reused = static_cast<int>(order[place].reused_pages) * kPagePositions;
    planned.push_back({order[place].row, reused, common_tokens[place]});
  }
  return planned;
}

// Of each row, the whole pages with which the one before it begins as well.
std::vector<uint32_t> common_pages(const std::vector<OrderedRow>& order) {
  std::vector<uint32_t> tokens(order.size(), 0);
  for (size_t place = 1; place < order.size(); ++place) {
    tokens[place] = order[place - 1].reused_pages * kPagePositions;
  }
  return tokens;
}

}  // namespace

// Of a row, what its place in the order depends on.
struct RowPlanner::Prepared {
  std::vector<TokenId> prompt;
  RowWork work;
  uint32_t choices = 0;            // none of a row that is wrong
  uint32_t answer_tokens_max = 0;  // of each
  bool is_shared = true;

  // Tokens that no page of the tree has.
  int64_t own_tokens() const {
    const auto all = static_cast<int64_t>(prompt.size());
    const int64_t rest = all - int64_t{kPagePositions} * shareable_pages(prompt.size());
    return choices == 0 ? 0 : (is_shared ? rest : all) + (int64_t{choices} - 1) * rest;
  }
};

// The rows of a window that are wanted, in the order in which they stand in the file.
struct RowPlanner::Window {
  struct Answers {
    uint32_t choices;
    uint32_t tokens_max;
  };

  Window(std::vector<uint32_t> numbers, bool needs_tree)
      : rows(std::move(numbers)), has_tree(needs_tree), prompts(rows.size()) {
    work.reserve(rows.size());
    answers.reserve(rows.size());
    is_shared.reserve(rows.size());
  }

  void add(Prepared row) {
    if (has_tree) tree.add(row.is_shared ? std::span(row.prompt) : std::span<const TokenId>());
    work.push_back(row.work);
    answers.push_back({row.choices, row.answer_tokens_max});
    is_shared.push_back(row.is_shared && row.choices > 0);
    own_tokens += row.own_tokens();
    prompts.add(row.is_shared ? std::move(row.prompt) : std::vector<TokenId>());
  }

  std::vector<uint32_t> rows;  // by number in the file
  bool has_tree;
  PrefixTreeBuilder tree;
  std::vector<RowWork> work;
  std::vector<Answers> answers;
  std::vector<bool> is_shared;
  int64_t own_tokens = 0;
  KeptPrompts prompts;
};

struct RowPlanner::Plan {
  SavedPlan saved;
  std::vector<uint32_t> common_tokens;  // of each row of its order
};

RowPlanner::RowPlanner(FileSystem& files, const RowFile& rows, const RowIndex& index,
                       const std::vector<bool>& is_wanted, const ProtocolContext& context, RowPlannerOptions options)
    : files_(files),
      rows_(rows),
      index_(index),
      is_wanted_(is_wanted),
      context_(context),
      options_(std::move(options)) {}

Result<std::vector<PlannedRow>> RowPlanner::next(const std::stop_token& stop) {
  std::vector<PlannedRow> planned;
  while (planned.empty() && next_row_ < index_.size()) {
    const int64_t begin = std::exchange(next_row_, std::min(index_.size(), next_row_ + options_.window_rows));
    BATCHWRIGHT_ASSIGN_OR_RETURN(
        planned, options_.file_order ? keep_file_order(begin, next_row_, stop) : order_window(begin, next_row_, stop));
  }
  return planned;
}

Result<std::vector<PlannedRow>> RowPlanner::keep_file_order(int64_t begin, int64_t end, const std::stop_token& stop) {
  std::vector<PlannedRow> planned;
  for (const uint32_t row : wanted_rows(begin, end)) planned.push_back({row, -1, 0});
  if (!options_.look) return planned;
  BATCHWRIGHT_ASSIGN_OR_RETURN(Window window, read_window(begin, end, stop));
  std::vector<OrderedRow> order;
  order.reserve(planned.size());
  for (uint32_t row = 0; row < planned.size(); ++row) order.push_back({row, 0});
  const std::vector<uint32_t> common = common_with_neighbours(window, order);
  for (size_t i = 0; i < planned.size(); ++i) planned[i].common_tokens = common[i];
  return planned;
}

Result<std::vector<PlannedRow>> RowPlanner::order_window(int64_t begin, int64_t end, const std::stop_token& stop) {
  if (!std::exchange(has_looked_, true) && !options_.path.empty()) {
    BATCHWRIGHT_ASSIGN_OR_RETURN(saved_, load_plan(files_, options_.path, options_.key));
  }
  const auto is_wanted = [this](int64_t row) { return static_cast<bool>(is_wanted_[static_cast<size_t>(row)]); };
  if (saved_ && saved_->first_row == begin && saved_->end_row == end && covers_wanted(*saved_)) {
    const SavedPlan plan = *std::exchange(saved_, std::nullopt);
    prompt_tokens_distinct_ = plan.prompt_tokens_distinct;
    rows_planned_ += end - begin;
    add_work(keep_work(plan, is_wanted));
    const std::vector<OrderedRow> order = keep_rows(plan.order, is_wanted);
    return planned_rows(order, common_pages(order));
  }
  BATCHWRIGHT_ASSIGN_OR_RETURN(Plan made, make_plan(begin, end, stop));
  SavedPlan& plan = made.saved;
  add_work(plan.work);
  // A few rows of a window before the saved one, which counts them.
  const bool is_leftover = saved_ && saved_->first_row > begin;
  if (!is_leftover) {
    plan.prompt_tokens_distinct += prompt_tokens_distinct_;
    prompt_tokens_distinct_ = plan.prompt_tokens_distinct;
    if (!options_.path.empty() && !plan.order.empty()) {
      BATCHWRIGHT_RETURN_IF_ERROR(save_plan(files_, options_.path, options_.key, plan));
    }
  }
  return planned_rows(plan.order, made.common_tokens);
}

bool RowPlanner::covers_wanted(const SavedPlan& plan) const {
  const auto begin = is_wanted_.begin();
  auto missing = std::count(begin + plan.first_row, begin + plan.end_row, true);
  for (const OrderedRow& row : plan.order) missing -= is_wanted_[row.row] ? 1 : 0;
  return missing == 0;
}

std::vector<uint32_t> RowPlanner::wanted_rows(int64_t begin, int64_t end) const {
  std::vector<uint32_t> rows;
  for (int64_t row = begin; row < end; ++row) {
    if (is_wanted_[static_cast<size_t>(row)]) rows.push_back(static_cast<uint32_t>(row));
  }
  return rows;
}

Result<RowPlanner::Window> RowPlanner::read_window(int64_t begin, int64_t end, const std::stop_token& stop) {
  Window window(wanted_rows(begin, end), !options_.file_order);
  std::vector<Prepared> batch;
  for (size_t next = 0; next < window.rows.size(); next += batch.size()) {
    BATCHWRIGHT_RETURN_IF_ERROR(prepare(window.rows, next, stop, batch));
    for (Prepared& row : batch) window.add(std::move(row));
  }
  return window;
}

Result<RowPlanner::Plan> RowPlanner::make_plan(int64_t begin, int64_t end, const std::stop_token& stop) {
  BATCHWRIGHT_ASSIGN_OR_RETURN(Window window, read_window(begin, end, stop));
  Plan plan;
  SavedPlan& saved = plan.saved;
  saved.first_row = begin;
  saved.end_row = end;
  {
    const PrefixTree tree = window.tree.build();
    saved.prompt_tokens_distinct = window.own_tokens + tree.distinct_pages * kPagePositions;
    saved.order = order_rows(tree, window.work);
  }
  plan.common_tokens = common_with_neighbours(window, saved.order);
  WorkAhead ahead;
  for (size_t place = 0; place < saved.order.size(); ++place) {
    const uint32_t row = saved.order[place].row;
    const auto [choices, tokens_max] = window.answers[row];
    const uint32_t prompt_tokens = window.work[row].prompt_tokens;
    ahead.add(choices == 0 ? RowLoad() : row_load(prompt_tokens, plan.common_tokens[place], choices, tokens_max));
  }
  saved.work = ahead.segments();
  for (OrderedRow& row : saved.order) row.row = window.rows[row.row];
  return plan;
}

// `order` has the rows by number in the window, of which the prompts are spent.
std::vector<uint32_t> RowPlanner::common_with_neighbours(Window& window, const std::vector<OrderedRow>& order) const {
  std::vector<uint32_t> common = common_pages(order);
  const auto shared_tokens = [&](size_t place) {
    const uint32_t row = order[place].row;
    return window.is_shared[row] ? window.work[row].prompt_tokens : 0;
  };
  const auto prompt = [&](size_t place) {
    const uint32_t row = order[place].row;
    return window.prompts.keeps() ? window.prompts.take(row) : prompt_of(window.rows[row]);
  };
  refine_common_tokens(common, {options_.neighbours, window.prompts.compared_rows(order.size())},
                       {shared_tokens, prompt});
  return common;
}

void RowPlanner::add_work(const std::vector<WorkSegment>& work) {
  const std::lock_guard lock(work_mutex_);
  work_.insert(work_.end(), work.begin(), work.end());
}

std::vector<WorkSegment> RowPlanner::work() const {
  const std::lock_guard lock(work_mutex_);
  return work_;
}

size_t RowPlanner::batch_end(const std::vector<uint32_t>& rows, size_t begin) const {
  size_t bytes = 0;
  size_t end = begin;
  const size_t most = std::min(rows.size(), begin + kRowsAThread * static_cast<size_t>(options_.threads));
  while (end < most && bytes < kTextBytesMax) {
    const RowEntry& entry = index_[rows[end++]];
    if (entry.length != RowEntry::kTooLong) bytes += entry.length;
  }
  return end;
}

void RowPlanner::prepare_row(int64_t row, Prepared& out) const {
  auto fed = feed_row(rows_, index_, row, context_);
  if (!fed.ok()) {
    // It stops the job when its turn comes: after all others.
    out.work.prompt_tokens = UINT32_MAX;
    return;
  }
  if (options_.look) options_.look(*fed);
  auto* const prepared = std::get_if<PreparedRequest>(&fed->outcome);
  if (prepared == nullptr) return;  // an error row: nothing to compute
  Request& request = prepared->request;
  out.work = {static_cast<uint32_t>(request.prompt.size()), expected_answer_tokens(request)};
  out.choices = static_cast<uint32_t>(std::max(1, request.n));
  out.answer_tokens_max = static_cast<uint32_t>(answer_tokens_max(request, context_.context_length));
  out.is_shared = !request.prompt_logprobs;
  out.prompt = std::move(request.prompt);
}

std::vector<TokenId> RowPlanner::prompt_of(int64_t row) const {
  auto fed = feed_row(rows_, index_, row, context_);
  auto* const prepared = fed.ok() ? std::get_if<PreparedRequest>(&fed->outcome) : nullptr;
  return prepared != nullptr ? std::move(prepared->request.prompt) : std::vector<TokenId>();
}

// Each thread takes every so many-th row: neighbours are often alike in length.
Status RowPlanner::prepare(const std::vector<uint32_t>& rows, size_t begin, const std::stop_token& stop,
                           std::vector<Prepared>& out) {
  if (stop.stop_requested()) return interrupted("stopped while the rows were put in order");
  const size_t count = batch_end(rows, begin) - begin;
  out.clear();
  out.resize(count);
  const auto threads = std::min(static_cast<size_t>(options_.threads), count);
  std::vector<Status> statuses(threads);
  const auto take = [&](size_t first) noexcept {
    statuses[first] = catch_out_of_memory([&]() -> Status {
      for (size_t i = first; i < count; i += threads) prepare_row(rows[begin + i], out[i]);
      return {};
    });
  };
  const auto take_with_others = [&]() -> Status {
    std::vector<std::jthread> workers;
    workers.reserve(threads - 1);
    for (size_t t = 1; t < threads; ++t) workers.emplace_back(take, t);
    take(0);
    return {};
  };
  BATCHWRIGHT_RETURN_IF_ERROR(catch_out_of_memory(take_with_others));
  for (Status& status : statuses) BATCHWRIGHT_RETURN_IF_ERROR(std::move(status));
  rows_planned_ += static_cast<int64_t>(count);
  return {};
}

}  // namespace batchwright

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

// Windows of which the prompts are kept until the order is known: to so many rows, and tokens of all.
constexpr size_t kKeptRowsMax = 4096;
constexpr size_t kKeptTokensMax = size_t{4} << 20;

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

// Prompts of a small window, by number of row.
class KeptPrompts {
 public:
  explicit KeptPrompts(size_t rows) : keeps_(rows <= kKeptRowsMax) {}

  void add(std::vector<TokenId> prompt) {
    tokens_ += prompt.size();
    if (tokens_ > kKeptTokensMax) keeps_ = false;
    if (keeps_) {
      prompts_.push_back(std::move(prompt));
    } else {
      prompts_ = {};
    }
  }

  // The most tokens with which the row at `place` of the order begins like one of the `neighbours` before it; 0 where
  // they are not kept.
  uint32_t common_with_neighbours(const std::vector<OrderedRow>& order, size_t place, int neighbours) const {
    if (!keeps_) return 0;
    uint32_t most = 0;
    const size_t first = place - std::min(place, static_cast<size_t>(neighbours));
    for (size_t i = first; i < place; ++i) {
      most = std::max(most, common_tokens(prompts_[order[i].row], prompts_[order[place].row]));
    }
    return most;
  }

 private:
  bool keeps_;
  size_t tokens_ = 0;
  std::vector<std::vector<TokenId>> prompts_;
};

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
    if (options_.file_order) {
      if (options_.look) BATCHWRIGHT_RETURN_IF_ERROR(look_at(wanted_rows(begin, next_row_), stop));
      for (int64_t row = begin; row < next_row_; ++row) {
        if (is_wanted_[static_cast<size_t>(row)]) planned.push_back({row, -1});
      }
      continue;
    }
    BATCHWRIGHT_ASSIGN_OR_RETURN(const std::vector<OrderedRow> order, order_window(begin, next_row_, stop));
    planned.reserve(order.size());
    for (const OrderedRow& row : order) {
      planned.push_back({row.row, static_cast<int>(row.reused_pages) * kPagePositions});
    }
  }
  return planned;
}

Result<std::vector<OrderedRow>> RowPlanner::order_window(int64_t begin, int64_t end, const std::stop_token& stop) {
  if (!std::exchange(has_looked_, true) && !options_.path.empty()) {
    BATCHWRIGHT_ASSIGN_OR_RETURN(saved_, load_plan(files_, options_.path, options_.key));
  }
  const auto is_wanted = [this](int64_t row) { return static_cast<bool>(is_wanted_[static_cast<size_t>(row)]); };
  if (saved_ && saved_->first_row == begin && saved_->end_row == end && covers_wanted(*saved_)) {
    const SavedPlan plan = *std::exchange(saved_, std::nullopt);
    prompt_tokens_distinct_ = plan.prompt_tokens_distinct;
    rows_planned_ += end - begin;
    add_work(keep_work(plan, is_wanted));
    return keep_rows(plan.order, is_wanted);
  }
  BATCHWRIGHT_ASSIGN_OR_RETURN(SavedPlan plan, make_plan(begin, end, stop));
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
  return std::move(plan.order);
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

Status RowPlanner::look_at(const std::vector<uint32_t>& rows, const std::stop_token& stop) {
  std::vector<Prepared> batch;
  for (size_t next = 0; next < rows.size(); next += batch.size()) {
    BATCHWRIGHT_RETURN_IF_ERROR(prepare(rows, next, stop, batch));
  }
  return {};
}

Result<SavedPlan> RowPlanner::make_plan(int64_t begin, int64_t end, const std::stop_token& stop) {
  SavedPlan plan;
  plan.first_row = begin;
  plan.end_row = end;
  const std::vector<uint32_t> rows = wanted_rows(begin, end);
  PrefixTreeBuilder builder;
  std::vector<RowWork> work;
  work.reserve(rows.size());
  struct Answers {
    uint32_t choices;
    uint32_t tokens_max;
  };
  std::vector<Answers> answers;
  answers.reserve(rows.size());
  KeptPrompts prompts(rows.size());
  std::vector<Prepared> batch;
  for (size_t next = 0; next < rows.size(); next += batch.size()) {
    BATCHWRIGHT_RETURN_IF_ERROR(prepare(rows, next, stop, batch));
    for (Prepared& row : batch) {
      builder.add(row.is_shared ? std::span(row.prompt) : std::span<const TokenId>());
      work.push_back(row.work);
      answers.push_back({row.choices, row.answer_tokens_max});
      plan.prompt_tokens_distinct += row.own_tokens();
      prompts.add(row.is_shared ? std::move(row.prompt) : std::vector<TokenId>());
    }
  }
  const PrefixTree tree = builder.build();
  plan.prompt_tokens_distinct += tree.distinct_pages * kPagePositions;
  plan.order = order_rows(tree, work);
  WorkAhead ahead;
  uint32_t reused_before = 0;
  for (size_t place = 0; place < plan.order.size(); ++place) {
    const OrderedRow& row = plan.order[place];
    const auto [choices, tokens_max] = answers[row.row];
    const uint32_t common =
        std::max(reused_before, prompts.common_with_neighbours(plan.order, place, options_.neighbours));
    ahead.add(choices == 0 ? RowLoad() : row_load(work[row.row].prompt_tokens, common, choices, tokens_max));
    reused_before = row.reused_pages * kPagePositions;
  }
  for (OrderedRow& row : plan.order) row.row = rows[row.row];
  plan.work = ahead.segments();
  return plan;
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

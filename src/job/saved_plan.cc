#include "job/saved_plan.h"

#include <algorithm>
#include <utility>

#include "base/little_endian.h"
#include "base/status_macros.h"
#include "journal/record_log.h"

namespace batchwright {
namespace {

constexpr uint8_t kHeadRecord = 18;
constexpr uint8_t kOrderRecord = 19;
constexpr uint8_t kWorkRecord = 20;
constexpr size_t kHeadBytes = 48;
constexpr size_t kRowBytes = 8;
constexpr size_t kRowsARecord = 16384;
constexpr size_t kSegmentBytes = 40;

// Each row of the window at most once.
bool is_order(const SavedPlan& plan) {
  const int64_t rows = plan.end_row - plan.first_row;
  std::vector<bool> seen(static_cast<size_t>(rows), false);
  for (const OrderedRow& row : plan.order) {
    if (row.row < plan.first_row || row.row >= plan.end_row) return false;
    const auto i = static_cast<size_t>(row.row - plan.first_row);
    if (seen[i]) return false;
    seen[i] = true;
  }
  return true;
}

constexpr int64_t WorkSegment::*kSegmentFields[] = {&WorkSegment::rows, &WorkSegment::choices,
                                                    &WorkSegment::compute_tokens, &WorkSegment::prompt_tokens,
                                                    &WorkSegment::answer_tokens_max};
// So that no sum of them overflows.
constexpr int64_t kSegmentFieldMax = int64_t{1} << 52;

// Nothing where it is not the work of so many rows.
std::vector<WorkSegment> read_work(std::string_view payload, size_t rows) {
  std::vector<WorkSegment> work;
  if (payload.size() % kSegmentBytes != 0 || payload.size() / kSegmentBytes > WorkAhead::kSegmentsMax) return {};
  int64_t rows_found = 0;
  for (NumberReader fields(payload); !fields.rest().empty();) {
    WorkSegment& segment = work.emplace_back();
    for (const auto field : kSegmentFields) {
      segment.*field = fields.take<int64_t>();
      if (segment.*field < 0 || segment.*field > kSegmentFieldMax) return {};
    }
    rows_found += segment.rows;
    if (segment.rows == 0) return {};
  }
  if (rows_found != static_cast<int64_t>(rows)) return {};
  return work;
}

}  // namespace

Status save_plan(FileSystem& files, const std::string& path, const Hash128& key, const SavedPlan& plan) {
  BATCHWRIGHT_ASSIGN_OR_RETURN(const auto file, files.create(path, CreateMode::kReplace));
  std::string bytes;
  append_log_header(bytes);
  std::string payload;
  append_u64(payload, key.high);
  append_u64(payload, key.low);
  append_u64(payload, static_cast<uint64_t>(plan.first_row));
  append_u64(payload, static_cast<uint64_t>(plan.end_row));
  append_u64(payload, static_cast<uint64_t>(plan.prompt_tokens_distinct));
  append_u64(payload, plan.order.size());
  append_log_record(bytes, kHeadRecord, payload);
  for (size_t begin = 0; begin < plan.order.size(); begin += kRowsARecord) {
    payload.clear();
    for (size_t i = begin; i < std::min(begin + kRowsARecord, plan.order.size()); ++i) {
      append_u32(payload, plan.order[i].row);
      append_u32(payload, plan.order[i].reused_pages);
    }
    append_log_record(bytes, kOrderRecord, payload);
    BATCHWRIGHT_RETURN_IF_ERROR(file->append(bytes));
    bytes.clear();
  }
  payload.clear();
  for (const WorkSegment& segment : plan.work) {
    for (const auto field : kSegmentFields) append_u64(payload, static_cast<uint64_t>(segment.*field));
  }
  append_log_record(bytes, kWorkRecord, payload);
  BATCHWRIGHT_RETURN_IF_ERROR(file->append(bytes));
  BATCHWRIGHT_RETURN_IF_ERROR(file->sync());
  return file->close();
}

Result<std::optional<SavedPlan>> load_plan(FileSystem& files, const std::string& path, const Hash128& key) {
  const auto nothing = std::optional<SavedPlan>();
  BATCHWRIGHT_ASSIGN_OR_RETURN(auto log, open_state_log(files, path));
  if (!log) return nothing;
  BATCHWRIGHT_ASSIGN_OR_RETURN(const auto head, log->reader.next());
  if (!head || head->type != kHeadRecord || head->payload.size() != kHeadBytes) return nothing;
  NumberReader fields(head->payload);
  Hash128 found;
  found.high = fields.take<uint64_t>();
  found.low = fields.take<uint64_t>();
  if (found != key) return nothing;
  SavedPlan plan;
  plan.first_row = fields.take<int64_t>();
  plan.end_row = fields.take<int64_t>();
  plan.prompt_tokens_distinct = fields.take<int64_t>();
  const auto rows = fields.take<uint64_t>();
  // Rows have numbers of 32 bits.
  if (plan.first_row < 0 || plan.end_row < plan.first_row || plan.end_row > int64_t{UINT32_MAX}) return nothing;
  while (plan.order.size() < rows) {
    BATCHWRIGHT_ASSIGN_OR_RETURN(const auto record, log->reader.next());
    if (!record || record->type != kOrderRecord || record->payload.size() % kRowBytes != 0) return nothing;
    for (NumberReader entries(record->payload); !entries.rest().empty();) {
      OrderedRow& row = plan.order.emplace_back();
      row.row = entries.take<uint32_t>();
      row.reused_pages = entries.take<uint32_t>();
    }
  }
  if (!is_order(plan)) return nothing;
  BATCHWRIGHT_ASSIGN_OR_RETURN(const auto work, log->reader.next());
  if (work && work->type == kWorkRecord) plan.work = read_work(work->payload, plan.order.size());
  return std::optional(std::move(plan));
}

}  // namespace batchwright

#include "job/result_writer.h"

#include <algorithm>
#include <new>
#include <utility>

#include "base/status_macros.h"
#include "job/result_table.h"

namespace batchwright {

std::string result_header(bool is_table, std::span<const std::string> carried) {
  return is_table ? table_header(carried) : std::string();
}

ResultWriter::ResultWriter(JobOutput& output, const PromptEncoder& encoder, const ResultFormat& format,
                           double commit_seconds, size_t capacity)
    : output_(output),
      encoder_(encoder),
      format_(format),
      commit_interval_(std::max<int64_t>(1, static_cast<int64_t>(commit_seconds * 1000))),
      queue_(capacity),
      thread_([this] { run(); }) {}

ResultWriter::~ResultWriter() { (void)close(); }

Status ResultWriter::close() {
  queue_.close();
  if (thread_.joinable()) thread_.join();
  return status_;
}

void ResultWriter::run() {
  while (true) {
    const auto row = queue_.pop(commit_interval_);
    if (!row && queue_.finished()) return;
    if (failed()) continue;
    try {
      if (row) status_ = write(*row);
      if (status_.ok()) status_ = output_.commit(false);
    } catch (const std::bad_alloc&) {
      status_ = resource_exhausted("there was not enough memory to write a row's result");
    }
    if (!status_.ok()) failed_ = true;
  }
}

Status ResultWriter::write(const FinishedRow& row) {
  const RowName& name = row.name;
  const CarriedColumns columns{format_.carried, name.carried};
  RowResult result;
  result.row = name.row;
  const auto* const completion = std::get_if<Completion>(&row.outcome);
  if (completion != nullptr) {
    result.prompt_tokens =
        int64_t{completion->prompt_tokens} * std::max<int64_t>(1, static_cast<int64_t>(completion->choices.size()));
    result.prompt_tokens_computed = completion->prompt_tokens_computed;
    for (const Choice& choice : completion->choices) result.generated_tokens += choice.generated_tokens;
  }
  if (completion != nullptr && completion->status.ok()) {
    const std::string id = name.custom_id.value_or("");
    result.line = format_.is_table
                      ? table_record(id, name.carried, row.shape, *completion)
                      : result_line(id, name.hash, row.shape, *completion, encoder_, format_.context, columns);
  } else {
    const auto* const failed = std::get_if<RequestError>(&row.outcome);
    const RequestError error = failed != nullptr ? *failed : request_error(completion->status);
    result.kind = ResultKind::kError;
    result.line = error_line(name.custom_id, name.hash, name.line, error, columns);
  }
  return output_.write(result);
}

}  // namespace batchwright

#include "job/result_writer.h"

#include <new>
#include <utility>

namespace batchwright {

ResultWriter::ResultWriter(JobOutput& output, const PromptEncoder& encoder, ResultContext context, size_t capacity)
    : output_(output), encoder_(encoder), context_(std::move(context)), queue_(capacity), thread_([this] { run(); }) {}

ResultWriter::~ResultWriter() { (void)close(); }

Status ResultWriter::close() {
  queue_.close();
  if (thread_.joinable()) thread_.join();
  return status_;
}

void ResultWriter::run() {
  while (const auto row = queue_.pop()) {
    if (failed()) continue;
    try {
      status_ = write(*row);
    } catch (const std::bad_alloc&) {
      status_ = resource_exhausted("there was not enough memory to write a row's result");
    }
    if (!status_.ok()) failed_ = true;
  }
}

Status ResultWriter::write(const FinishedRow& row) {
  const RowName& name = row.name;
  Status status;
  if (const auto* const completion = std::get_if<Completion>(&row.outcome); completion && completion->status.ok()) {
    status = output_.write_result(
        name.row, result_line(name.custom_id.value_or(""), name.hash, row.shape, *completion, encoder_, context_));
    if (status.ok()) ++rows_ok_;
    return status;
  }
  const auto* const failed = std::get_if<RequestError>(&row.outcome);
  const RequestError error = failed ? *failed : request_error(std::get<Completion>(row.outcome).status);
  status = output_.write_error(name.row, error_line(name.custom_id, name.hash, name.line, error));
  if (status.ok()) ++rows_failed_;
  return status;
}

}  // namespace batchwright

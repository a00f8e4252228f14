// A row on its way to the output: what ended becomes a line.
#pragma once

#include <span>
#include <string>
#include <variant>
#include <vector>

#include "batchwright/engine.h"
#include "job/fed_row.h"
#include "job/job_output.h"
#include "job/parameters.h"
#include "job/result_line.h"

namespace batchwright {

struct FinishedRow {
  RowName name;
  ResponseShape shape;  // of completions
  std::variant<Completion, RequestError> outcome;
};

// What a result looks like: a line of JSON, or of a table (failed rows are JSON in any case).
struct ResultFormat {
  bool is_table = false;
  bool with_probability = false;     // of tables: a column for it
  std::vector<std::string> carried;  // the columns' names
  ResultContext context;
};

// As a job's parameters ask for it. created: the time that answers show if they are to show one.
ResultFormat result_format(const JobParameters& parameters, const RowFormat& rows, const ModelInfo& model,
                           int64_t created);
// What answers say when their rows do not name a model.
std::string shown_model_name(const ModelInfo& model);

// What stands before the first answer.
std::string result_header(const JobParameters& parameters, const RowFormat& rows);

RowResult make_result(const FinishedRow& row, const PromptEncoder& encoder, const ResultFormat& format);

}  // namespace batchwright

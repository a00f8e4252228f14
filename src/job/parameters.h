// What a job's results depend on, beside the rows: kept in the journal, so that a resumed run is the same job.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "batchwright/status.h"
#include "batchwright/version.h"
#include "job/row_format.h"
#include "protocol/limits.h"
#include "protocol/prepare_request.h"

namespace batchwright {

struct JobParameters {
  // What must be the same.
  std::string model_hash;
  uint32_t numerics_version = kNumericsVersion;
  int64_t rows = 0;  // of the whole file
  std::string rows_hash;
  RowFormatOptions format;
  RequestDefaults defaults;
  std::string chat_template;  // given instead of the model's
  std::string date;
  int context_length = 0;
  bool stamp_created = false;
  bool table_output = false;
  ProtocolLimits limits;

  // What is good to know.
  std::string input;
  std::string model_path;
  std::string version = kVersion;
  std::string isa;
  int threads = 0;
  int max_batch = 0;
};

std::string to_json(const JobParameters& parameters);
// kInvalidData names what is missing or wrong.
Result<JobParameters> read_parameters(std::string_view json);

// Each thing that must be the same and is not, for people: "--temperature was 1 and is now 0.5". Empty model hashes
// are equal to all: what is not known yet.
std::vector<std::string> changes(const JobParameters& was, const JobParameters& is);

// Whether `is` differs from `was` in nothing but limits that have grown.
bool only_limits_grew(const JobParameters& was, const JobParameters& is);

}  // namespace batchwright

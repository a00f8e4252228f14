// What a request may ask for, so that nothing that a row holds can hurt. docs/limits.md lists them; a test compares.
#pragma once

#include <cstdint>
#include <span>

namespace batchwright {

struct ProtocolLimits {
  int64_t line_bytes = int64_t{16} << 20;
  int64_t json_depth = 64;
  int64_t custom_id_bytes = 512;
  int64_t messages = 4096;
  int64_t tools = 128;
  int64_t prompt_bytes = int64_t{8} << 20;
  int64_t n = 128;
  int64_t logit_bias = 1024;
  int64_t stop_strings = 64;
  int64_t stop_bytes = 1024;
  int64_t stop_token_ids = 256;
  int64_t choices = 4096;
  int64_t choice_bytes = 1024;
  int64_t top_logprobs = 20;
  int64_t template_steps = 2'000'000;
  int64_t template_call_depth = 50;
  int64_t template_output_bytes = int64_t{16} << 20;
  int64_t template_work_bytes = int64_t{256} << 20;
};

struct LimitEntry {
  const char* option;  // on the command line
  const char* what;
  int64_t ProtocolLimits::*field;
  // What the option may be set to.
  int64_t lowest;
  int64_t highest;
};

// Every field of ProtocolLimits, in the order of docs/limits.md.
std::span<const LimitEntry> limit_table();

}  // namespace batchwright

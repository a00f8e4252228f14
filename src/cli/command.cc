#include "cli/command.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <array>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "base/json_writer.h"
#include "base/status_macros.h"
#include "cli/exit_code.h"
#include "platform/posix_file_system.h"

namespace batchwright {

int print_error(const Status& status) {
  fmt::print(stderr, "batchwright: {}\n", status.message());
  return exit_code(status);
}

int print_error(const Status& status, bool as_event) {
  if (!as_event) return print_error(status);
  std::string text;
  JsonWriter out(text);
  out.begin_object();
  out.member("event", "error");
  out.member("message", status.message());
  out.member("exit_code", exit_code(status));
  out.end_object();
  fmt::print(stderr, "{}\n", text);
  return exit_code(status);
}

std::string note_event(std::string_view message) {
  std::string text;
  JsonWriter out(text);
  out.begin_object();
  out.member("event", "note");
  out.member("message", message);
  out.end_object();
  return text;
}

double steady_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

Status print_result(std::string_view text) {
  const auto out = posix_file_system()->standard_output();
  BATCHWRIGHT_RETURN_IF_ERROR(out->append(text));
  return out->close();
}

Result<size_t> parse_byte_count(std::string_view option, std::string_view text) {
  const std::string owned(text);
  char* end = nullptr;
  const double number = std::strtod(owned.c_str(), &end);
  std::string_view unit = text.substr(static_cast<size_t>(end - owned.c_str()));
  while (unit.starts_with(' ')) unit.remove_prefix(1);
  if (unit.ends_with('B') || unit.ends_with('b')) unit.remove_suffix(1);
  struct Unit {
    std::string_view name;
    double factor;
  };
  constexpr double kKi = 1024;
  constexpr auto kUnits = std::to_array<Unit>({{"", 1},
                                               {"k", 1e3},
                                               {"K", 1e3},
                                               {"M", 1e6},
                                               {"G", 1e9},
                                               {"T", 1e12},
                                               {"Ki", kKi},
                                               {"Mi", kKi * kKi},
                                               {"Gi", kKi * kKi * kKi},
                                               {"Ti", kKi * kKi * kKi * kKi}});
  for (const Unit& u : kUnits) {
    if (end == owned.c_str() || unit != u.name) continue;
    const double bytes = number * u.factor;
    // From here on a double has steps of more than a page.
    if (!(bytes >= 1 && bytes <= 0x1p60)) break;
    return static_cast<size_t>(bytes);
  }
  return invalid_argument(
      fmt::format("{}: \"{}\" is no size; write bytes, or a number with a unit as in 512MiB or 2GiB", option, text));
}

void EngineFlags::add_to(CLI::App& command, bool batching) {
  command.add_option("--threads", options_.threads, "Worker threads (default: the CPUs this process may use)")
      ->check(CLI::Range(1, 1024));
  command.add_option("--isa", options_.isa,
                     "auto, scalar, avx2, avxvnni, avx512, vnni or amx (default: BATCHWRIGHT_ISA or auto)");
  command.add_option("--memory", memory_,
                     "Memory for the whole process, as 4GiB (default: what a cgroup's limit leaves, if there is one)");
  command.add_option("--kv-memory", kv_memory_,
                     "Memory for the KV cache, as 2GiB (default: what --memory leaves, else half of what is free)");
  if (!batching) return;
  command.add_option("--max-batch", options_.max_batch, "Sequences in flight at most")
      ->check(CLI::Range(1, 65536))
      ->capture_default_str();
  command
      .add_option("--max-batch-tokens", options_.max_batch_tokens,
                  "Tokens in a step at most (default: 512, or fewer where they are as fast on this machine)")
      ->check(CLI::Range(1, 1 << 20));
  command
      .add_option("--context-length", options_.context_length,
                  "Positions a sequence may have (default: what the model was trained for)")
      ->check(CLI::Range(1, 1 << 24));
}

Result<EngineOptions> EngineFlags::options() const {
  EngineOptions out = options_;
  if (!memory_.empty()) {
    BATCHWRIGHT_ASSIGN_OR_RETURN(out.memory_bytes, parse_byte_count("--memory", memory_));
  }
  if (!kv_memory_.empty()) {
    BATCHWRIGHT_ASSIGN_OR_RETURN(out.kv_memory_bytes, parse_byte_count("--kv-memory", kv_memory_));
  }
  return out;
}

}  // namespace batchwright

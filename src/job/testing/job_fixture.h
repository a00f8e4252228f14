// What tests of a job share: rows, a job over files in memory, its output in pieces.
#pragma once

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/memory_file_system.h"
#include "job/job.h"
#include "job/testing/fake_engine.h"
#include "protocol/testing/byte_prompt_encoder.h"

namespace batchwright {

inline std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::stringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

inline std::string id_of(const std::string& line) {
  const auto parsed = parse_json(line);
  EXPECT_TRUE(parsed.ok()) << line;
  const JsonValue* const id = parsed.ok() ? parsed->find("custom_id") : nullptr;
  return id != nullptr && id->is_string() ? id->as_string() : "(none)";
}

class JobFixture : public testing::Test {
 protected:
  JobFixture() {
    encoder_.remember_chats = false;
    options_.input = "job.jsonl";
    options_.output = "out.jsonl";
  }

  static std::string rows(int count) {
    std::string text;
    for (int i = 0; i < count; ++i) text += fmt::format("{{\"custom_id\":\"r{}\",\"prompt\":\"text {}\"}}\n", i, i);
    return text;
  }

  Result<std::unique_ptr<Job>> open() {
    const JobEnvironment environment{[this] { return clock_.load(); },
                                     [] { return int64_t{1234}; },
                                     [this] { return stop_.load(); },
                                     [] { return size_t{77}; },
                                     nullptr,
                                     cache_folder_};
    return Job::open(files_, options_, environment);
  }

  JobOutcome run() {
    auto job = open();
    if (!job.ok()) return {job.status(), {}};
    return (*job)->run(engine_, encoder_, 0.5, nullptr);
  }

  JobOutcome run_rows(const std::string& content) {
    files_.write("job.jsonl", content);
    return run();
  }

  // The output files that there are.
  std::set<std::string> outputs() const {
    std::set<std::string> names;
    for (const std::string& path : files_.paths()) {
      if (path != "job.jsonl") names.insert(path);
    }
    return names;
  }

  MemoryFileSystem files_;
  JobOptions options_;
  FakeEngine engine_;
  BytePromptEncoder encoder_;
  std::string cache_folder_;
  std::atomic<double> clock_{0};
  std::atomic<bool> stop_{false};
};

}  // namespace batchwright

// Measures what steps cost on this machine, and keeps it for the next time: the numbers of schedule/cost_model.h.
#pragma once

#include <optional>
#include <string>

#include "base/file_system.h"
#include "batchwright/options.h"
#include "cache/page_cache.h"
#include "model/model.h"
#include "schedule/cost_model.h"

namespace batchwright {

struct CalibrationLimits {
  int max_tokens = 512;       // of a step
  int context_length = 4096;  // positions that a sequence may have
  int threads = 1;            // of the model's pool
  double seconds = 4;         // begins no measurement that would probably end later
};

struct Calibration {
  CostModel model;
  // By how much the second shortest time was longer than the shortest of steps with as many tokens, as the median; 1
  // where none was measured twice.
  double spread = 1;
  double preemptions = 0;  // a second and thread

  // Good enough to be kept and to be decided by. Beside other programs it is not: a quiet machine preempts some twenty
  // times, one that compiles hundreds of times. What those take that are not seen, on a machine that is shared, is
  // learned from the steps that follow (CostModel::factor).
  static constexpr double kSteadySpread = 0.3;
  static constexpr double kSteadyPreemptions = 100;
  bool steady() const { return spread <= kSteadySpread && preemptions <= kSteadyPreemptions; }
};

// Runs made-up steps - random tokens over pages that it takes from `cache` and gives back unpublished - and times their
// stages, each several times while there is time; the shortest counts. Nothing else may use model and cache meanwhile.
// Fails (kResourceExhausted) where the cache has not one page of each class free.
Result<Calibration> measure_cost_model(Model& model, PageCache& cache, const CalibrationLimits& limits);

// About how many seconds a token of a step of 64 takes: from one such step, after one of few tokens to warm up, at most
// kProbeTokens together.
inline constexpr int kProbeTokens = 72;
Result<double> measure_token_seconds(Model& model, PageCache& cache, const CalibrationLimits& limits);

// What a measurement is valid for: processor, instruction set, threads, model, KV format, versions of arithmetic and
// program.
std::string calibration_key(const std::string& processor, const std::string& isa, int threads,
                            const std::string& model_hash, KvFormat kv_format);

// Files of a folder, one a key: docs/formats/cost-model.md. Whatever is wrong with a file, it counts as not there.
class CalibrationStore {
 public:
  // `files` must outlive it. An empty folder keeps nothing.
  CalibrationStore(FileSystem& files, std::string folder) : files_(files), folder_(std::move(folder)) {}

  std::optional<CostModel> load(const std::string& key) const;
  // Makes the folder where it is missing.
  Status save(const std::string& key, const CostModel& model) const;
  // Nothing happens where it is not there.
  Status remove(const std::string& key) const;
  std::string path(const std::string& key) const;

 private:
  FileSystem& files_;
  std::string folder_;
};

// $BATCHWRIGHT_CACHE, else $XDG_CACHE_HOME/batchwright, else $HOME/.cache/batchwright; empty where none is set.
std::string default_cache_folder();

}  // namespace batchwright

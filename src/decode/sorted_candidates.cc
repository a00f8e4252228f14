#include "decode/sorted_candidates.h"

#include <algorithm>
#include <array>

#include "kernels/math/math.h"

namespace batchwright::decode {
namespace {

// A bucket is a magnitude's exponent with the upper 4 bits of its mantissa: 16 an octave.
constexpr int kBucketShift = 19;
constexpr size_t kBuckets = size_t{1} << (31 - kBucketShift);
constexpr float kWeightlessMagnitude = 88.0F;  // exp_f32 gives 0 beyond
constexpr size_t kFirstStep = 256;
constexpr size_t kStepGrowth = 8;
constexpr size_t kRadixSortMin = 2048;

uint32_t magnitude(float scaled) { return std::bit_cast<uint32_t>(scaled) & 0x7FFFFFFF; }

// Stable, by the magnitude alone: the ids come in ascending order. Least significant digit first.
void radix_sort(std::span<uint64_t> keys, std::vector<uint64_t>& spare) {
  constexpr int kDigitBits = 11;
  constexpr size_t kDigits = size_t{1} << kDigitBits;
  if (spare.size() < keys.size()) spare.resize(keys.size());
  std::span<uint64_t> from = keys;
  std::span<uint64_t> to(spare.data(), keys.size());
  for (int shift = 32; shift < 64; shift += kDigitBits) {
    std::array<uint32_t, kDigits> place{};
    for (const uint64_t key : from) ++place[(key >> shift) & (kDigits - 1)];
    uint32_t sum = 0;
    for (uint32_t& p : place) {
      const uint32_t count = p;
      p = sum;
      sum += count;
    }
    for (const uint64_t key : from) to[place[(key >> shift) & (kDigits - 1)]++] = key;
    std::swap(from, to);
  }
  // An odd number of passes leaves the result in `spare`.
  if (from.data() != keys.data()) std::copy(from.begin(), from.end(), keys.begin());
}

}  // namespace

SortedCandidates::SortedCandidates(std::span<const float> scaled, int expected, SamplerScratch& scratch)
    : scaled_(scaled),
      wanted_(std::max(kFirstStep, static_cast<size_t>(std::max(expected, 0)))),
      keys_(scratch.candidates),
      spare_(scratch.sorting),
      histogram_(scratch.histogram) {
  keys_.clear();
  histogram_.assign(kBuckets, 0);
  for (const float s : scaled_) ++histogram_[magnitude(s) >> kBucketShift];
}

void SortedCandidates::expect_weight(double weight) {
  double sum = 0;
  size_t count = 0;
  for (uint32_t bucket = 0; bucket < kBuckets && sum < weight; ++bucket) {
    const float largest = std::bit_cast<float>((bucket + 1) << kBucketShift);
    if (!(largest < kWeightlessMagnitude)) break;
    sum += static_cast<double>(histogram_[bucket]) * static_cast<double>(exp_f32(-largest));
    count += histogram_[bucket];
  }
  wanted_ = std::max(wanted_, count);
}

bool SortedCandidates::extend() {
  const uint32_t first = bucket_;
  size_t count = 0;
  while (bucket_ < kBuckets && count < wanted_) count += histogram_[bucket_++];
  if (count == 0) return false;
  wanted_ *= kStepGrowth;

  const size_t begin = keys_.size();
  // Every key is written and only a wanted one moves the place on: branches here would be unpredictable. So there is
  // one place more than keys.
  keys_.resize(begin + count + 1);
  uint64_t* out = keys_.data() + begin;
  for (size_t id = 0; id < scaled_.size(); ++id) {
    const uint32_t bits = magnitude(scaled_[id]);
    *out = uint64_t{bits} << 32 | id;
    out += (bits >> kBucketShift) - first < bucket_ - first ? 1 : 0;
  }
  keys_.pop_back();
  const std::span<uint64_t> fresh(keys_.data() + begin, count);
  if (count < kRadixSortMin) {
    std::sort(fresh.begin(), fresh.end());
  } else {
    radix_sort(fresh, spare_);
  }
  return true;
}

}  // namespace batchwright::decode

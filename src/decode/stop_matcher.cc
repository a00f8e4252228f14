#include "decode/stop_matcher.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace batchwright {

Result<StopStrings> StopStrings::make(std::span<const std::string> strings) {
  std::vector<std::string_view> views;
  size_t bytes = 0;
  for (const std::string& s : strings) {
    if (s.empty()) continue;
    if (s.size() > kBytesMax - bytes) {
      return resource_exhausted(fmt::format("stop: the strings have more than {} bytes together", kBytesMax));
    }
    bytes += s.size();
    views.emplace_back(s);
  }
  return StopStrings(std::move(views));
}

StopStrings::StopStrings(std::vector<std::string_view> strings) {
  std::sort(strings.begin(), strings.end());

  // The strings, by their places after sorting, that begin with a state's prefix.
  struct Range {
    uint32_t begin;
    uint32_t end;
  };
  std::vector<Range> ranges{{0, static_cast<uint32_t>(strings.size())}};
  states_.resize(1);
  bytes_.resize(1);
  for (uint32_t state = 0; state < states_.size(); ++state) {
    states_[state].first_child = static_cast<uint32_t>(states_.size());
    const auto [begin, end] = ranges[state];
    const uint32_t depth = states_[state].depth;
    // A string that goes on after another one's end can never be the first to be complete.
    if (begin == end || strings[begin].size() == depth) continue;
    for (uint32_t i = begin; i < end;) {
      const char byte = strings[i][depth];
      const uint32_t first = i;
      while (i < end && strings[i][depth] == byte) ++i;
      State made;
      made.depth = depth + 1;
      if (state != 0) made.fail = next(states_[state].fail, static_cast<unsigned char>(byte));
      made.match = strings[first].size() == made.depth ? made.depth : states_[made.fail].match;
      states_.push_back(made);
      bytes_.push_back(static_cast<unsigned char>(byte));
      ranges.push_back({first, i});
    }
  }
}

uint32_t StopStrings::child(uint32_t state, unsigned char byte) const {
  const auto begin = bytes_.begin() + states_[state].first_child;
  const auto end = state + 1 < states_.size() ? bytes_.begin() + states_[state + 1].first_child : bytes_.end();
  const auto found = std::lower_bound(begin, end, byte);
  return found != end && *found == byte ? static_cast<uint32_t>(found - bytes_.begin()) : 0;
}

uint32_t StopStrings::next(uint32_t state, unsigned char byte) const {
  for (;;) {
    const uint32_t found = child(state, byte);
    if (found != 0 || state == 0) return found;
    state = states_[state].fail;
  }
}

bool StopMatcher::feed(std::string_view piece) {
  if (stopped_) return true;
  for (const char c : piece) {
    state_ = strings_->next(state_, static_cast<unsigned char>(c));
    ++length_;
    if (const uint32_t match = strings_->states_[state_].match; match != 0) {
      safe_length_ = length_ - match;
      stopped_ = true;
      return true;
    }
  }
  safe_length_ = length_ - strings_->states_[state_].depth;
  return false;
}

}  // namespace batchwright

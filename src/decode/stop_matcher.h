// Stop strings over text that arrives in pieces.
//
// The text ends with the first byte at which some stop string is complete; what counts as text is cut before that
// string's start, before the longest where several are complete at once. So the outcome depends neither on the order
// of the strings nor on how the text was cut into pieces. Strings are bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "batchwright/status.h"

namespace batchwright {

// The strings of a request, compiled (Aho and Corasick 1975). Immutable; thread-safe; shared by the request's choices.
class StopStrings {
 public:
  // Bytes that a request's stop strings may have together.
  static constexpr size_t kBytesMax = size_t{4} << 20;

  // Without any string: nothing ever matches.
  StopStrings() : StopStrings(std::vector<std::string_view>()) {}

  // Memory is linear in the bytes (17 for each), time too but for sorting the strings. Empty strings are ignored.
  // Fails (kResourceExhausted) beyond kBytesMax.
  static Result<StopStrings> make(std::span<const std::string> strings);

  bool empty() const { return states_.size() <= 1; }

 private:
  friend class StopMatcher;

  // States are the prefixes of the strings, by (length, bytes); 0 is the empty one. The children of a state stand
  // together, by byte.
  struct State {
    uint32_t first_child = 0;
    uint32_t fail = 0;   // the longest proper suffix that is a state too
    uint32_t depth = 0;  // length of the prefix
    uint32_t match = 0;  // length of the longest string that ends here; 0: none
  };

  explicit StopStrings(std::vector<std::string_view> strings);
  uint32_t child(uint32_t state, unsigned char byte) const;  // 0: none
  uint32_t next(uint32_t state, unsigned char byte) const;

  std::vector<State> states_;
  std::vector<unsigned char> bytes_;  // the last byte of each state's prefix
};

// Follows the text of one choice. Not thread-safe.
class StopMatcher {
 public:
  // `strings` must outlive the matcher.
  explicit StopMatcher(const StopStrings& strings) : strings_(&strings) {}

  // Takes the next piece of text; true once a stop string is complete. After that, pieces are ignored.
  bool feed(std::string_view piece);

  bool stopped() const { return stopped_; }

  // Bytes from the beginning of the text that are certain to be output: all but the end that may still become a stop
  // string; once stopped, the text's final length. Never decreases.
  // A text that ends for another reason is output whole, the held-back end included.
  size_t safe_length() const { return safe_length_; }

 private:
  const StopStrings* strings_;
  uint32_t state_ = 0;
  size_t length_ = 0;  // bytes taken
  size_t safe_length_ = 0;
  bool stopped_ = false;
};

}  // namespace batchwright

// From texts to token ids: an open-addressed hash table, built once, made for few cache misses a look-up.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "batchwright/request.h"

namespace batchwright {

class TextIndex {
 public:
  struct Entry {
    TokenId id = -1;  // -1: there is no such text
    uint32_t rank = 0;
  };

  // A text's bytes at most.
  static constexpr size_t kTextBytesMax = 65535;

  TextIndex() : TextIndex(0) {}
  explicit TextIndex(size_t count_max);

  // Copies the text. Replaces the entry of an equal text. At most count_max texts, of 1 to kTextBytesMax bytes, and of
  // less than 4 GiB together.
  void insert(std::string_view text, Entry entry);

  Entry find(std::string_view text) const {
    if (text.size() > longest_ || text.empty()) return {};
    const uint64_t h = hash(text);
    for (size_t i = h & mask_;; i = (i + 1) & mask_) {
      const Slot& slot = slots_[i];
      if (slot.size == 0) return {};
      if (matches(slot, h, text)) return slot.entry;
    }
  }

  size_t longest() const { return longest_; }

 private:
  struct Slot {
    uint16_t tag = 0;
    uint16_t size = 0;  // 0: the slot is free
    uint32_t offset = 0;
    Entry entry;
  };

  static uint64_t hash(std::string_view text);
  static uint16_t tag(uint64_t hash) { return static_cast<uint16_t>(hash >> 48); }
  bool matches(const Slot& slot, uint64_t h, std::string_view text) const {
    return slot.tag == tag(h) && slot.size == text.size() &&
           std::string_view(texts_.data() + slot.offset, slot.size) == text;
  }

  std::vector<Slot> slots_;  // a power of two of them, at least a third free
  size_t mask_;
  size_t longest_ = 0;
  std::string texts_;
};

// A look-up is a few nanoseconds where the table is in cache, so that a call would show.
inline uint64_t TextIndex::hash(std::string_view text) {
  const auto load64 = [](const char* p) {
    uint64_t v;
    __builtin_memcpy(&v, p, sizeof v);
    return v;
  };
  const auto load32 = [](const char* p) {
    uint32_t v;
    __builtin_memcpy(&v, p, sizeof v);
    return uint64_t{v};
  };
  __extension__ typedef unsigned __int128 Wide;
  const auto mix = [](uint64_t a, uint64_t b) {
    const Wide product = static_cast<Wide>(a) * b;
    return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
  };
  constexpr uint64_t kA = 0x9E3779B97F4A7C15U;
  constexpr uint64_t kB = 0xD1B54A32D192ED03U;

  const char* p = text.data();
  const size_t n = text.size();
  uint64_t low = 0;
  uint64_t high = 0;
  uint64_t state = kB ^ n;
  if (n >= 8) {
    for (size_t i = 0; i + 16 < n; i += 8) state = mix(load64(p + i) ^ kA, state);
    low = n > 16 ? load64(p + n - 16) : load64(p);
    high = load64(p + n - 8);
  } else if (n >= 4) {
    low = load32(p);
    high = load32(p + n - 4);
  } else {
    const auto byte = [p](size_t i) { return uint64_t{static_cast<uint8_t>(p[i])}; };
    low = byte(0) | byte(n / 2) << 8 | byte(n - 1) << 16;
  }
  return mix(mix(low ^ kA, high ^ state) ^ kB, kA ^ state);
}

}  // namespace batchwright

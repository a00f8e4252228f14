#include "text/tokenizer_text_index.h"

#include <algorithm>
#include <bit>

#include "base/check.h"

namespace batchwright {

TextIndex::TextIndex(size_t count_max)
    : slots_(std::bit_ceil(std::max<size_t>(count_max + count_max / 2, 1) + 1)), mask_(slots_.size() - 1) {}

void TextIndex::insert(std::string_view text, Entry entry) {
  BATCHWRIGHT_CHECK(!text.empty() && text.size() <= kTextBytesMax && texts_.size() + text.size() <= UINT32_MAX);
  const uint64_t h = hash(text);
  size_t i = h & mask_;
  while (slots_[i].size != 0) {
    if (matches(slots_[i], h, text)) {
      slots_[i].entry = entry;
      return;
    }
    i = (i + 1) & mask_;
  }
  slots_[i] = {tag(h), static_cast<uint16_t>(text.size()), static_cast<uint32_t>(texts_.size()), entry};
  texts_.append(text);
  longest_ = std::max(longest_, text.size());
}

}  // namespace batchwright

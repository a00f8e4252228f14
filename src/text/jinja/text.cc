#include "text/jinja/text.h"

#include <algorithm>

#include "base/utf8.h"

namespace batchwright::jinja {

Text::Text(TextBuilder&& builder)
    : bytes_(std::move(builder.bytes_)), runs_(std::move(builder.runs_)), length_(utf8_length(bytes_)) {}

size_t Text::byte_offset(size_t character) const {
  if (is_ascii()) return character;
  size_t offset = 0;
  for (; character > 0; --character) offset += decode_utf8(bytes_, offset).length;
  return offset;
}

void TextBuilder::append(std::string_view bytes, bool from_template) {
  if (bytes.empty()) return;
  bytes_ += bytes;
  if (!runs_.empty() && runs_.back().from_template == from_template) {
    runs_.back().end = bytes_.size();
  } else {
    runs_.push_back({bytes_.size(), from_template});
  }
}

void TextBuilder::append(const Text& text, size_t begin, size_t end) {
  const auto& runs = text.runs();
  auto run =
      std::upper_bound(runs.begin(), runs.end(), begin, [](size_t at, const OriginRun& r) { return at < r.end; });
  while (begin < end) {
    const size_t stop = std::min(run->end, end);
    append(text.bytes().substr(begin, stop - begin), run->from_template);
    begin = stop;
    ++run;
  }
}

char32_t CharacterCursor::code_point() const { return decode_utf8(text_.bytes(), offset_).code_point; }

std::string_view CharacterCursor::bytes() const {
  return text_.bytes().substr(offset_, decode_utf8(text_.bytes(), offset_).length);
}

void CharacterCursor::next() {
  offset_ += decode_utf8(text_.bytes(), offset_).length;
  while (run_ + 1 < text_.runs().size() && text_.runs()[run_].end <= offset_) ++run_;
}

}  // namespace batchwright::jinja

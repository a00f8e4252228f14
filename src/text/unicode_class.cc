#include "text/unicode_class.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <map>
#include <vector>

namespace batchwright {
namespace {

struct CodePointRange {
  char32_t first;
  char32_t last;
};

#include "text/unicode_class_ranges.inc"

constexpr size_t kCodePoints = 0x110000;
constexpr size_t kPageSize = 256;
using Page = std::array<UnicodeClass, kPageSize>;

// Two levels, equal pages stored once: some 40 KiB.
struct Table {
  std::array<uint16_t, kCodePoints / kPageSize> page_of{};
  std::vector<Page> pages;
};

Table make_table() {
  std::vector<UnicodeClass> all(kCodePoints, UnicodeClass::kOther);
  const auto fill = [&all](const auto& ranges, UnicodeClass c) {
    for (const CodePointRange& range : ranges) {
      for (char32_t at = range.first; at <= range.last; ++at) all[at] = c;
    }
  };
  fill(kLetterRanges, UnicodeClass::kLetter);
  fill(kNumberRanges, UnicodeClass::kNumber);
  fill(kSpaceRanges, UnicodeClass::kSpace);

  Table table;
  std::map<Page, uint16_t> seen;
  for (size_t i = 0; i < table.page_of.size(); ++i) {
    Page page;
    std::copy_n(all.begin() + static_cast<std::ptrdiff_t>(i * kPageSize), kPageSize, page.begin());
    const auto [entry, fresh] = seen.emplace(page, static_cast<uint16_t>(table.pages.size()));
    if (fresh) table.pages.push_back(page);
    table.page_of[i] = entry->second;
  }
  return table;
}

}  // namespace

UnicodeClass unicode_class(char32_t code_point) {
  static const Table kTable = make_table();
  if (code_point >= kCodePoints) return UnicodeClass::kOther;
  return kTable.pages[kTable.page_of[code_point / kPageSize]][code_point % kPageSize];
}

}  // namespace batchwright

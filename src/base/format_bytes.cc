#include "base/format_bytes.h"

#include <fmt/format.h>

#include <array>

namespace batchwright {
namespace {

constexpr std::array<const char*, 5> kUnits = {"B", "KiB", "MiB", "GiB", "TiB"};

}  // namespace

std::string format_bytes(double bytes) {
  size_t i = 0;
  while (i + 1 < kUnits.size() && bytes >= 1024) {
    bytes /= 1024;
    ++i;
  }
  return i == 0 ? fmt::format("{:.0f} B", bytes) : fmt::format("{:.1f} {}", bytes, kUnits[i]);
}

std::string format_bytes_option(size_t bytes) {
  size_t unit = 1;
  size_t i = 0;
  while (i + 1 < kUnits.size() && bytes / unit >= 1024) {
    unit *= 1024;
    ++i;
  }
  const size_t hundredths = (bytes * 100 + unit - 1) / unit;
  if (hundredths % 100 == 0) return fmt::format("{}{}", hundredths / 100, kUnits[i]);
  return fmt::format("{}.{:02}{}", hundredths / 100, hundredths % 100, kUnits[i]);
}

}  // namespace batchwright

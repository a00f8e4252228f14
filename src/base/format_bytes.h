#pragma once

#include <cstddef>
#include <string>

namespace batchwright {

// For people: "1.5 GiB". Below 1024 whole bytes, from there on one decimal of the unit of 1024 that leaves less than
// 1024.
std::string format_bytes(double bytes);

// As an option takes it, and never less: "13.42MiB", "96KiB", bytes up to 2^60 / 100.
std::string format_bytes_option(size_t bytes);

}  // namespace batchwright

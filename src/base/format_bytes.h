#pragma once

#include <string>

namespace batchwright {

// For people: "1.5 GiB". Below 1024 whole bytes, from there on one decimal of the unit of 1024 that leaves less than
// 1024.
std::string format_bytes(double bytes);

}  // namespace batchwright

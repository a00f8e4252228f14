// The compiler must keep the sums of the integer micro-kernels in registers: with spills they run at half the speed and
// give the same bits, so that no other test would notice. This one reads the disassembly of its own program.
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "kernels/gemm/gemm.h"

namespace batchwright {
namespace {

std::string output_of(const std::string& command) {
  const std::unique_ptr<FILE, int (*)(FILE*)> pipe(popen(command.c_str(), "r"), pclose);
  std::string output;
  std::array<char, 65536> buffer;
  while (pipe != nullptr) {
    const size_t n = fread(buffer.data(), 1, buffer.size(), pipe.get());
    if (n == 0) break;
    output.append(buffer.data(), n);
  }
  return output;
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    lines.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return lines;
}

bool contains(const std::string& line, const char* part) { return line.find(part) != std::string::npos; }

bool is_product(const std::string& line) { return contains(line, "vpmaddubsw") || contains(line, "vpdpbusd"); }

// Where the products of a block have ended and their sums are scaled.
bool is_epilogue(const std::string& line) { return contains(line, "vpmaddwd") || contains(line, "vcvtdq2ps"); }

bool moves_vector_on_stack(const std::string& line) {
  return contains(line, "vmov") && (contains(line, "(%rsp") || contains(line, "(%rbp"));
}

struct Count {
  int products = 0;
  int spills = 0;
};

Count count(const std::string& disassembly) {
  Count result;
  int moves = 0;  // since the last product of the same run of products
  bool inside = false;
  for (const std::string& line : lines_of(disassembly)) {
    if (is_product(line)) {
      ++result.products;
      if (inside) result.spills += moves;
      inside = true;
      moves = 0;
    } else if (is_epilogue(line)) {
      inside = false;
    } else if (moves_vector_on_stack(line)) {
      ++moves;
    }
  }
  return result;
}

TEST(GemmSpills, CounterSeesThem) {
  const Count found = count(
      "vpmaddubsw %ymm0,%ymm1,%ymm2\nvmovdqa %ymm5,0x20(%rsp)\nvpmaddubsw %ymm0,%ymm1,%ymm3\n"
      "vpmaddwd %ymm3,%ymm4,%ymm5\nvmovdqa %ymm5,0x40(%rsp)\nvpmaddubsw %ymm0,%ymm1,%ymm3\n");
  EXPECT_EQ(found.products, 3);
  EXPECT_EQ(found.spills, 1);
}

TEST(GemmSpills, NoneBetweenProducts) {
#if !defined(__OPTIMIZE__) || defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || defined(__clang__)
  GTEST_SKIP() << "asked of optimised builds by g++ only, which releases are made with";
#endif
  if (output_of("command -v objdump && command -v nm").empty()) GTEST_SKIP() << "no objdump here";
  const std::string self = "/proc/" + std::to_string(getpid()) + "/exe";
  int functions = 0;
  // Every kernel of a quantised format is an instance of run<> or run_panels<>.
  for (const std::string& line : lines_of(output_of("nm " + self))) {
    const size_t name = line.find(" t _ZN11batchwright12_GLOBAL__N_1");
    if (name == std::string::npos || !contains(line, "run")) continue;
    const std::string symbol = line.substr(name + 3);
    if (contains(symbol, "Scalar") || symbol.find("RKNS_7RawGemm") == std::string::npos) continue;
    const Count found =
        count(output_of("objdump -d --no-show-raw-insn --disassemble=" + symbol + " " + self + " 2>/dev/null"));
    if (found.products == 0) continue;  // of floats
    ++functions;
    EXPECT_EQ(found.spills, 0) << symbol;
  }
  EXPECT_GE(functions, 8 * 3) << "eight formats on three instruction sets: has a name changed?";
}

}  // namespace
}  // namespace batchwright

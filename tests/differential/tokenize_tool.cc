// tokenize_tool MODEL [--special] [--time]: the ids that this program's tokeniser gives to texts, for comparison with
// other tokenisers (tokenizers.py). Numbers on stdin and stdout are little-endian.
//
// stdin: texts, each a uint32 length and so many bytes. stdout: for each text a uint32 count and so many int32 ids,
// then a uint32 length and the text that they decode to. With --special control tokens in the texts are tokens. With
// --time the time that encoding took is written to stderr.
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "formats/gguf.h"
#include "text/detokenizer.h"
#include "text/tokenizer.h"
#include "text/vocabulary_gguf.h"

namespace batchwright {
namespace {

bool read_text(std::string& text) {
  uint32_t size = 0;
  if (std::fread(&size, sizeof size, 1, stdin) != 1) return false;
  text.resize(size);
  return std::fread(text.data(), 1, size, stdin) == size;
}

void write_words(const void* words, size_t count) { std::fwrite(words, sizeof(uint32_t), count, stdout); }

int run(const char* path, bool special, bool time) {
  const auto file = GgufFile::open(path);
  if (!file.ok()) return std::fprintf(stderr, "%s\n", file.status().message().c_str()), 1;
  const auto vocabulary = load_vocabulary(*file);
  if (!vocabulary.ok()) return std::fprintf(stderr, "%s\n", vocabulary.status().message().c_str()), 1;
  const auto tokenizer = Tokenizer::create(*vocabulary);
  if (!tokenizer.ok()) return std::fprintf(stderr, "%s\n", tokenizer.status().message().c_str()), 1;

  size_t bytes = 0;
  std::chrono::duration<double> spent{};
  EncodeOptions options;
  options.parse_special = special;
  for (std::string text; read_text(text);) {
    const auto start = std::chrono::steady_clock::now();
    const std::vector<TokenId> ids = (*tokenizer)->encode(text, options);
    spent += std::chrono::steady_clock::now() - start;
    bytes += text.size();
    const auto count = static_cast<uint32_t>(ids.size());
    write_words(&count, 1);
    write_words(ids.data(), ids.size());
    const std::string decoded = detokenize(**vocabulary, ids, {.show_special = true});
    const auto size = static_cast<uint32_t>(decoded.size());
    write_words(&size, 1);
    std::fwrite(decoded.data(), 1, decoded.size(), stdout);
  }
  const double megabytes = static_cast<double>(bytes) / 1e6;
  if (time) std::fprintf(stderr, "%.1f MB in %.3f s: %.1f MB/s\n", megabytes, spent.count(), megabytes / spent.count());
  return 0;
}

}  // namespace
}  // namespace batchwright

int main(int argc, char** argv) {
  if (argc < 2) return std::fprintf(stderr, "usage: tokenize_tool MODEL.gguf [--special] [--time]\n"), 2;
  bool special = false;
  bool time = false;
  for (int i = 2; i < argc; ++i) {
    special = special || std::string_view(argv[i]) == "--special";
    time = time || std::string_view(argv[i]) == "--time";
  }
  return batchwright::run(argv[1], special, time);
}

// Writing GGUF version 3: what GgufFile and the Python `gguf` package read, byte for byte as the latter writes it.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "batchwright/status.h"
#include "formats/gguf.h"

namespace batchwright {

// C++ types that are numbers of GGUF.
template <class T>
concept GgufNumber = std::same_as<T, uint8_t> || std::same_as<T, int8_t> || std::same_as<T, uint16_t> ||
    std::same_as<T, int16_t> || std::same_as<T, uint32_t> || std::same_as<T, int32_t> || std::same_as<T, uint64_t> ||
    std::same_as<T, int64_t> || std::same_as<T, float> || std::same_as<T, double> || std::same_as<T, bool>;

// Collects key-values and tensors, in the order of the calls, and writes them. The first mistake (a key twice, a shape
// that does not fit the data, ...) is kept, later calls do nothing, and bytes() and write() return it. Everything is
// held in memory. Not thread-safe.
class GgufWriter {
 public:
  // The value's C++ type is its type in the file. The key "general.alignment" (uint32_t) also sets the alignment of the
  // tensors, 32 otherwise.
  template <GgufNumber T>
  void add(std::string_view key, T value);
  void add(std::string_view key, std::string_view text);

  template <GgufNumber T>
  void add_array(std::string_view key, const std::vector<T>& values);
  void add_array(std::string_view key, const std::vector<std::string>& texts);

  // ne[0] is the length of a row (gguf.h); 1 to 4 dimensions. `data` holds the stored elements.
  void add_tensor(std::string_view name, ElementType type, const std::vector<int64_t>& ne,
                  std::span<const std::byte> data);
  // As above, from floats (quantize.h), one for each element.
  void add_tensor(std::string_view name, ElementType type, const std::vector<int64_t>& ne,
                  std::span<const float> values);

  Result<std::vector<std::byte>> bytes() const;
  // Replaces the file at `path`. kIoError where the operating system refuses; a part of a file may be left then.
  Status write(const std::string& path) const;

 private:
  struct Tensor {
    std::string name;
    ElementType type;
    std::vector<int64_t> ne;
    std::vector<std::byte> data;
  };

  void fail(std::string_view subject, std::string_view message);
  bool begin_value(std::string_view key, GgufType type);  // false where a mistake was made
  bool check_shape(std::string_view name, ElementType type, const std::vector<int64_t>& ne, uint64_t& bytes);

  Status status_;
  uint64_t alignment_ = kGgufDefaultAlignment;
  std::vector<std::string> keys_;
  std::vector<std::byte> key_values_;
  std::vector<Tensor> tensors_;
};

}  // namespace batchwright

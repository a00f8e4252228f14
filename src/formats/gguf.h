// Reading GGUF, the file format of llama.cpp and its relatives: metadata and tensors in one file, little endian.
// Versions 2 and 3. The layout is described in docs/formats/gguf.md; GgufWriter (gguf_writer.h) makes such files.
//
// The file is mapped, not read. Every count, length, type, size and offset is checked against the file's size before it
// is used or memory is taken for it; what open() allocates is bounded by a small multiple of the file's size. Whatever
// the bytes are, the outcome is a file that is safe to use or an error that names the file, the key, tensor or byte
// offset, and what would have been allowed.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "batchwright/status.h"
#include "platform/mapped_file.h"
#include "tensor/element_type.h"

namespace batchwright {

// The values are the format's own.
enum class GgufType : uint32_t {
  kUint8 = 0,
  kInt8 = 1,
  kUint16 = 2,
  kInt16 = 3,
  kUint32 = 4,
  kInt32 = 5,
  kFloat32 = 6,
  kBool = 7,
  kString = 8,
  kArray = 9,
  kUint64 = 10,
  kInt64 = 11,
  kFloat64 = 12,
};

// "u32", "string", ...; for arrays "array".
std::string_view gguf_type_name(GgufType type);

inline constexpr int kGgufMaxDimensions = 4;
inline constexpr uint64_t kGgufMaxKeyBytes = 65535;
inline constexpr uint64_t kGgufMaxTensorNameBytes = 64;
inline constexpr uint64_t kGgufDefaultAlignment = 32;
inline constexpr uint64_t kGgufMaxAlignment = uint64_t{1} << 24;

struct GgufKeyValue {
  std::string key;
  GgufType type;          // kArray for arrays
  GgufType element_type;  // of an array; otherwise the same as type
  uint64_t count;         // elements of an array (1 otherwise)
  // The bytes of the value in the file: of a string its text, of an array all its elements as stored.
  std::span<const std::byte> value;
};

// The elements of an array of numbers, converted as they are asked for; T is int64_t, double or bool. A view into the
// file.
template <class T>
class GgufArray {
 public:
  GgufArray() = default;
  GgufArray(GgufType stored, size_t size, const std::byte* data) : stored_(stored), size_(size), data_(data) {}

  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  T operator[](size_t i) const;
  std::vector<T> to_vector() const {
    std::vector<T> out;
    out.reserve(size_);
    for (size_t i = 0; i < size_; ++i) out.push_back((*this)[i]);
    return out;
  }

 private:
  GgufType stored_ = GgufType::kInt64;
  size_t size_ = 0;
  const std::byte* data_ = nullptr;
};

extern template class GgufArray<int64_t>;
extern template class GgufArray<double>;
extern template class GgufArray<bool>;

struct GgufTensor {
  std::string name;
  ElementType type = ElementType::kF32;
  int n_dims = 0;  // 1 to 4, as the file says
  // ne[0] is the length of a row, whose elements lie together; ne[1] the number of rows, and so on. Dimensions that the
  // file does not give are 1. Every one is at least 1, and their product is below 2^63.
  std::array<int64_t, kGgufMaxDimensions> ne = {1, 1, 1, 1};
  uint64_t offset = 0;              // of the first byte, from the start of the file
  std::span<const std::byte> data;  // in the mapped file; aligned to the file's alignment, at least 8

  int64_t elements() const { return ne[0] * ne[1] * ne[2] * ne[3]; }
  int64_t rows() const { return ne[1] * ne[2] * ne[3]; }
  std::string shape() const;  // "[896, 151936]"
};

// An opened file. Immutable: all const members may be called from any thread. Spans and string_views that it hands out
// live as long as it does, and survive its being moved.
//
// Accessors of metadata: a missing key and a value of another type or out of range are kInvalidData errors that name
// the file, the key, what was found and what is needed. Integers of any width and sign are accepted where the value
// fits; reals where the value is f32 or f64. The *_or forms give the default where the key is missing - a value of the
// wrong type remains an error.
class GgufFile {
 public:
  // kNotFound, kIoError (mapped_file.h); kInvalidData where the file is damaged; kUnsupported where it is of a version,
  // byte order or tensor type that this build does not handle, or one part of a split model; kResourceExhausted where
  // memory ran out.
  static Result<GgufFile> open(const std::string& path);

  const std::string& path() const { return file_.path(); }
  // Of all bytes, 32 hex digits (hash.h). Lets their memory go as it reads them.
  std::string hash() const;
  uint64_t file_bytes() const { return file_.bytes().size(); }
  uint32_t version() const { return version_; }
  uint64_t alignment() const { return alignment_; }
  uint64_t data_offset() const { return data_offset_; }  // of the tensors' section, from the start of the file

  const std::vector<GgufKeyValue>& metadata() const { return metadata_; }  // in the file's order
  const GgufKeyValue* find(std::string_view key) const;                    // null where there is none
  bool has(std::string_view key) const { return find(key) != nullptr; }

  Result<uint64_t> unsigned_integer(std::string_view key) const;
  Result<uint64_t> unsigned_integer_or(std::string_view key, uint64_t default_value) const;
  // Also an error outside [least, most]: sizes and counts that a caller is going to compute with.
  Result<uint64_t> unsigned_integer_in(std::string_view key, uint64_t least, uint64_t most) const;
  Result<int64_t> integer(std::string_view key) const;
  Result<int64_t> integer_or(std::string_view key, int64_t default_value) const;
  Result<double> real(std::string_view key) const;
  Result<double> real_or(std::string_view key, double default_value) const;
  Result<bool> boolean(std::string_view key) const;
  Result<bool> boolean_or(std::string_view key, bool default_value) const;
  // Any bytes: that they are UTF-8 is not checked here.
  Result<std::string_view> string(std::string_view key) const;
  Result<std::string_view> string_or(std::string_view key, std::string_view default_value) const;

  Result<std::vector<std::string_view>> strings(std::string_view key) const;
  Result<GgufArray<int64_t>> integers(std::string_view key) const;
  Result<GgufArray<double>> reals(std::string_view key) const;
  Result<GgufArray<bool>> booleans(std::string_view key) const;

  // The value for people: strings quoted and escaped, arrays as "[3 x i32] 1, 2, 3"; cut off with "..." after about
  // max_chars characters. Valid UTF-8 (printable.h).
  std::string display_value(const GgufKeyValue& entry, size_t max_chars = 72) const;
  // "u32", "array of string".
  static std::string type_description(const GgufKeyValue& entry);

  const std::vector<GgufTensor>& tensors() const { return tensors_; }  // in the file's order
  const GgufTensor* find_tensor(std::string_view name) const;          // null where there is none
  // As find_tensor; a missing tensor is a kInvalidData error that names it.
  Result<const GgufTensor*> tensor(std::string_view name) const;

  // Lets the memory of a tensor's pages go (it is read from the file again if it is touched again), or of those that
  // lie wholly in `length` of its bytes from `begin` on.
  void release(const GgufTensor& tensor) const { release(tensor, 0, tensor.data.size()); }
  void release(const GgufTensor& tensor, uint64_t begin, uint64_t length) const {
    file_.release(tensor.offset + begin, length);
  }
  // The same for all that stands before the tensors: views into it stay valid.
  void release_metadata() const { file_.release(0, data_offset_); }
  // kIoError where the file shrank since it was opened: what was read may be zeros. Ask after the weights are read.
  Status check() const { return file_.check(); }

 private:
  friend class GgufParser;
  explicit GgufFile(MappedFile file) : file_(std::move(file)) {}

  Result<const GgufKeyValue*> find_of(std::string_view key, std::string_view needed) const;
  Result<const GgufKeyValue*> find_array_of(std::string_view key, std::string_view needed) const;
  Status wrong_type(const GgufKeyValue& entry, std::string_view needed) const;

  MappedFile file_;
  uint32_t version_ = 0;
  uint64_t alignment_ = kGgufDefaultAlignment;
  uint64_t data_offset_ = 0;
  std::vector<GgufKeyValue> metadata_;
  std::vector<uint32_t> metadata_by_key_;  // sorted by key
  std::vector<GgufTensor> tensors_;
  std::vector<uint32_t> tensors_by_name_;  // sorted by name
};

}  // namespace batchwright

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <limits>
#include <new>
#include <stdexcept>
#include <utility>

#include "base/status_macros.h"
#include "formats/gguf.h"
#include "formats/gguf_type.h"
#include "formats/printable.h"

namespace batchwright {

static_assert(std::endian::native == std::endian::little, "GGUF files are little endian and read in place");

using formats::gguf_fixed_bytes;
using formats::kGgufTypeCount;
using formats::load;

namespace {

constexpr uint64_t kMaxInt64 = std::numeric_limits<int64_t>::max();
// The least that a key-value and a tensor's description take: what bounds their counts by the file's size.
constexpr uint64_t kMinKeyValueBytes = 8 + 1 + 4 + 1;
constexpr uint64_t kMinTensorInfoBytes = 8 + 1 + 4 + 8 + 4 + 8;

bool multiply(uint64_t a, uint64_t b, uint64_t most, uint64_t& product) {
  if (a != 0 && b > most / a) return false;
  product = a * b;
  return true;
}

}  // namespace

// Reads the file from front to back, once.
class GgufParser {
 public:
  explicit GgufParser(MappedFile mapped) : file_(std::move(mapped)), bytes_(file_.file_.bytes()) {}

  Result<GgufFile> parse() {
    uint64_t tensor_count = 0;
    uint64_t key_value_count = 0;
    BATCHWRIGHT_RETURN_IF_ERROR(parse_header(tensor_count, key_value_count));
    BATCHWRIGHT_RETURN_IF_ERROR(parse_metadata(key_value_count));
    BATCHWRIGHT_RETURN_IF_ERROR(interpret_metadata());
    BATCHWRIGHT_RETURN_IF_ERROR(parse_tensors(tensor_count));
    BATCHWRIGHT_RETURN_IF_ERROR(place_tensors());
    BATCHWRIGHT_RETURN_IF_ERROR(file_.check());
    return std::move(file_);
  }

 private:
  // What is being read, for messages.
  struct Subject {
    const char* kind;
    uint64_t index = 0;  // from 0
    uint64_t count = 0;
    std::string_view name = {};
  };

  uint64_t remaining() const { return bytes_.size() - offset_; }

  std::string subject() const {
    if (!subject_.name.empty()) return fmt::format("{} '{}'", subject_.kind, printable(subject_.name));
    if (subject_.count > 0) return fmt::format("{} {} of {}", subject_.kind, subject_.index + 1, subject_.count);
    return subject_.kind;
  }

  std::string located(uint64_t offset, std::string_view message) const {
    return fmt::format("{}: {} (byte {}): {}", file_.path(), subject(), offset, message);
  }
  Status error_at(uint64_t offset, std::string_view message) const { return invalid_data(located(offset, message)); }

  Status need(uint64_t bytes, std::string_view what) const {
    if (bytes <= remaining()) return {};
    return error_at(offset_, fmt::format("{} takes {} bytes, but the file ends after {}: it is cut short or damaged",
                                         what, bytes, remaining()));
  }

  template <class T>
  Status read(T& value, std::string_view what) {
    BATCHWRIGHT_RETURN_IF_ERROR(need(sizeof(T), what));
    value = load<T>(bytes_.data() + offset_);
    offset_ += sizeof(T);
    return {};
  }

  Status read_bytes(uint64_t length, std::string_view what, std::span<const std::byte>& value) {
    BATCHWRIGHT_RETURN_IF_ERROR(need(length, what));
    value = bytes_.subspan(offset_, length);
    offset_ += length;
    return {};
  }

  Status read_name(uint64_t most, std::string_view what, std::string& name) {
    const uint64_t start = offset_;
    uint64_t length = 0;
    BATCHWRIGHT_RETURN_IF_ERROR(read(length, what));
    if (length == 0 || length > most) {
      return error_at(start, fmt::format("{} is {} bytes long; 1 to {} are allowed", what, length, most));
    }
    std::span<const std::byte> text;
    BATCHWRIGHT_RETURN_IF_ERROR(read_bytes(length, what, text));
    name.assign(reinterpret_cast<const char*>(text.data()), text.size());
    return {};
  }

  Status check_count(uint64_t count, uint64_t min_bytes, std::string_view what) const {
    const uint64_t most = std::min<uint64_t>(remaining() / min_bytes, std::numeric_limits<uint32_t>::max());
    if (count <= most) return {};
    return error_at(offset_, fmt::format("{} {}, but the rest of the file ({} bytes) can hold at most {}", count, what,
                                         remaining(), most));
  }

  Status parse_header(uint64_t& tensor_count, uint64_t& key_value_count) {
    subject_ = {"header"};
    const std::string_view begin(reinterpret_cast<const char*>(bytes_.data()), std::min<size_t>(bytes_.size(), 4));
    if (begin != "GGUF") {
      return invalid_data(bytes_.empty() ? fmt::format("{}: is empty, not a GGUF file", file_.path())
                                         : fmt::format("{}: is not a GGUF file: it begins with \"{}\", not \"GGUF\"",
                                                       file_.path(), printable(begin)));
    }
    offset_ = 4;
    BATCHWRIGHT_RETURN_IF_ERROR(read(file_.version_, "the version"));
    if (file_.version_ != 0 && (file_.version_ & 0xffff) == 0) {
      return unsupported(located(4, "the file is big endian; little-endian files are supported"));
    }
    if (file_.version_ != 2 && file_.version_ != 3) {
      return unsupported(located(4, fmt::format("GGUF version {}; versions 2 and 3 are supported", file_.version_)));
    }
    BATCHWRIGHT_RETURN_IF_ERROR(read(tensor_count, "the number of tensors"));
    BATCHWRIGHT_RETURN_IF_ERROR(read(key_value_count, "the number of key-values"));
    BATCHWRIGHT_RETURN_IF_ERROR(check_count(tensor_count, kMinTensorInfoBytes, "tensors"));
    return check_count(key_value_count, kMinKeyValueBytes, "key-values");
  }

  Status read_type(GgufType& type, std::string_view what) {
    const uint64_t start = offset_;
    uint32_t id = 0;
    BATCHWRIGHT_RETURN_IF_ERROR(read(id, what));
    if (id >= kGgufTypeCount) {
      return error_at(start, fmt::format("{} is {}; 0 (u8) to {} (f64) are known", what, id, kGgufTypeCount - 1));
    }
    type = static_cast<GgufType>(id);
    return {};
  }

  Status check_bools(std::span<const std::byte> values, uint64_t start) const {
    for (size_t i = 0; i < values.size(); ++i) {
      const int value = std::to_integer<int>(values[i]);
      if (value > 1) return error_at(start + i, fmt::format("a bool is {}; 0 and 1 are allowed", value));
    }
    return {};
  }

  Status parse_array(GgufKeyValue& entry) {
    const uint64_t type_offset = offset_;
    BATCHWRIGHT_RETURN_IF_ERROR(read_type(entry.element_type, "the type of the array's elements"));
    if (entry.element_type == GgufType::kArray) {
      return unsupported(
          located(type_offset, "an array of arrays; arrays of numbers, bools and strings are supported"));
    }
    BATCHWRIGHT_RETURN_IF_ERROR(read(entry.count, "the array's length"));
    const uint64_t start = offset_;
    const uint64_t fixed = gguf_fixed_bytes(entry.element_type);
    const uint64_t least = fixed != 0 ? fixed : 8;
    if (entry.count > remaining() / least) {
      return error_at(start - 8,
                      fmt::format("an array of {} elements of {}, but the rest of the file ({} bytes) can "
                                  "hold at most {}",
                                  entry.count, gguf_type_name(entry.element_type), remaining(), remaining() / least));
    }
    if (fixed != 0) {
      BATCHWRIGHT_RETURN_IF_ERROR(read_bytes(entry.count * fixed, "the array", entry.value));
      return entry.element_type == GgufType::kBool ? check_bools(entry.value, start) : Status();
    }
    for (uint64_t i = 0; i < entry.count; ++i) {
      uint64_t length = 0;
      std::span<const std::byte> text;
      BATCHWRIGHT_RETURN_IF_ERROR(read(length, "the length of a string in the array"));
      BATCHWRIGHT_RETURN_IF_ERROR(read_bytes(length, "a string in the array", text));
    }
    entry.value = bytes_.subspan(start, offset_ - start);
    return {};
  }

  Status parse_value(GgufKeyValue& entry) {
    BATCHWRIGHT_RETURN_IF_ERROR(read_type(entry.type, "the value's type"));
    entry.element_type = entry.type;
    entry.count = 1;
    if (entry.type == GgufType::kArray) return parse_array(entry);
    if (entry.type == GgufType::kString) {
      uint64_t length = 0;
      BATCHWRIGHT_RETURN_IF_ERROR(read(length, "the string's length"));
      return read_bytes(length, "the string", entry.value);
    }
    const uint64_t start = offset_;
    BATCHWRIGHT_RETURN_IF_ERROR(read_bytes(gguf_fixed_bytes(entry.type), "the value", entry.value));
    return entry.type == GgufType::kBool ? check_bools(entry.value, start) : Status();
  }

  Status parse_metadata(uint64_t count) {
    file_.metadata_.reserve(std::min<uint64_t>(count, 1024));
    for (uint64_t i = 0; i < count; ++i) {
      subject_ = {"key-value", i, count};
      GgufKeyValue entry{};
      BATCHWRIGHT_RETURN_IF_ERROR(read_name(kGgufMaxKeyBytes, "the key", entry.key));
      subject_ = {"key", i, count, entry.key};
      BATCHWRIGHT_RETURN_IF_ERROR(parse_value(entry));
      file_.metadata_.push_back(std::move(entry));
    }
    return sort_names(
        file_.metadata_, file_.metadata_by_key_, [](const GgufKeyValue& e) -> const std::string& { return e.key; },
        "key");
  }

  // Fills `order` with the indices of `items` by name. A name that stands twice is an error.
  template <class Item, class NameOf>
  Status sort_names(const std::vector<Item>& items, std::vector<uint32_t>& order, NameOf name_of, const char* kind) {
    order.resize(items.size());
    for (size_t i = 0; i < items.size(); ++i) order[i] = static_cast<uint32_t>(i);
    std::sort(order.begin(), order.end(),
              [&](uint32_t a, uint32_t b) { return name_of(items[a]) < name_of(items[b]); });
    for (size_t i = 1; i < order.size(); ++i) {
      const std::string& name = name_of(items[order[i]]);
      if (name != name_of(items[order[i - 1]])) continue;
      return invalid_data(
          fmt::format("{}: {} '{}' stands more than once; it must be unique", file_.path(), kind, printable(name)));
    }
    return {};
  }

  Status interpret_metadata() {
    BATCHWRIGHT_ASSIGN_OR_RETURN(file_.alignment_,
                                 file_.unsigned_integer_or(formats::kAlignmentKey, kGgufDefaultAlignment));
    if (!std::has_single_bit(file_.alignment_) || file_.alignment_ < 8 || file_.alignment_ > kGgufMaxAlignment) {
      return invalid_data(fmt::format("{}: key '{}' is {}; a power of two from 8 to {} is needed", file_.path(),
                                      formats::kAlignmentKey, file_.alignment_, kGgufMaxAlignment));
    }
    BATCHWRIGHT_ASSIGN_OR_RETURN(const uint64_t parts, file_.unsigned_integer_or("split.count", 1));
    if (parts > 1) {
      return unsupported(
          fmt::format("{}: is one of the {} parts of a split model (key 'split.count'); join them into "
                      "one file first (llama-gguf-split --merge)",
                      file_.path(), parts));
    }
    return {};
  }

  Status parse_shape(GgufTensor& tensor) {
    const uint64_t start = offset_;
    uint32_t n_dims = 0;
    BATCHWRIGHT_RETURN_IF_ERROR(read(n_dims, "the number of dimensions"));
    if (n_dims < 1 || n_dims > kGgufMaxDimensions) {
      return error_at(start, fmt::format("{} dimensions; 1 to {} are allowed", n_dims, kGgufMaxDimensions));
    }
    tensor.n_dims = static_cast<int>(n_dims);
    uint64_t elements = 1;
    for (uint32_t i = 0; i < n_dims; ++i) {
      uint64_t ne = 0;
      BATCHWRIGHT_RETURN_IF_ERROR(read(ne, "a dimension"));
      if (ne < 1 || ne > kMaxInt64) {
        return error_at(offset_ - 8, fmt::format("dimension {} is {}; 1 to 2^63-1 are allowed", i, ne));
      }
      if (!multiply(elements, ne, kMaxInt64, elements)) {
        return error_at(offset_ - 8, "the product of the dimensions exceeds 2^63-1");
      }
      tensor.ne[i] = static_cast<int64_t>(ne);
    }
    return {};
  }

  Status parse_tensor(GgufTensor& tensor, uint64_t& bytes) {
    BATCHWRIGHT_RETURN_IF_ERROR(read_name(kGgufMaxTensorNameBytes, "the name", tensor.name));
    subject_.kind = "tensor";
    subject_.name = tensor.name;
    BATCHWRIGHT_RETURN_IF_ERROR(parse_shape(tensor));

    uint32_t id = 0;
    BATCHWRIGHT_RETURN_IF_ERROR(read(id, "the type"));
    const std::optional<ElementType> type = element_type_from_ggml(id);
    if (!type.has_value()) {
      const std::string_view name = ggml_type_name(id);
      return unsupported(located(offset_ - 4, fmt::format("type {} ({}); supported are {}", id,
                                                          name.empty() ? "unknown" : name, supported_element_types())));
    }
    tensor.type = *type;

    const Result<uint64_t> row = row_bytes(tensor.type, tensor.ne[0]);
    if (!row.ok()) return error_at(offset_ - 4, row.status().message());
    if (!multiply(*row, static_cast<uint64_t>(tensor.rows()), kMaxInt64, bytes)) {
      return error_at(offset_ - 4, fmt::format("a tensor of {} {} exceeds 2^63-1 bytes", tensor.shape(),
                                               element_type_name(tensor.type)));
    }
    BATCHWRIGHT_RETURN_IF_ERROR(read(tensor.offset, "the offset"));
    if (tensor.offset % file_.alignment_ != 0) {
      return error_at(offset_ - 8,
                      fmt::format("offset {} is no multiple of the alignment, {}", tensor.offset, file_.alignment_));
    }
    return {};
  }

  Status parse_tensors(uint64_t count) {
    // Once more: the metadata has taken its share of the file.
    subject_ = {"header"};
    BATCHWRIGHT_RETURN_IF_ERROR(check_count(count, kMinTensorInfoBytes, "tensors"));
    file_.tensors_.reserve(std::min<uint64_t>(count, 1024));
    for (uint64_t i = 0; i < count; ++i) {
      subject_ = {"tensor", i, count};
      GgufTensor tensor;
      uint64_t bytes = 0;
      BATCHWRIGHT_RETURN_IF_ERROR(parse_tensor(tensor, bytes));
      file_.tensors_.push_back(std::move(tensor));
      tensor_bytes_.push_back(bytes);
    }
    return sort_names(
        file_.tensors_, file_.tensors_by_name_, [](const GgufTensor& t) -> const std::string& { return t.name; },
        "tensor");
  }

  // Turns offsets from the start of the data into offsets from the start of the file, and gives the tensors their
  // bytes.
  Status place_tensors() {
    const uint64_t size = bytes_.size();
    file_.data_offset_ = (offset_ + file_.alignment_ - 1) & ~(file_.alignment_ - 1);
    if (file_.tensors_.empty()) return {};
    const uint64_t data_bytes = size > file_.data_offset_ ? size - file_.data_offset_ : 0;
    for (size_t i = 0; i < file_.tensors_.size(); ++i) {
      GgufTensor& tensor = file_.tensors_[i];
      if (tensor.offset > data_bytes || tensor_bytes_[i] > data_bytes - tensor.offset) {
        return invalid_data(fmt::format(
            "{}: tensor '{}': {} bytes at offset {} of the data, which begin at byte {} and are {} bytes long: the "
            "file "
            "is cut short or damaged",
            file_.path(), printable(tensor.name), tensor_bytes_[i], tensor.offset, file_.data_offset_, data_bytes));
      }
      tensor.offset += file_.data_offset_;
      tensor.data = bytes_.subspan(tensor.offset, tensor_bytes_[i]);
    }
    return check_overlaps();
  }

  Status check_overlaps() const {
    std::vector<const GgufTensor*> by_offset;
    by_offset.reserve(file_.tensors_.size());
    for (const GgufTensor& tensor : file_.tensors_) by_offset.push_back(&tensor);
    std::sort(by_offset.begin(), by_offset.end(),
              [](const GgufTensor* a, const GgufTensor* b) { return a->offset < b->offset; });
    for (size_t i = 1; i < by_offset.size(); ++i) {
      const GgufTensor& before = *by_offset[i - 1];
      const GgufTensor& tensor = *by_offset[i];
      if (before.offset + before.data.size() <= tensor.offset) continue;
      return invalid_data(fmt::format("{}: tensor '{}' at byte {} begins before tensor '{}' ends, at byte {}",
                                      file_.path(), printable(tensor.name), tensor.offset, printable(before.name),
                                      before.offset + before.data.size()));
    }
    return {};
  }

  GgufFile file_;
  std::span<const std::byte> bytes_;
  uint64_t offset_ = 0;
  Subject subject_{"header"};
  std::vector<uint64_t> tensor_bytes_;
};

Result<GgufFile> GgufFile::open(const std::string& path) {
  try {
    BATCHWRIGHT_ASSIGN_OR_RETURN(MappedFile mapped, MappedFile::open(path));
    return GgufParser(std::move(mapped)).parse();
  } catch (const std::bad_alloc&) {
    return resource_exhausted(path + ": out of memory while reading the file's metadata");
  } catch (const std::length_error&) {
    return resource_exhausted(path + ": out of memory while reading the file's metadata");
  }
}

}  // namespace batchwright

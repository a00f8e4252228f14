#include "formats/gguf_writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <limits>
#include <utility>

#include "base/status_macros.h"
#include "formats/gguf_type.h"
#include "formats/printable.h"
#include "tensor/quantize.h"

namespace batchwright {
namespace {

void append(std::vector<std::byte>& out, std::span<const std::byte> bytes) {
  if (bytes.empty()) return;
  const size_t size = out.size();
  out.resize(size + bytes.size());
  std::memcpy(out.data() + size, bytes.data(), bytes.size());
}

template <class T>
void append_number(std::vector<std::byte>& out, T value) {
  append(out, std::as_bytes(std::span<const T, 1>(&value, 1)));
}

void append_text(std::vector<std::byte>& out, std::string_view text) {
  append_number(out, uint64_t{text.size()});
  append(out, std::as_bytes(std::span(text.data(), text.size())));
}

void pad(std::vector<std::byte>& out, uint64_t alignment) {
  out.resize((out.size() + alignment - 1) / alignment * alignment);
}

}  // namespace

void GgufWriter::fail(std::string_view subject, std::string_view message) {
  if (status_.ok()) status_ = invalid_argument(fmt::format("'{}': {}", printable(subject), message));
}

bool GgufWriter::begin_value(std::string_view key, GgufType type) {
  if (!status_.ok()) return false;
  if (key.empty() || key.size() > kGgufMaxKeyBytes) {
    fail(key, fmt::format("a key of {} bytes; 1 to {} are allowed", key.size(), kGgufMaxKeyBytes));
  } else if (std::find(keys_.begin(), keys_.end(), key) != keys_.end()) {
    fail(key, "the key was added before");
  }
  if (!status_.ok()) return false;
  keys_.emplace_back(key);
  append_text(key_values_, key);
  append_number(key_values_, static_cast<uint32_t>(type));
  return true;
}

template <GgufNumber T>
void GgufWriter::add(std::string_view key, T value) {
  if constexpr (std::same_as<T, uint32_t>) {
    if (key == formats::kAlignmentKey) {
      if (!std::has_single_bit(value) || value < 8 || value > kGgufMaxAlignment) {
        return fail(key, fmt::format("{}; a power of two from 8 to {} is needed", value, kGgufMaxAlignment));
      }
      alignment_ = value;
    }
  }
  if (begin_value(key, formats::GgufTypeOf<T>::value)) append_number(key_values_, value);
}

void GgufWriter::add(std::string_view key, std::string_view text) {
  if (begin_value(key, GgufType::kString)) append_text(key_values_, text);
}

template <GgufNumber T>
void GgufWriter::add_array(std::string_view key, const std::vector<T>& values) {
  if (!begin_value(key, GgufType::kArray)) return;
  append_number(key_values_, static_cast<uint32_t>(formats::GgufTypeOf<T>::value));
  append_number(key_values_, uint64_t{values.size()});
  for (const T value : values) append_number(key_values_, value);
}

void GgufWriter::add_array(std::string_view key, const std::vector<std::string>& texts) {
  if (!begin_value(key, GgufType::kArray)) return;
  append_number(key_values_, static_cast<uint32_t>(GgufType::kString));
  append_number(key_values_, uint64_t{texts.size()});
  for (const std::string& text : texts) append_text(key_values_, text);
}

bool GgufWriter::check_shape(std::string_view name, ElementType type, const std::vector<int64_t>& ne, uint64_t& bytes) {
  if (!status_.ok()) return false;
  if (name.empty() || name.size() > kGgufMaxTensorNameBytes) {
    fail(name, fmt::format("a name of {} bytes; 1 to {} are allowed", name.size(), kGgufMaxTensorNameBytes));
  } else if (std::any_of(tensors_.begin(), tensors_.end(), [&](const Tensor& t) { return t.name == name; })) {
    fail(name, "the tensor was added before");
  } else if (ne.empty() || ne.size() > kGgufMaxDimensions) {
    fail(name, fmt::format("{} dimensions; 1 to {} are allowed", ne.size(), kGgufMaxDimensions));
  }
  if (!status_.ok()) return false;
  const Result<uint64_t> row = row_bytes(type, ne[0]);
  if (!row.ok()) {
    fail(name, row.status().message());
    return false;
  }
  bytes = *row;
  for (size_t i = 0; i < ne.size(); ++i) {
    if (ne[i] < 1) {
      fail(name, fmt::format("dimension {} is {}; at least 1 is needed", i, ne[i]));
    } else if (i > 0 && bytes > std::numeric_limits<int64_t>::max() / static_cast<uint64_t>(ne[i])) {
      fail(name, "its bytes exceed 2^63-1");
    } else if (i > 0) {
      bytes *= static_cast<uint64_t>(ne[i]);
    }
  }
  return status_.ok();
}

void GgufWriter::add_tensor(std::string_view name, ElementType type, const std::vector<int64_t>& ne,
                            std::span<const std::byte> data) {
  uint64_t bytes = 0;
  if (!check_shape(name, type, ne, bytes)) return;
  if (data.size() != bytes) return fail(name, fmt::format("{} bytes of data; its shape needs {}", data.size(), bytes));
  tensors_.push_back({std::string(name), type, ne, {data.begin(), data.end()}});
}

void GgufWriter::add_tensor(std::string_view name, ElementType type, const std::vector<int64_t>& ne,
                            std::span<const float> values) {
  uint64_t bytes = 0;
  if (!check_shape(name, type, ne, bytes)) return;
  const ElementTypeInfo& info = element_type_info(type);
  const uint64_t elements =
      bytes / static_cast<uint64_t>(info.block_bytes) * static_cast<uint64_t>(info.block_elements);
  if (values.size() != elements) {
    return fail(name, fmt::format("{} values; its shape needs {}", values.size(), elements));
  }
  std::vector<std::byte> data(bytes);
  // Rows are whole blocks, so that all of them are quantised as one.
  quantize_row(type, values.data(), static_cast<int64_t>(values.size()), data.data());
  tensors_.push_back({std::string(name), type, ne, std::move(data)});
}

Result<std::vector<std::byte>> GgufWriter::bytes() const {
  BATCHWRIGHT_RETURN_IF_ERROR(status_);
  std::vector<std::byte> out;
  append(out, std::as_bytes(std::span("GGUF", 4)));
  append_number(out, uint32_t{3});
  append_number(out, uint64_t{tensors_.size()});
  append_number(out, uint64_t{keys_.size()});
  append(out, key_values_);
  uint64_t offset = 0;
  for (const Tensor& tensor : tensors_) {
    append_text(out, tensor.name);
    append_number(out, static_cast<uint32_t>(tensor.ne.size()));
    for (const int64_t ne : tensor.ne) append_number(out, static_cast<uint64_t>(ne));
    append_number(out, static_cast<uint32_t>(tensor.type));
    append_number(out, offset);
    offset += (tensor.data.size() + alignment_ - 1) / alignment_ * alignment_;
  }
  pad(out, alignment_);
  out.reserve(out.size() + offset);
  for (const Tensor& tensor : tensors_) {
    append(out, tensor.data);
    pad(out, alignment_);
  }
  return out;
}

Status GgufWriter::write(const std::string& path) const {
  BATCHWRIGHT_ASSIGN_OR_RETURN(const std::vector<std::byte> content, bytes());
  const auto failed = [&path](int error) {
    return io_error(fmt::format("{}: cannot be written: {}", path, std::strerror(error)));
  };
  std::FILE* file = std::fopen(path.c_str(), "wb");
  if (file == nullptr) return failed(errno);
  const bool written = std::fwrite(content.data(), 1, content.size(), file) == content.size();
  const int error = errno;
  if (std::fclose(file) != 0 && written) return failed(errno);
  return written ? Status() : failed(error);
}

template void GgufWriter::add(std::string_view, uint8_t);
template void GgufWriter::add(std::string_view, int8_t);
template void GgufWriter::add(std::string_view, uint16_t);
template void GgufWriter::add(std::string_view, int16_t);
template void GgufWriter::add(std::string_view, uint32_t);
template void GgufWriter::add(std::string_view, int32_t);
template void GgufWriter::add(std::string_view, uint64_t);
template void GgufWriter::add(std::string_view, int64_t);
template void GgufWriter::add(std::string_view, float);
template void GgufWriter::add(std::string_view, double);
template void GgufWriter::add(std::string_view, bool);
template void GgufWriter::add_array(std::string_view, const std::vector<uint8_t>&);
template void GgufWriter::add_array(std::string_view, const std::vector<int8_t>&);
template void GgufWriter::add_array(std::string_view, const std::vector<uint16_t>&);
template void GgufWriter::add_array(std::string_view, const std::vector<int16_t>&);
template void GgufWriter::add_array(std::string_view, const std::vector<uint32_t>&);
template void GgufWriter::add_array(std::string_view, const std::vector<int32_t>&);
template void GgufWriter::add_array(std::string_view, const std::vector<uint64_t>&);
template void GgufWriter::add_array(std::string_view, const std::vector<int64_t>&);
template void GgufWriter::add_array(std::string_view, const std::vector<float>&);
template void GgufWriter::add_array(std::string_view, const std::vector<double>&);
template void GgufWriter::add_array(std::string_view, const std::vector<bool>&);

}  // namespace batchwright

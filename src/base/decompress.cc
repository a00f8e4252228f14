#include "base/decompress.h"

#include <fmt/format.h>
#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <utility>
#include <vector>

#include "base/status_macros.h"

namespace batchwright {
namespace {

constexpr size_t kReadBytes = size_t{64} << 10;
constexpr int kWindowLogMax = 27;
// 16 above zlib's largest window: gzip alone, neither zlib's own format nor whichever it is.
constexpr int kGzipOnly = MAX_WBITS + 16;

constexpr std::string_view kGzipMagic = "\x1F\x8B";
constexpr std::string_view kZstdMagic = "\x28\xB5\x2F\xFD";
// Behind a byte from 0x50 to 0x5F.
constexpr std::string_view kSkippableMagic = "\x2A\x4D\x18";

// Bytes of the source that nobody has taken yet.
class Input {
 public:
  explicit Input(std::unique_ptr<InputStream> source) : source_(std::move(source)), buffer_(kReadBytes) {}

  std::string_view data() const { return {buffer_.data() + begin_, end_ - begin_}; }
  uint64_t offset() const { return offset_; }
  void consume(size_t bytes) {
    begin_ += bytes;
    offset_ += bytes;
  }
  // Makes data() longer. False at the end, after which the source is not asked again. Precondition: data() is far
  // shorter than a read.
  Result<bool> read_more() {
    if (ended_) return false;
    std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
    end_ -= std::exchange(begin_, 0);
    BATCHWRIGHT_ASSIGN_OR_RETURN(const size_t count, source_->read(std::span(buffer_).subspan(end_)));
    end_ += count;
    ended_ = count == 0;
    return !ended_;
  }
  // False where there is nothing any more.
  Result<bool> any() {
    if (begin_ < end_) return true;
    return read_more();
  }

 private:
  std::unique_ptr<InputStream> source_;
  std::vector<char> buffer_;
  size_t begin_ = 0;
  size_t end_ = 0;
  uint64_t offset_ = 0;
  bool ended_ = false;
};

Status ends_early(const char* format, uint64_t offset) {
  return invalid_data(fmt::format("the {} data ends early, after {} bytes: the file is not complete", format, offset));
}

Status damaged(const char* format, uint64_t offset, const char* reason) {
  return invalid_data(fmt::format("the {} data is damaged near byte {}: {}", format, offset, reason));
}

Status goes_on(const char* format, uint64_t offset) {
  return invalid_data(fmt::format("the {} data ends at byte {}, and something else follows it", format, offset));
}

class Decoder {
 public:
  virtual ~Decoder() = default;
  // As InputStream::read, of a buffer that is not empty.
  virtual Result<size_t> read(Input& input, std::span<char> buffer) = 0;
};

class PassThrough : public Decoder {
 public:
  Result<size_t> read(Input& input, std::span<char> buffer) override {
    BATCHWRIGHT_ASSIGN_OR_RETURN(const bool any, input.any());
    if (!any) return size_t{0};
    const size_t count = std::min(buffer.size(), input.data().size());
    std::memcpy(buffer.data(), input.data().data(), count);
    input.consume(count);
    return count;
  }
};

class GzipDecoder : public Decoder {
 public:
  GzipDecoder() { ready_ = inflateInit2(&zlib_, kGzipOnly) == Z_OK; }
  ~GzipDecoder() override {
    if (ready_) inflateEnd(&zlib_);
  }

  Result<size_t> read(Input& input, std::span<char> buffer) override {
    if (!ready_) return resource_exhausted("there is not enough memory to decompress");
    while (true) {
      BATCHWRIGHT_ASSIGN_OR_RETURN(const bool any, input.any());
      if (!any) {
        if (!inside_) return size_t{0};
        return ends_early("gzip", input.offset());
      }
      if (!inside_) {
        BATCHWRIGHT_ASSIGN_OR_RETURN(const bool member, begin_member(input));
        if (!member) continue;
      }
      BATCHWRIGHT_ASSIGN_OR_RETURN(const size_t count, inflate_some(input, buffer));
      if (count > 0) return count;
    }
  }

 private:
  // False where there are only zeros, with which tapes and block devices fill up.
  Result<bool> begin_member(Input& input) {
    const size_t zeros = std::min(input.data().find_first_not_of('\0'), input.data().size());
    if (zeros > 0) {
      padded_ = true;
      input.consume(zeros);
      return false;
    }
    if (padded_ || input.data().front() != kGzipMagic.front()) return goes_on("gzip", input.offset());
    inflateReset(&zlib_);
    inside_ = true;
    return true;
  }

  Result<size_t> inflate_some(Input& input, std::span<char> buffer) {
    const size_t room = std::min<size_t>(buffer.size(), std::numeric_limits<uInt>::max());
    zlib_.next_in = reinterpret_cast<z_const Bytef*>(const_cast<char*>(input.data().data()));
    zlib_.avail_in = static_cast<uInt>(input.data().size());
    zlib_.next_out = reinterpret_cast<Bytef*>(buffer.data());
    zlib_.avail_out = static_cast<uInt>(room);
    const int code = inflate(&zlib_, Z_NO_FLUSH);
    input.consume(input.data().size() - zlib_.avail_in);
    if (code == Z_MEM_ERROR) return resource_exhausted("there is not enough memory to decompress");
    if (code == Z_STREAM_END) {
      inside_ = false;
    } else if (code != Z_OK) {
      return damaged("gzip", input.offset(), zlib_.msg != nullptr ? zlib_.msg : "zlib refuses it");
    }
    return room - zlib_.avail_out;
  }

  z_stream zlib_{};
  bool ready_ = false;
  bool inside_ = true;  // of a member
  bool padded_ = false;
};

class ZstdDecoder : public Decoder {
 public:
  ZstdDecoder() : context_(ZSTD_createDCtx()) {
    if (context_) ZSTD_DCtx_setParameter(context_.get(), ZSTD_d_windowLogMax, kWindowLogMax);
  }

  Result<size_t> read(Input& input, std::span<char> buffer) override {
    if (!context_) return resource_exhausted("there is not enough memory to decompress");
    while (true) {
      // Until all of a frame is given out, libzstd leaves its last byte in the input.
      BATCHWRIGHT_ASSIGN_OR_RETURN(const bool any, input.any());
      if (!any) {
        if (!inside_) return size_t{0};
        return ends_early("zstd", input.offset());
      }
      ZSTD_inBuffer in = {input.data().data(), input.data().size(), 0};
      ZSTD_outBuffer out = {buffer.data(), buffer.size(), 0};
      const uint64_t frame_offset = input.offset();
      const size_t rest = ZSTD_decompressStream(context_.get(), &out, &in);
      input.consume(in.pos);
      if (ZSTD_isError(rest) != 0) return failure(rest, frame_offset);
      inside_ = rest != 0;
      if (out.pos > 0) return out.pos;
    }
  }

 private:
  struct Free {
    void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
  };

  Status failure(size_t result, uint64_t offset) const {
    switch (ZSTD_getErrorCode(result)) {
      case ZSTD_error_frameParameter_windowTooLarge:
        return unsupported("the zstd data needs a window of more than 128 MiB; compress it without --long");
      case ZSTD_error_dictionary_wrong:
        return unsupported("the zstd data needs a dictionary; compress it without one");
      case ZSTD_error_memory_allocation:
        return resource_exhausted("there is not enough memory to decompress");
      case ZSTD_error_prefix_unknown:
        return goes_on("zstd", offset);
      default:
        return damaged("zstd", offset, ZSTD_getErrorName(result));
    }
  }

  std::unique_ptr<ZSTD_DCtx, Free> context_;
  bool inside_ = true;  // of a frame
};

class DecompressingStream : public InputStream {
 public:
  explicit DecompressingStream(std::unique_ptr<InputStream> source) : input_(std::move(source)) {}

  Result<size_t> read(std::span<char> buffer) override {
    if (!failure_.ok()) return failure_;
    if (buffer.empty()) return size_t{0};
    if (!decoder_) BATCHWRIGHT_RETURN_IF_ERROR(choose_decoder());
    auto count = decoder_->read(input_, buffer);
    if (!count.ok() && count.status().code() != StatusCode::kInterrupted) failure_ = count.status();
    return count;
  }

 private:
  Status choose_decoder() {
    while (input_.data().size() < kCompressionMagicBytes) {
      BATCHWRIGHT_ASSIGN_OR_RETURN(const bool more, input_.read_more());
      if (!more) break;
    }
    switch (compression_of(input_.data())) {
      case Compression::kGzip:
        decoder_ = std::make_unique<GzipDecoder>();
        break;
      case Compression::kZstd:
        decoder_ = std::make_unique<ZstdDecoder>();
        break;
      case Compression::kNone:
        decoder_ = std::make_unique<PassThrough>();
        break;
    }
    return {};
  }

  Input input_;
  std::unique_ptr<Decoder> decoder_;
  Status failure_;
};

class FileStream : public InputStream {
 public:
  explicit FileStream(std::unique_ptr<ReadableFile> file) : file_(std::move(file)) {}

  Result<size_t> read(std::span<char> buffer) override {
    BATCHWRIGHT_ASSIGN_OR_RETURN(const size_t count, file_->read_at(offset_, buffer));
    offset_ += count;
    return count;
  }

 private:
  std::unique_ptr<ReadableFile> file_;
  uint64_t offset_ = 0;
};

}  // namespace

Compression compression_of(std::string_view first_bytes) {
  if (first_bytes.starts_with(kGzipMagic)) return Compression::kGzip;
  if (first_bytes.starts_with(kZstdMagic)) return Compression::kZstd;
  if (first_bytes.size() >= kCompressionMagicBytes && (static_cast<unsigned char>(first_bytes[0]) & 0xF0) == 0x50 &&
      first_bytes.substr(1).starts_with(kSkippableMagic)) {
    return Compression::kZstd;
  }
  return Compression::kNone;
}

std::unique_ptr<InputStream> decompressing(std::unique_ptr<InputStream> source) {
  return std::make_unique<DecompressingStream>(std::move(source));
}

std::unique_ptr<InputStream> stream_of(std::unique_ptr<ReadableFile> file) {
  return std::make_unique<FileStream>(std::move(file));
}

}  // namespace batchwright

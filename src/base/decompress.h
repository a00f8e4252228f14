// Compressed input, decompressed as it comes.
#pragma once

#include <memory>
#include <string_view>

#include "base/file_system.h"

namespace batchwright {

enum class Compression { kNone, kGzip, kZstd };

// What compression_of() needs to see.
inline constexpr size_t kCompressionMagicBytes = 4;

// By the first bytes of a file, not by its name: gzip (RFC 1952), zstd (RFC 8878; skippable frames too).
Compression compression_of(std::string_view first_bytes);

// What the source holds, decompressed where it begins as a compressed file does, unchanged otherwise. Members and
// frames that follow each other are read as one. Memory is bounded by the format: 1 MiB, and the window of zstd, which
// may be 128 MiB.
//
// Errors of read(), beside the source's (after kInterrupted the call may be repeated): kInvalidData where the data is
// damaged (as far as it has checksums: gzip always, zstd unless it was told not to), ends early, or goes on with
// something else than a member, a frame, or, after gzip, zeros; kUnsupported where zstd needs a larger window or a
// dictionary. What was read before an error is right only as far as no checksum has contradicted it: nothing of it
// should be used.
std::unique_ptr<InputStream> decompressing(std::unique_ptr<InputStream> source);

// The file from its beginning to its end.
std::unique_ptr<InputStream> stream_of(std::unique_ptr<ReadableFile> file);

}  // namespace batchwright

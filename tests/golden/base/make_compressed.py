#!/usr/bin/env python3
"""Makes compressed.json: files of gzip and zstd, in hex, with what they hold.

    python3 tests/golden/base/make_compressed.py      (needs the zstd program)
"""

import gzip
import json
import random
import struct
import subprocess
import zlib
from pathlib import Path


def gz(data, level=9):
    return gzip.compress(data, level, mtime=0)


def gz_with_all_fields(data):
    """Extra field, name, comment and the header's own checksum (RFC 1952, 2.3)."""
    header = b"\x1f\x8b\x08\x1e" + struct.pack("<I", 1) + b"\x02\x03"
    header += struct.pack("<H", 6) + b"AB\x02\x00xy" + b"rows.csv\0" + b"a comment\0"
    header += struct.pack("<H", zlib.crc32(header) & 0xFFFF)
    body = zlib.compressobj(6, zlib.DEFLATED, -15)
    trailer = struct.pack("<II", zlib.crc32(data), len(data))
    return header + body.compress(data) + body.flush() + trailer


def zst(data, *options):
    return subprocess.run(["zstd", "-q", "-c", *options], input=data, stdout=subprocess.PIPE, check=True).stdout


def skippable(content, kind=0):
    return struct.pack("<II", 0x184D2A50 + kind, len(content)) + content


def main():
    rng = random.Random(5)
    words = ["batch", "row", "answer", "\u00e4", "token", ",", "\n", '"']
    text = " ".join(rng.choice(words) for _ in range(600)).encode()
    noise = rng.randbytes(600)
    plain = {"text": text, "noise": noise, "twice": text + text, "nothing": b""}
    cases = [
        ("gzip", gz(text), "text"),
        ("gzip stored", gz(text, 0), "text"),
        ("gzip of noise", gz(noise), "noise"),
        ("gzip of nothing", gz(b""), "nothing"),
        ("gzip, all header fields", gz_with_all_fields(text), "text"),
        ("gzip, two members", gz(text) + gz_with_all_fields(text), "twice"),
        ("gzip, empty members", gz(b"") + gz(text) + gz(b""), "text"),
        ("gzip, zeros behind", gz(text) + bytes(1000), "text"),
        ("zstd", zst(text), "text"),
        ("zstd, best", zst(text, "-19"), "text"),
        ("zstd, no checksum", zst(text, "--no-check"), "text"),
        ("zstd of noise", zst(noise), "noise"),
        ("zstd of nothing", zst(b""), "nothing"),
        ("zstd, window of 128 MiB", zst(text, "--long=27"), "text"),
        ("zstd, two frames", zst(text) + zst(text, "-19"), "twice"),
        ("zstd, skippable first", skippable(b"hello", 15) + zst(text), "text"),
        ("zstd, skippable between and last", zst(text) + skippable(b"") + zst(text) + skippable(b"x" * 50), "twice"),
    ]
    out = {
        "plain": {name: data.hex() for name, data in plain.items()},
        "cases": [{"name": name, "bytes": data.hex(), "plain": key} for name, data, key in cases],
        # Frames that ask for more than is given.
        "window of 256 MiB": zst(text, "--long=28").hex(),
        "dictionary": "28b52ffd075801020304" + zst(text)[6:].hex(),
        # 200 MiB of zeros in one frame.
        "bomb": zst(bytes(200 << 20)).hex(),
    }
    Path(__file__).with_name("compressed.json").write_text(json.dumps(out, indent=0) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

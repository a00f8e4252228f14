#!/usr/bin/env python3
"""Makes dequantize.bin: what the Python package `gguf` (0.19) and numpy make of stored elements.

    python3 make_dequantize.py        # needs numpy and gguf; rewrites dequantize.bin beside this script

Layout, little endian: "DQG1"; u64 hash of all 65,536 f16 as f32; the same of bf16; u64 hash of 2^20 floats rounded to
f16, and to bf16 (their bits are the upper halves of x = x * 6364136223846793005 + 1442695040888963407 mod 2^64, from
x = 1). Then for each quantised type: u32 GGUF id, u32 random blocks, u32 of them with full results; the random blocks;
the full results as f32; a u64 hash for each random block; a u64 hash for each of the 256 blocks whose bytes are all v.
Hashes are FNV-1a 64 over the elements' bytes, every NaN counting as 0x7fc00000 (f32), 0x7e00 (f16), 0x7fc0 (bf16).
"""

import pathlib
import struct

import numpy as np
from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType as T
from gguf.quants import dequantize, quantize

SCALES = {  # where the f16 scales of a block stand
    T.Q4_0: [0], T.Q4_1: [0, 2], T.Q5_0: [0], T.Q5_1: [0, 2], T.Q8_0: [0],
    T.Q4_K: [0, 2], T.Q5_K: [0, 2], T.Q6_K: [208],
}
EXTREME = [0x0000, 0x8000, 0x0001, 0x8001, 0x03FF, 0x0400, 0x3C00, 0x7BFF, 0xFBFF, 0x7C00, 0xFC00, 0x7E00]
RANDOM_BLOCKS, FULL_BLOCKS = 48, 4
assert FULL_BLOCKS < RANDOM_BLOCKS and len(EXTREME) < RANDOM_BLOCKS


def fnv(rows: np.ndarray) -> np.ndarray:
    """FNV-1a 64 of each row of bytes."""
    h = np.full(rows.shape[0], 0xCBF29CE484222325, dtype=np.uint64)
    with np.errstate(over="ignore"):
        for column in rows.T:
            h = (h ^ column.astype(np.uint64)) * np.uint64(0x100000001B3)
    return h


def hash_all(elements: np.ndarray) -> bytes:
    """FNV-1a 64 of one long array."""
    h = 0xCBF29CE484222325
    for byte in elements.tobytes():
        h = ((h ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return struct.pack("<Q", h)


def canonical(x: np.ndarray) -> np.ndarray:
    bits = x.astype(np.float32).view(np.uint32).copy()
    bits[np.isnan(x)] = 0x7FC00000
    return bits


def canonical_half(bits: np.ndarray, infinity: int, nan: int) -> np.ndarray:
    bits = bits.astype(np.uint16).copy()
    bits[(bits & 0x7FFF) > infinity] = nan
    return bits


def floats() -> np.ndarray:
    x, out = 1, []
    for _ in range(1 << 20):
        x = (x * 6364136223846793005 + 1442695040888963407) & 0xFFFFFFFFFFFFFFFF
        out.append(x >> 32)
    return np.array(out, dtype=np.uint32).view(np.float32)


def main() -> None:
    np.seterr(all="ignore")
    rng = np.random.default_rng(20240601)
    halves = np.arange(65536, dtype=np.uint32).astype(np.uint16)
    out = bytearray(b"DQG1")
    out += hash_all(canonical(dequantize(halves.view(np.uint8), T.F16)))
    out += hash_all(canonical(dequantize(halves.view(np.uint8), T.BF16)))
    x = floats()
    out += hash_all(canonical_half(x.astype(np.float16).view(np.uint16), 0x7C00, 0x7E00))
    out += hash_all(canonical_half(quantize(x, T.BF16).view(np.uint16), 0x7F80, 0x7FC0))
    for kind, places in SCALES.items():
        elements, size = GGML_QUANT_SIZES[kind]
        blocks = rng.integers(0, 256, (RANDOM_BLOCKS, size), dtype=np.uint8)
        # The blocks with full results have ordinary scales, the next ones extreme ones, the rest random bits.
        for i in range(FULL_BLOCKS):
            for place in places:
                blocks[i, place:place + 2] = np.array([rng.normal()], dtype=np.float16).view(np.uint8)
        for i, scale in enumerate(EXTREME):
            for k, place in enumerate(places):
                bits = EXTREME[(i + 5 * k) % len(EXTREME)] if k else scale
                blocks[FULL_BLOCKS + i, place:place + 2] = np.array([bits], dtype=np.uint16).view(np.uint8)
        uniform = np.repeat(np.arange(256, dtype=np.uint8)[:, None], size, axis=1)
        results = canonical(dequantize(blocks, kind))
        assert results.shape == (RANDOM_BLOCKS, elements)
        out += struct.pack("<3I", kind.value, RANDOM_BLOCKS, FULL_BLOCKS)
        out += blocks.tobytes()
        out += results[:FULL_BLOCKS].tobytes()
        out += fnv(results.view(np.uint8)).tobytes()
        out += fnv(canonical(dequantize(uniform, kind)).view(np.uint8)).tobytes()
    pathlib.Path(__file__).with_name("dequantize.bin").write_bytes(out)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Makes python_writer_gguf.bin with the Python package `gguf` (0.19): every metadata type and every tensor type.

    python3 make_gguf.py              # needs numpy and gguf; rewrites python_writer_gguf.bin beside this script

src/formats/gguf_writer_test.cc makes the same file with our writer and wants the same bytes; so what that writer makes,
the package reads. The package's reader is asked here for what stands in the file.
"""

import pathlib

import numpy as np
from gguf import GGUFReader, GGUFWriter
from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType as T, GGUFValueType as V

NUMBERS = {
    V.UINT8: [0, 7, 255], V.INT8: [-128, 0, 127], V.UINT16: [0, 65535], V.INT16: [-32768, 32767],
    V.UINT32: [0, 2**32 - 1], V.INT32: [-(2**31), 2**31 - 1], V.UINT64: [1, 2**63 - 1], V.INT64: [-(2**63), 2**63 - 1],
    V.FLOAT32: [0.5, -1.25, 3.0e38], V.FLOAT64: [0.1, -1e300], V.BOOL: [True, False, True],
}
TENSORS = [T.F32, T.F16, T.BF16, T.Q8_0, T.Q6_K, T.Q5_1, T.Q5_0, T.Q5_K, T.Q4_1, T.Q4_0, T.Q4_K]


def main() -> None:
    path = pathlib.Path(__file__).with_name("python_writer_gguf.bin")
    writer = GGUFWriter(path, "tiny")
    writer.add_custom_alignment(64)
    for kind, values in NUMBERS.items():
        writer.add_key_value(f"test.{kind.name.lower()}", values[-1], kind)
        writer.add_key_value(f"test.array.{kind.name.lower()}", values, V.ARRAY, sub_type=kind)
    writer.add_string("test.string", "Gr\u00fc\u00dfe, \u4e16\u754c \U0001f30d")
    writer.add_key_value("test.string.empty", "", V.STRING)
    writer.add_array("test.array.string", ["a", "", "b\u00e9", "line\nbreak"])
    for k, kind in enumerate(TENSORS):
        elements, size = GGML_QUANT_SIZES[kind]
        row = 256 if elements > 1 else 5
        shape = [(k % 3) + 1, row // elements * size]  # rows, bytes of a row
        data = (np.arange(shape[0] * shape[1], dtype=np.int64) * 37 + 11 * k + 5).astype(np.uint8).reshape(shape)
        writer.add_tensor(f"blk.{k}.{kind.name}", data, raw_dtype=kind)
    one = np.array([1.0, -2.0, 0.5], dtype=np.float32)
    writer.add_tensor("one_dimension", one)
    writer.add_tensor("four_dimensions", np.arange(24, dtype=np.float32).reshape(2, 3, 2, 2))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()

    reader = GGUFReader(path)
    assert reader.get_field("test.array.int64").contents() == NUMBERS[V.INT64]
    assert reader.get_field("test.array.string").contents() == ["a", "", "b\u00e9", "line\nbreak"]
    assert [t.tensor_type for t in reader.tensors[:len(TENSORS)]] == TENSORS
    assert reader.tensors[-1].shape.tolist() == [2, 2, 3, 2]


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Writes unicode_class_ranges.inc: which characters are letters and numbers to Hugging Face's tokenizers.

It asks the package itself (0.23.3 knows Unicode 16.0), because words must be cut as they were in training.
usage: make_unicode_class_ranges.py > unicode_class_ranges.inc
"""

from tokenizers import Regex, pre_tokenizers

CHARACTERS = [chr(c) for c in range(0x110000) if not 0xD800 <= c <= 0xDFFF]


def ranges(pattern):
    """[first, last] of the stretches of matching characters, ascending."""
    split = pre_tokenizers.Split(Regex(pattern), behavior="removed")
    found = []
    for begin in range(0, len(CHARACTERS), 4096):
        block = CHARACTERS[begin : begin + 4096]
        others = set("".join(piece for piece, _ in split.pre_tokenize_str("".join(block))))
        for code_point in (ord(c) for c in block if c not in others):
            if found and found[-1][1] == code_point - 1:
                found[-1][1] = code_point
            else:
                found.append([code_point, code_point])
    return found


print("// Made by make_unicode_class_ranges.py: general categories L and N of Unicode 16.0, and White_Space.")
for name, pattern in (("Letter", r"\p{L}"), ("Number", r"\p{N}"), ("Space", r"\s")):
    items = [f"{{0x{first:X}, 0x{last:X}}}" for first, last in ranges(pattern)]
    print(f"\n// clang-format off\nconstexpr CodePointRange k{name}Ranges[] = {{")
    for i in range(0, len(items), 6):
        print("    " + ", ".join(items[i : i + 6]) + ",")
    print("};\n// clang-format on")

#!/usr/bin/env python3
"""Checks that objects compiled for an instruction set export no weak symbols.

    scripts/lint/weak_symbols.py build/release

Of an inline function that several objects hold the linker keeps any one copy for all. If that is the copy from a file
compiled with -mavx512f, the program dies on every machine without AVX-512. So files named *_avx2.cc and so on may not
export one.
"""

import argparse
import re
import subprocess
import sys
from pathlib import Path

ISA_OBJECT = re.compile(r"_(avx2|avxvnni|avx512|vnni|amx)\.cc\.o$")
DEFINED_WEAK = {"W", "V", "u"}  # nm: weak function, weak object, unique global


def weak_symbols(path: Path) -> list[str]:
    run = subprocess.run(["nm", "-C", str(path)], capture_output=True, text=True, check=True)
    symbols = []
    for line in run.stdout.splitlines():
        match = re.match(r"^[0-9a-f]{8,16} (.) (.*)$", line)
        if match and match.group(1) in DEFINED_WEAK:
            symbols.append(match.group(2))
    return symbols


def main() -> int:
    parser = argparse.ArgumentParser(description="Find weak symbols in objects compiled for an instruction set.")
    parser.add_argument("folder", type=Path, help="a build folder (optimised, without sanitizers)")
    parser.add_argument("--objects-min", type=int, default=1, help="fail when fewer such objects are found")
    arguments = parser.parse_args()
    objects = sorted(p for p in arguments.folder.rglob("*.o") if ISA_OBJECT.search(p.name))
    failed = False
    for path in objects:
        for symbol in weak_symbols(path):
            failed = True
            print(f"{path}: weak symbol: {symbol}", file=sys.stderr)
    if len(objects) < arguments.objects_min:
        failed = True
        print(f"weak_symbols: {arguments.folder} holds {len(objects)} such objects, expected "
              f"{arguments.objects_min} or more", file=sys.stderr)
    if not failed:
        print(f"weak_symbols: none in {len(objects)} objects")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

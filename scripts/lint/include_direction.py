#!/usr/bin/env python3
"""Checks that the rooms include only what docs/architecture.md lets them include.

Three rules:
- a room's sources include the rooms that the table of docs/architecture.md lists for it; its tests and benchmarks also
  what those rooms may include in turn; its CMakeLists.txt links nothing else (as far as it goes by batchwright_room);
- a third party is included only where THIRD_PARTIES says;
- headers of vector instructions stand only in files that are compiled for one instruction set, or behind
  base-line x86-64 (SSE2) names.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TABLE_ROW = re.compile(r"^\| `([a-z_]+)` \|.*\| ([^|]*) \|$")
INCLUDE = re.compile(r'^\s*#\s*include\s+(["<])([^">]+)[">]')
ISA_FILE = re.compile(r"_(avx2|avxvnni|avx512|vnni|amx)(_[a-z0-9_]+)?\.(cc|h|inc)$")
ISA_HEADERS = {"immintrin.h", "x86intrin.h", "avxintrin.h", "avx2intrin.h"}

# Where a header whose name begins so may be included: rooms, or "test" and "bench" for those files of any room.
THIRD_PARTIES = {
    "simdjson": {"base"},
    "xxhash": {"base"},
    "zlib": {"base"},
    "zstd": {"base"},
    "pcre2": {"text"},
    "utf8proc": {"text"},
    "CLI/": {"cli"},
    "nlohmann/": {"test"},
    "gtest/": {"test"},
    "gmock/": {"test"},
    "benchmark/": {"bench"},
}


def read_table() -> dict[str, set[str]]:
    """What each room may include, from the table in docs/architecture.md."""
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = [match for line in text.splitlines() if (match := TABLE_ROW.match(line))]
    table = {room: {name.strip(" `") for name in allowed.split(",")} for room, allowed in (m.groups() for m in rows)}
    for room, allowed in table.items():
        if "anything" in allowed:
            table[room] = set(table)
    return {room: {name for name in allowed if name in table} for room, allowed in table.items()}


def closure(table: dict[str, set[str]], room: str) -> set[str]:
    reached, todo = set(), [room]
    while todo:
        for below in table[todo.pop()]:
            if below not in reached:
                reached.add(below)
                todo.append(below)
    return reached


def kind_of(path: Path) -> str:
    if re.search(r"_test\.cc$|_test_[a-z_]+\.h$|(^|/)test(ing)?_[a-z_]+\.(h|cc)$", str(path)) or {"tests", "testing"} & set(path.parts):
        return "test"
    return "bench" if path.name.endswith("_bench.cc") else "source"


def check_third_party(header: str, room: str, kind: str) -> str | None:
    for prefix, places in THIRD_PARTIES.items():
        if header.startswith(prefix) and room not in places and kind not in places:
            return f"<{header}> belongs to {' and '.join(sorted(places))} alone"
    return None


def check_file(path: Path, room: str, table: dict[str, set[str]]) -> list[str]:
    relative = path.relative_to(ROOT)
    kind = kind_of(relative)
    allowed = {room} | (table[room] if kind == "source" else closure(table, room))
    errors = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        match = INCLUDE.match(line)
        if not match:
            continue
        quote, header = match.groups()
        first = header.split("/")[0]
        problem = check_third_party(header, room, kind)
        if header in ISA_HEADERS and not ISA_FILE.search(path.name):
            problem = f"<{header}> belongs in files that are compiled for an instruction set (*_avx2.cc, …)"
        if header.startswith("fmt/") and ISA_FILE.search(path.name):
            problem = f"<{header}> has inline functions, which this file must not export"
        if quote == '"' and "/" in header and first in table and first not in allowed:
            problem = f'"{header}": {room} may not include {first}'
        if quote == '"' and first != "batchwright" and (first not in table or "/" not in header):
            problem = f'"{header}": write the path from src/'
        if quote == '"' and not problem and not any((ROOT / base / header).is_file() for base in ("src", "include")):
            problem = f'"{header}": there is no such file'
        if problem:
            errors.append(f"{relative}:{number}: {problem}")
    return errors


def check_links(path: Path, room: str, table: dict[str, set[str]]) -> list[str]:
    match = re.search(r"batchwright_room\(.*?\bDEPS\s+([a-z_\s]+)", path.read_text(encoding="utf-8"), re.DOTALL)
    named = set(match.group(1).split()) if match else set()
    return [f"{path.relative_to(ROOT)}: {room} may not link {name}" for name in sorted(named - table[room])]


def check_public_header(path: Path) -> list[str]:
    errors = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        match = INCLUDE.match(line)
        if match and match.group(1) == '"' and not match.group(2).startswith("batchwright/"):
            errors.append(f"{path.relative_to(ROOT)}:{number}: a public header includes the standard library "
                          f"and other public headers alone")
    return errors


def main() -> int:
    table = read_table()
    if len(table) < 2:
        print("include_direction: docs/architecture.md has no table of rooms", file=sys.stderr)
        return 1
    errors, files = [], 0
    for path in sorted((ROOT / "include").rglob("*.h")):
        errors += check_public_header(path)
        files += 1
    for folder in sorted(p for p in (ROOT / "src").iterdir() if p.is_dir()):
        room = folder.name
        sources = sorted(p for p in folder.rglob("*") if p.suffix in {".h", ".cc", ".inc"})
        if room not in table:
            if sources:
                errors.append(f"src/{room}: this room is missing from the table in docs/architecture.md")
            continue
        for path in sources:
            errors += check_file(path, room, table)
            files += 1
        if (folder / "CMakeLists.txt").is_file():
            errors += check_links(folder / "CMakeLists.txt", room, table)
    if files == 0:
        errors.append("no source file was found")
    for error in errors:
        print(error, file=sys.stderr)
    if not errors:
        print(f"include_direction: {files} files keep to the table")
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""Runs clang-tidy-14 (.clang-tidy) over every source file of build/tidy, as many at a time as there are CPUs.

A file that passed is not looked at again until it, a header of this repository that it includes, its compile command or
.clang-tidy changes: build/tidy/passed holds an empty file named by the hash of all of these.
"""

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TIDY = "clang-tidy-14"
INCLUDE = re.compile(rb'^\s*#\s*include\s+"([^"]+)"', re.MULTILINE)


@lru_cache(maxsize=None)
def includes(path: Path) -> tuple[Path, ...]:
    """The files of this repository that `path` names in its includes."""
    found = []
    for name in INCLUDE.findall(path.read_bytes()):
        for base in (ROOT / "src", ROOT / "include", ROOT / "tests", path.parent):
            candidate = (base / name.decode()).resolve()
            if candidate.is_file():
                found.append(candidate)
                break
    return tuple(found)


def with_includes(path: Path) -> list[Path]:
    reached, todo = {path}, [path]
    while todo:
        for header in includes(todo.pop()):
            if header not in reached:
                reached.add(header)
                todo.append(header)
    return sorted(reached)


def key_of(path: Path, command: str, common: bytes) -> str:
    digest = hashlib.sha256(common + command.encode())
    for file in with_includes(path):
        digest.update(str(file.relative_to(ROOT)).encode() + b"\0" + hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def check(path: Path, build: Path) -> tuple[bool, str, float]:
    began = time.monotonic()
    run = subprocess.run([TIDY, "-p", str(build), "--quiet", str(path)], capture_output=True, text=True, check=False)
    ok = run.returncode == 0
    return ok, run.stdout.strip() + ("" if ok else "\n" + run.stderr.strip()), time.monotonic() - began


def main() -> int:
    parser = argparse.ArgumentParser(description="Run clang-tidy over the sources that changed.")
    parser.add_argument("--build", type=Path, default=ROOT / "build" / "tidy", help="a folder with compile_commands.json")
    parser.add_argument("--slowest", type=int, default=0, help="print the files that took longest")
    parser.add_argument("only", nargs="*", help="check only files whose path contains one of these")
    arguments = parser.parse_args()
    if not shutil.which(TIDY):
        print(f"clang_tidy: {TIDY} is missing: scripts/setup lint", file=sys.stderr)
        return 1

    version = subprocess.run([TIDY, "--version"], capture_output=True, check=True).stdout
    common = version + (ROOT / ".clang-tidy").read_bytes()
    passed = arguments.build / "passed"
    passed.mkdir(parents=True, exist_ok=True)
    todo, kept, used = {}, 0, set()
    for entry in json.loads((arguments.build / "compile_commands.json").read_text(encoding="utf-8")):
        path = Path(entry["file"]).resolve()
        # The little C there is defines libc's own functions, with libc's own names.
        if not path.is_relative_to(ROOT) or not path.is_file() or path.suffix != ".cc":
            continue
        if arguments.only and not any(part in str(path) for part in arguments.only):
            continue
        key = key_of(path, entry["command"], common)
        used.add(key)
        if (passed / key).exists():
            kept += 1
        else:
            todo[path] = key
    if not arguments.only:
        for old in passed.iterdir():
            if old.name not in used:
                old.unlink()

    # Large files first, so that none of them starts last.
    order = sorted(todo, key=lambda path: -path.stat().st_size)
    failed, times = 0, []
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        for path, (ok, output, seconds) in zip(order, pool.map(lambda p: check(p, arguments.build), order)):
            times.append((seconds, path))
            if ok:
                (passed / todo[path]).touch()
            else:
                failed += 1
                print(f"\n{path.relative_to(ROOT)}:\n{output}", file=sys.stderr, flush=True)
    for seconds, path in sorted(times, reverse=True)[: arguments.slowest]:
        print(f"  {seconds:6.1f} s  {path.relative_to(ROOT)}")
    print(f"clang_tidy: {len(order)} files checked, {kept} unchanged since they passed, {failed} failed")
    if not order and not kept:
        print("clang_tidy: no file was found", file=sys.stderr)
        return 1
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""fault_shim_test.py TARGET: every kind of fault strikes where it should, and nowhere else (fault_target.c)."""

import errno
import pathlib
import sys
import tempfile

import fault
from fault import Fault

target = sys.argv[1]
THREADS = 4  # of fault_target
STEPS = ("open", "flock", "write", "write", "write", "read", "read", "sync", "sync", "truncate", "rename", "open",
         "sync", "close", "close", "open", "close", "unlink")


def run(spec=None, *arguments):
    """The exit code, the lines told, the files left, and what the shim counted."""
    with tempfile.TemporaryDirectory(prefix="batchwright-test-") as name:
        folder = pathlib.Path(name)
        done = fault.run([target, folder, *arguments], folder=folder, fault=spec)
        lines = [tuple(int(part) if part.lstrip("-").isdigit() else part for part in line.split())
                 for line in done.stdout.decode().splitlines()]
        return done, lines, {path.name: path.read_bytes() for path in folder.iterdir()}


def check(condition, *what):
    assert condition, what


# Nothing planned: all is counted, nothing happens.
done, good, files = run()
check(done.returncode == 0 and done.struck == 0, done)
check(tuple(line[0] for line in good) == STEPS, good)
check(all(error == 0 for _, _, error in good), good)
check(files == {"b": b"0123456789ab"}, files)
check(done.counts == {kind: STEPS.count(kind) for kind in fault.KINDS}, done.counts)
whole = b"0123456789abcdefghijxyzXYZ"

# Each call of each kind.
for kind in fault.KINDS:
    places = [i for i, step in enumerate(STEPS) if step == kind]
    for k, place in enumerate(places, 1):
        spec = Fault(kind, at=k, do="kill-before")
        done, lines, files = run(spec)
        check(done.returncode == fault.KILLED and done.struck == 1 and lines == good[:place], spec, done, lines)
        check(done.counts[kind] == k, spec, done.counts)
        spec = Fault(kind, at=k, do="kill-after")
        done, lines, after = run(spec)
        check(done.returncode == fault.KILLED and done.struck == 1 and lines == good[:place], spec, done, lines)
        changes = kind in ("write", "truncate", "rename", "unlink") or place in (0, 15)
        check((files != after) == changes, spec, files, after)
        for name in ("EIO", "ENOSPC", "EINTR", "EDQUOT"):
            spec = Fault(kind, at=k, do="error", error=name)
            done, lines, _ = run(spec)
            check(done.returncode == 0 and done.struck == 1, spec, done)
            check(lines[place] == (kind, -1, getattr(errno, name)), spec, lines)
            check([line for line in lines[:place] if line[2] != 0] == [], spec, lines)
        spec = Fault(kind, at=k, do="error", lasts="ever")
        done, lines, _ = run(spec)
        struck = [i for i, line in enumerate(lines) if line == (kind, -1, errno.EIO)]
        check(struck[0] == place and done.struck >= len(struck) > 0, spec, lines)
        # What follows a failed open works on no file, which is not counted.
        check(kind == "open" or struck == places[k - 1:], spec, lines)

# Parts of writes and reads.
for k, (size, left) in enumerate([(5, whole[:5]), (15, whole[:15]), (23, whole[:23])], 1):
    _, _, files = run(Fault("write", at=k, do="kill-half"))
    check(files == {"a": left}, k, files)
    done, lines, _ = run(Fault("write", at=k, do="short"))
    half = good[1 + k][1] // 2
    check(lines[1 + k] == ("write", half, 0) and done.struck == 1, lines)
    _, lines, files = run(Fault("write", at=k, do="short", lasts="ever"))
    check([line[1] for line in lines[2:5]] == [10] * (k - 1) + [5] * (3 - k) + [3] * (k <= 3), lines)
_, lines, _ = run(Fault("read", at=2, do="short"))
check([line[1] for line in lines[5:7]] == [10, 2], lines)
_, lines, _ = run(Fault("write", at=1, do="full", lasts="ever"))
check(lines[2:5] == [("write", 5, 0)] + [("write", -1, errno.ENOSPC)] * 2, lines)
_, lines, _ = run(Fault("write", at=1, do="full"))
check(lines[2:5] == [("write", 5, 0), ("write", -1, errno.ENOSPC), ("write", 6, 0)], lines)

# Any kind; parts of paths.
done, lines, _ = run(Fault(at=7, do="kill-before"))
check(lines == good[:6] and done.struck == 1, lines)
done, lines, _ = run(Fault("close", path="/c", do="error"))
check([i for i, line in enumerate(lines) if line[2] != 0] == [16], lines)
done, lines, _ = run(Fault("rename", path="/b", do="error"))
check(lines[10] == ("rename", -1, errno.EIO), lines)
done, lines, _ = run(Fault("write", path="/b", do="error"))
check(lines == good and done.struck == 0, lines)
done, lines, _ = run(Fault("write", path="batchwright", do="error"))
check(lines == good and done.struck == 0, lines)

# Threads: each call counts once.
done, lines, files = run(Fault("write", at=500, do="error"), "threads")
check(done.counts["write"] == 1000 and done.struck == 1 and lines == [(1,)], done, lines)
check(len(files["many"]) == 999, files)
done, _, files = run(Fault("write", at=500, do="kill-before"), "threads")
# One a thread may have been counted before and not have written yet.
check(done.returncode == fault.KILLED and 499 - THREADS < len(files["many"]) < 1000, done, len(files["many"]))

# A spec with a mistake never passes as a fault that did not strike.
for spec in ("call=wirte,do=error", "at=0,do=error", "do=nothing", "at=3", "do=error,error=EFOO", "do"):
    done, _, _ = run(spec)
    check(done.returncode == 99, spec, done)

print("every fault struck")

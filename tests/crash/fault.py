"""Running a program that is killed at, or fails in, the k-th of its calls on files: fault_shim.c from Python.

    done = fault.run([binary, "run", ...], folder=folder, fault=fault.Fault("write", at=17, do="kill-half"))
    done.returncode, done.stderr, done.struck, done.counts["write"]

    for k in range(1, fault.count([binary, "run", ...], folder=folder)["sync"] + 1): ...

Only calls on files below the folder count, so models and libraries lie elsewhere. The library's path is in
BATCHWRIGHT_FAULT_SHIM, where CMake sets it for the tests.
"""

import dataclasses
import os
import pathlib
import subprocess
import tempfile

KINDS = ("open", "write", "read", "sync", "truncate", "rename", "unlink", "close", "flock")
KILLED = -9


@dataclasses.dataclass(frozen=True)
class Fault:
    """fault_shim.c says what the fields may hold."""

    call: str = "any"
    at: int = 1
    do: str = "error"
    error: str = ""
    lasts: str = "once"
    path: str = ""

    def __str__(self):
        fields = dataclasses.asdict(self)
        return ",".join(f"{key}={value}" for key, value in fields.items() if value != "")


def environment(folder, fault=None, counts=None, shim=None):
    """The environment of a process that runs under the shim, for tests that start it themselves (subprocess.Popen)."""
    result = dict(os.environ)
    result["LD_PRELOAD"] = str(shim or os.environ["BATCHWRIGHT_FAULT_SHIM"])
    result["BATCHWRIGHT_FAULT_FOLDER"] = str(folder)
    result["ASAN_OPTIONS"] = ":".join(filter(None, [os.environ.get("ASAN_OPTIONS"), "verify_asan_link_order=0"]))
    result.pop("BATCHWRIGHT_FAULT", None)
    result.pop("BATCHWRIGHT_FAULT_COUNTS", None)
    if fault is not None:
        result["BATCHWRIGHT_FAULT"] = str(fault)
    if counts is not None:
        result["BATCHWRIGHT_FAULT_COUNTS"] = str(counts)
    return result


def run(command, *, folder, fault=None, shim=None, timeout=120, **options):
    """subprocess.run's result (output captured as bytes, no check of the exit code), with two more fields: struck, how
    often the fault happened, and counts, how many calls of each kind there were. Both are None where the process ended
    without writing them: killed by somebody else, or through _exit."""
    with tempfile.TemporaryDirectory(prefix="batchwright-fault-") as own:
        counts = pathlib.Path(own) / "counts"
        options.setdefault("capture_output", True)
        done = subprocess.run([str(part) for part in command], env=environment(folder, fault, counts, shim),
                              timeout=timeout, check=False, **options)
        done.struck = done.counts = None
        if counts.exists():
            numbers = {key: int(value) for key, value in map(str.split, counts.read_text().splitlines())}
            done.struck = numbers.pop("struck")
            done.counts = numbers
    return done


def count(command, *, folder, **options):
    """How many calls of each kind the program makes when nothing fails; an error where it does not end well."""
    done = run(command, folder=folder, **options)
    if done.returncode != 0 or done.counts is None:
        raise RuntimeError(f"{command}: exit code {done.returncode}: {done.stderr!r}")
    return done.counts

#!/usr/bin/env python3
"""memory.py BINARY MODEL: --memory bounds the whole process - by its own account, and under a cgroup's limit where the
machine lets one be made - and what does not fit is refused at the start."""

import contextlib
import os
import pathlib
import re
import subprocess
import sys

from program import Program, compare

MIB = 1 << 20
program = Program(sys.argv[1])
models = [sys.argv[2]]
if os.environ.get("BATCHWRIGHT_TEST_MODELS"):
    models += sorted(map(str, pathlib.Path(os.environ["BATCHWRIGHT_TEST_MODELS"]).glob("*.gguf")))
OPTIONS = ["--context-length", 512, "--threads", 2, "--ordered"]

words = "the game library of a free public license is for reading and writing files "
job = program.write("job.jsonl", [{"custom_id": f"r{i}", "prompt": words * (1 + i % 9) + str(i), "max_tokens": 8 + i % 9,
                                   "temperature": i % 2, "ignore_eos": True} for i in range(60)])


def enough_for(model):
    """What the refusal of a limit that is much too small says would do."""
    refused = program.call("run", job, "-m", model, "-o", program.path / "refused", "--memory", "2MiB", *OPTIONS)
    message = refused.stderr.decode()
    assert refused.returncode == 2, (refused.returncode, message)
    for part in ("--memory", "the weights", "KV cache", "--max-batch-tokens"):
        assert part in message, message
    assert not (program.path / "refused").exists() and not (program.path / "refused.journal").exists()
    needed = re.search(r"give at least ([\d.]+)MiB", message).group(1)
    return int(float(needed) * MIB)


def check_limits(model):
    enough = enough_for(model)
    expected, _, free = program.run(job, model, *OPTIONS, "--kv-memory", "64MiB")
    for limit in (enough, enough + enough // 20, enough + 16 * MIB, enough + 100 * MIB):
        got, _, report = program.run(job, model, *OPTIONS, "--memory", limit)
        compare(expected, got, f"with --memory {limit}")
        assert report["peak_memory_bytes"] <= limit, (limit, report["peak_memory_bytes"])
        assert report["kv_touched_bytes"] <= report["kv_memory_bytes"] < limit
    for kv in (free["kv_memory_bytes"] // 2, 12 * MIB + 1):
        got, _, report = program.run(job, model, *OPTIONS, "--kv-memory", kv, "--memory", enough + 2 * kv)
        compare(expected, got, f"with --kv-memory {kv}")
        assert 0 < report["kv_touched_bytes"] <= report["kv_memory_bytes"] <= kv
    return enough


class Cgroup:
    """A group below this process's own, so that only more is limited. Raises OSError where there can be none."""

    def __init__(self, limit):
        lines = [line.split(":", 2) for line in pathlib.Path("/proc/self/cgroup").read_text().splitlines()]
        parents = [(f"/sys/fs/cgroup/memory{path}", "memory.limit_in_bytes", "memory.max_usage_in_bytes")
                   for _, names, path in lines if "memory" in names.split(",")]
        parents += [(f"/sys/fs/cgroup{path}", "memory.max", "memory.peak") for _, names, path in lines if names == ""]
        for parent, limit_name, self.peak_name in parents:
            if not pathlib.Path(parent, "cgroup.procs").exists():
                continue
            self.path = pathlib.Path(parent, f"batchwright-test-{os.getpid()}")
            try:
                self.path.mkdir()
                (self.path / limit_name).write_text(str(limit))
                return
            except OSError:
                self.close()
        raise OSError("no memory cgroup can be made here")

    def close(self):
        with contextlib.suppress(OSError):
            self.path.rmdir()

    def enter(self):
        (self.path / "cgroup.procs").write_text(str(os.getpid()))

    def killed(self):
        for name in ("memory.events", "memory.oom_control"):
            with contextlib.suppress(OSError):
                counts = dict(line.split() for line in (self.path / name).read_text().splitlines())
                return int(counts.get("oom_kill", 0))
        return 0


def run_in_group(limit, model, output):
    group = Cgroup(limit)
    try:
        done = subprocess.run([sys.argv[1], "run", job, "-m", model, "-o", output, "--overwrite",
                               *map(str, OPTIONS)],
                              preexec_fn=group.enter, capture_output=True, timeout=600, check=False)
        return done, group.killed()
    finally:
        group.close()


def check_cgroup(model, enough):
    """The limit is found without being told, and nobody is killed; one that is too small is refused."""
    expected, _, _ = program.run(job, model, *OPTIONS, "--kv-memory", "64MiB")
    output = program.path / "limited.jsonl"
    for limit in (enough + 2 * MIB, enough + 24 * MIB):
        done, killed = run_in_group(limit, model, output)
        assert done.returncode == 0 and killed == 0, (limit, killed, done.returncode, done.stderr.decode())
        compare(expected, output.read_bytes().splitlines(), f"in a group of {limit} bytes")
    done, killed = run_in_group(enough * 3 // 4, model, program.path / "refused")
    assert done.returncode == 2 and killed == 0, (killed, done.returncode, done.stderr.decode())
    assert b"cgroup" in done.stderr, done.stderr.decode()


needed = {model: check_limits(model) for model in models}
try:
    Cgroup(1 << 40).close()
except OSError as reason:
    print(f"not under a cgroup's limit: {reason}")
else:
    for one, bytes_needed in needed.items():
        check_cgroup(one, bytes_needed)
    print("ran under a cgroup's limit")

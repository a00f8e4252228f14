#!/usr/bin/env python3
"""no_memory.py BINARY MODEL: a request for memory is refused, anywhere in the program and on any thread, or all of them
from there on. The program says so and ends with an exit code; the same command then goes on, and the output has the bytes
that an undisturbed run gives it.

BATCHWRIGHT_REFUSALS is how many places are tried (default 60); BATCHWRIGHT_SEED chooses them.
"""

import os
import pathlib
import random
import subprocess
import tempfile

import jobs
from jobs import check

PLACES = int(os.environ.get("BATCHWRIGHT_REFUSALS", 60))
SEED = int(os.environ.get("BATCHWRIGHT_SEED", 1))
EVER = 1 << 60
SECONDS_MAX = 60


def run(command, fault=None, **options):
    """The run's result, with how many requests there were and how many of them were refused; None where it was killed."""
    with tempfile.TemporaryDirectory() as folder:
        counts = pathlib.Path(folder) / "counts"
        environment = jobs.environment() | {"LD_PRELOAD": os.environ["BATCHWRIGHT_MEMORY_SHIM"],
                                            "BATCHWRIGHT_MEMORY_COUNTS": str(counts)}
        if fault:
            environment["BATCHWRIGHT_MEMORY_FAULT"] = "%d,%d" % fault
        done = subprocess.run(command, env=environment, capture_output=True, timeout=SECONDS_MAX, check=False, **options)
        done.requests = done.refused = None
        if counts.exists():
            done.requests, done.refused = map(int, counts.read_text().split())
        return done


def refuse(job, fault):
    """One run with the fault, one without."""
    for path in job.folder.glob(job.output.name + "*"):
        path.unlink()
    done = run(job.command(), fault)
    message = jobs.said(done)
    check(done.returncode >= 0, "ended by signal", -done.returncode, message)
    check(done.refused is not None, "did not come to its end:", done.returncode, message)
    job.forget()
    job.check_unfinished()
    if done.refused == 0 or done.returncode == job.expected.code:
        # Nothing but speed was lost, or nothing at all.
        check(done.returncode == job.expected.code, "exit code", done.returncode, message)
        job.check_complete(done.returncode)
        return False
    check(done.returncode == jobs.EXIT_ERROR, "exit code", done.returncode, message)
    check("memory" in message, "does not say what was missing:", message)
    again = job.run()
    check(again.returncode == job.expected.code, "does not go on:", again.returncode, jobs.said(again), "after", message)
    job.forget()
    job.check_complete(again.returncode)
    return True


def test(binary, model, folder):
    rng = random.Random(SEED)
    rows = jobs.rows_of(jobs.json_rows(rng, 60))
    options = ["--ordered", "--threads", "2"]
    expected = jobs.uninterrupted(binary, model, rows, folder / "whole", options)
    (folder / "broken").mkdir()
    rows.write(folder / "broken")
    job = jobs.Job(binary, model, rows, folder / "broken" / "out.jsonl", expected, options)
    # Before main() nobody can catch anything.
    start = run([str(binary), "--version"]).requests
    whole = run(job.command()).requests
    check(start and whole and start < whole, "requests:", start, whole)
    stopped = 0
    for place in range(PLACES):
        at = rng.randrange(start + 1, whole + 1)
        fault = (at, EVER if place % 3 == 0 else 1)
        try:
            stopped += refuse(job, fault)
        except (jobs.Wrong, subprocess.TimeoutExpired) as wrong:
            raise jobs.Wrong(f"seed {SEED}, requests {fault} of {whole}: {wrong}") from None
    check(stopped > PLACES / 4, "only", stopped, "of", PLACES, "refusals did anything")
    print(f"seed {SEED}: {stopped} of {PLACES} refusals stopped the job; {start} requests before main, {whole} in all")


jobs.main(test)

#!/usr/bin/env python3
"""kill_anywhere.py BINARY MODEL: kills the program at any time, until jobs of thousands of rows are done all the same.

BATCHWRIGHT_KILLS: how many SIGKILLs have to strike (default 200). Signals that ask it to stop, and second runs on the
same output, come between them and do not count.
"""

import os
import signal
import time

import jobs
from jobs import check

KILLS = int(os.environ.get("BATCHWRIGHT_KILLS", "200"))
# Attempts in a row without a new row, after which they get longer.
PATIENCE = 6


def variants(rng):
    """Name, rows, output, options; None: --ordered changes with each attempt."""
    mixed = jobs.json_rows(rng, 2500)
    plain = jobs.rows_of(mixed)
    return [("unordered", plain, "answers.jsonl", []),
            ("ordered", plain, "answers.jsonl", ["--ordered"]),
            ("table", jobs.table_rows(rng, 2000), "answers.csv", ["--ordered"]),
            ("compressed", jobs.rows_of(mixed, "rows.jsonl.gz"), "answers.jsonl", []),
            ("standard input", jobs.rows_of(mixed, "-"), "answers.jsonl", ["--ordered"]),
            ("changing order", plain, "answers.jsonl", None)]


class Tally:
    def __init__(self):
        self.kills = self.stops = self.seconds = self.intruders = self.jobs = self.attempts = self.resumed = 0


def settings(rng):
    """What an attempt may change."""
    options = ["--threads", rng.choice([1, 2]), "--sync-interval", rng.choice([0, 1, 5, 30, 200])]
    if rng.random() < 0.5:
        options += ["--max-batch", rng.choice([1, 3, 16])]
    return options


def wait(process, seconds):
    """Until the process has ended, or so long."""
    end = time.monotonic() + seconds
    while process.poll() is None and time.monotonic() < end:
        time.sleep(min(0.001, max(0, end - time.monotonic())))


def intrude(rng, job, process, size_before, tally):
    """A second run beside one that holds the lock is refused. Does nothing where the first ends too early."""
    end = time.monotonic() + 30
    while process.poll() is None and time.monotonic() < end:
        # The first run has written to the journal in this attempt: it is its.
        data = job.read(".journal")
        if data is not None and len(data) > size_before + 16:
            break
        time.sleep(0.001)
    if process.poll() is not None:
        return
    second = job.run(*rng.choice([[], ["--resume"], ["--overwrite"]]))
    if second.returncode != jobs.EXIT_USAGE:
        # The first may have given up its lock already, and only have to end.
        wait(process, 5)
    if process.poll() is not None:
        # Then it may have come after the first, and replaced it.
        job.forget()
        return
    check(second.returncode == jobs.EXIT_USAGE, "a second run:", second.returncode, jobs.said(second))
    check("another process" in jobs.said(second), jobs.said(second))
    tally.intruders += 1


def disturb(rng, process, delay, tally):
    """Stops the process in one of several ways; whether it was killed."""
    wait(process, delay)
    way = rng.choice(["kill"] * 8 + ["term", "int", "twice"])
    if process.poll() is not None:
        return
    if way == "kill":
        process.kill()
        return
    process.send_signal(signal.SIGTERM if way == "term" else signal.SIGINT)
    tally.stops += 1
    if way == "twice":
        wait(process, rng.uniform(0, 0.02))
        if process.poll() is None:
            process.send_signal(signal.SIGINT)


def run_to_the_end(rng, job, duration, order_changes, tally, wanted):
    """Attempts until the job is complete; the last ones are left in peace when enough kills have struck."""
    idle, rows = 0, 0
    while True:
        order = ["--ordered"] if order_changes and rng.random() < 0.5 else []
        before = len(job.read(".journal") or b"")
        process = job.start(*settings(rng), *order)
        in_peace = tally.kills >= wanted
        if not in_peace:
            if rng.random() < 0.06:
                intrude(rng, job, process, before, tally)
            disturb(rng, process, duration * rng.uniform(0, rng.choice([0.1, 0.2, 0.5])) * (1 + idle // PATIENCE), tally)
        try:
            _, stderr = process.communicate(timeout=300)
        except Exception:
            process.kill()
            raise jobs.Wrong("does not end") from None
        code, message = process.returncode, stderr.decode(errors="replace")
        tally.attempts += 1
        if code == -signal.SIGKILL:
            tally.kills += 1
        elif code in (jobs.EXIT_INTERRUPTED, jobs.EXIT_KILLED, -signal.SIGTERM, -signal.SIGINT):
            check(not in_peace, "nobody stopped it:", code, message)
        else:
            check(code == job.expected.code, "exit code", code, message)
            job.check_complete(code)
            if "this job is complete" not in message:
                report = job.report()
                check(report["rows_resumed"] == rows or not rows, "resumed", report["rows_resumed"], "of", rows)
                check(report["rows_resumed"] > 0 or not rows, "no row was resumed")
                check(report["rows_ok"] == job.expected.ok and report["rows_failed"] == job.expected.failed, report)
                tally.resumed += report["rows_resumed"]
            return
        job.check_unfinished()
        idle = idle + 1 if len(job.journal.rows) == rows else 0
        rows = len(job.journal.rows)


def test(binary, model, folder):
    rng = jobs.seeded()
    tally = Tally()
    begin = time.monotonic()
    prepared = []
    for number, (name, rows, output, options) in enumerate(variants(rng)):
        place = folder / str(number)
        expected = jobs.uninterrupted(binary, model, rows, folder / f"{number}-whole")
        job = jobs.Job(binary, model, rows, place / output, expected, options or [])
        place.mkdir()
        rows.write(place)
        start = time.monotonic()
        done = job.run()
        duration = time.monotonic() - start
        job.check_complete(done.returncode)
        prepared.append((name, job, duration, options is None))
    while tally.kills < KILLS:
        for name, job, duration, order_changes in prepared:
            for file in job.folder.iterdir():
                if file.name.startswith(job.output.name):
                    file.unlink()
            job.forget()
            struck = tally.kills
            try:
                run_to_the_end(rng, job, duration, order_changes, tally, KILLS)
            except jobs.Wrong as wrong:
                raise jobs.Wrong(f"{name}, after {tally.kills} kills: {wrong}") from None
            tally.jobs += 1
            if struck >= KILLS:
                break
    print(f"{tally.kills} kills, {tally.stops} signals to stop and {tally.intruders} second runs in {tally.attempts} "
          f"attempts at {tally.jobs} jobs, {tally.resumed} rows resumed at the last: {time.monotonic() - begin:.0f} s")


jobs.main(test)

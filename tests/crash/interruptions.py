#!/usr/bin/env python3
"""interruptions.py BINARY MODEL: what a job does that is interrupted, by signals, a second run, or a disk that is full."""

import json
import re
import shutil
import signal
import subprocess
import time

import cases
import jobs
from cases import Skip, case, complete, refused
from jobs import EXIT_INTERRUPTED, EXIT_IO, EXIT_KILLED, EXIT_NO_FILE, EXIT_USAGE, check


def wait_for_rows(job, process, rows=20):
    """Until that many rows more are in the journal than there were; the process must be running then."""
    begin = len(job.read(".journal") or b"")
    end = time.monotonic() + 60
    while len(job.read(".journal") or b"") < begin + 1500 + 58 * rows:
        check(process.poll() is None and time.monotonic() < end, "ended before anybody stopped it:", process.poll())
        time.sleep(0.002)


def stopped(job, *signals, extra=(), between=0.005, **options):
    """A run that gets these signals when some rows are reported; its exit code and what it said."""
    process = job.start("--sync-interval", "5", *extra, **options)
    wait_for_rows(job, process)
    for number in signals:
        process.send_signal(number)
        time.sleep(between)
    _, stderr = process.communicate(timeout=60)
    job.check_unfinished()
    return process.returncode, stderr.decode()


# --- Signals ---------------------------------------------------------------------------------------------------------


@case
def ctrl_c_once_prints_the_command_that_goes_on(place):
    folder = place.folder / "it's \"my\" folder; $HOME `date`"
    folder.mkdir()
    shutil.copy(place.model, folder / "the model.gguf")
    rows = jobs.rows_of(jobs.json_rows(place.rng, 6000), "the rows.jsonl")
    job = place.job(rows=rows, folder=folder, options=["--stop", "a 'quoted' \\ stop", "--ordered"],
                    output="answers, 'all'.jsonl")
    job.model = folder / "the model.gguf"
    code, message = stopped(job, signal.SIGINT)
    check(code == EXIT_INTERRUPTED, "exit code", code, message)
    check(job.report()["outcome"] == "interrupted", job.report())
    command = re.search("^to go on: (.*)$", message, re.MULTILINE)
    check(command, "no command:", message)
    done = subprocess.run(["sh", "-c", command[1]], capture_output=True, env=jobs.environment(), check=False)
    check("going on: " in jobs.said(done), command[1], jobs.said(done))
    job.check_complete(done.returncode)
    check(job.report()["rows_resumed"] > 0, job.report())


@case
def ctrl_c_twice_ends_at_once(place):
    # Rows that take a while, so that draining does.
    lines = [json.dumps({"custom_id": str(i), "prompt": "the", "max_tokens": 240 if i > 100 else 1,
                         "ignore_eos": True}).encode() for i in range(600)]
    job = place.job(rows=jobs.rows_of(lines))
    killed = 0
    for _ in range(3):
        begin = time.monotonic()
        process = job.start("--sync-interval", "5", "--max-batch", "16")
        while len(job.journal.rows) < 50 or time.monotonic() < begin + 0.1:
            check(process.poll() is None, "ended by itself", process.poll())
            time.sleep(0.002)
            job.check_unfinished()
        process.send_signal(signal.SIGINT)
        time.sleep(0.002)
        process.send_signal(signal.SIGINT)
        begin = time.monotonic()
        _, stderr = process.communicate(timeout=60)
        check(process.returncode in (EXIT_KILLED, EXIT_INTERRUPTED), process.returncode, stderr.decode())
        killed += process.returncode == EXIT_KILLED
        if process.returncode == EXIT_KILLED:
            check(time.monotonic() - begin < 5, "took", time.monotonic() - begin)
        job.check_unfinished()
    check(killed > 0, "the second Ctrl-C never ended the program")
    complete(job)
    check(job.report()["rows_resumed"] > 0, job.report())


@case
def sigterm_and_sighup_stop_it(place):
    job = place.long_job()
    for number in (signal.SIGTERM, signal.SIGHUP):
        code, message = stopped(job, number)
        check(code == EXIT_INTERRUPTED and "to go on: " in message, number, code, message)
    done = complete(job)
    check("going on: " in jobs.said(done), jobs.said(done))


@case
def nohup_is_respected(place):
    job = place.long_job()
    ignore = lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)
    code, message = stopped(job, signal.SIGHUP, signal.SIGHUP, preexec_fn=ignore)
    job.check_complete(code)


@case
def a_reader_that_goes_away(place):
    job = place.long_job()
    command = job.command()
    command[command.index("-o") + 1] = "-"
    begin = time.monotonic()
    writer = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=jobs.environment())
    reader = subprocess.Popen(["head", "-n", "1"], stdin=writer.stdout, stdout=subprocess.PIPE)
    writer.stdout.close()
    line, _ = reader.communicate(timeout=60)
    stderr = writer.stderr.read().decode()
    writer.wait(timeout=60)
    check(line in job.expected.answers.splitlines(True) + job.expected.errors.splitlines(True), "wrote", line)
    check(time.monotonic() - begin < 20, "took", time.monotonic() - begin, "s")
    check(writer.returncode in (EXIT_IO, -signal.SIGPIPE), "exit code", writer.returncode, stderr)
    for word in ("internal", "terminate called", "Traceback"):
        check(word not in stderr, stderr)


@case
def standard_input_may_be_interrupted_while_it_is_read(place):
    rows = jobs.rows_of(jobs.json_rows(place.rng, 20), "-")
    job = place.job(rows=rows)
    process = job.start(stdin=subprocess.PIPE)
    process.stdin.write(rows.data[:1000])
    process.stdin.flush()
    end = time.monotonic() + 30
    while not job.path(".input").exists() and time.monotonic() < end:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=20)
    check(process.returncode == EXIT_INTERRUPTED, process.returncode, stderr.decode())
    check(not job.files(), "a job that never began leaves", list(job.files()))
    complete(job)


# --- Two runs --------------------------------------------------------------------------------------------------------


@case
def two_runs_at_once(place):
    job = place.long_job(options=["--ordered"])
    first = job.start("--sync-interval", "5")
    wait_for_rows(job, first)
    for extra in ([], ["--resume"], ["--restart"], ["--overwrite"], ["--retry-failed"], ["--limit", "5"]):
        if first.poll() is None:
            second = job.run(*extra)
        if first.poll() is None and len(job.read(".journal")) < 58 * job.rows.count:
            check(second.returncode == EXIT_USAGE, extra, second.returncode, jobs.said(second))
            check("another process" in jobs.said(second), jobs.said(second))
    first.communicate(timeout=60)
    job.check_complete(first.returncode)


# --- Disks -----------------------------------------------------------------------------------------------------------


def mounted(place, size):
    """A small file system of its own, which needs the right to mount."""
    folder = place.folder / "disk"
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], capture_output=True, check=False)
    if done.returncode != 0:
        folder.rmdir()
        raise Skip("no right to mount")
    return folder


@case
def a_full_disk(place):
    folder = mounted(place, "1M")
    try:
        for name, count in (("rows.jsonl", 3000), ("rows.jsonl.gz", 3000)):
            for options in ([], ["--ordered"]):
                # Its results need about 1.5 MB; ordered ones twice that.
                rows = jobs.rows_of(jobs.json_rows(place.rng, count), name)
                job = place.job(rows=rows, options=options, output="elsewhere")
                (folder / name).symlink_to(place.folder / name)
                job.output, job.folder = folder / "answers.jsonl", folder
                job.forget()
                subprocess.run(["mount", "-o", "remount,size=1M", folder], check=True)
                done = job.run()
                check(done.returncode == EXIT_IO, done.returncode, jobs.said(done))
                check(str(folder) in jobs.said(done) and "No space" in jobs.said(done), jobs.said(done))
                job.check_unfinished()
                # It does not help to try again.
                done = job.run()
                check(done.returncode == EXIT_IO, done.returncode, jobs.said(done))
                job.check_unfinished()
                rows_done = len(job.journal.rows)
                subprocess.run(["mount", "-o", "remount,size=16M", folder], check=True)
                done = complete(job)
                if rows_done:
                    check(job.report()["rows_resumed"] == rows_done, job.report())
                check(rows_done > 0 or name.endswith("gz"), "nothing was reported before the disk was full")
                for path in folder.iterdir():
                    path.unlink()
    finally:
        subprocess.run(["umount", folder], check=False)


@case
def a_folder_that_cannot_be_written(place):
    folder = mounted(place, "4M")
    try:
        job = place.job(folder=folder)
        subprocess.run(["mount", "-o", "remount,ro", folder], check=True)
        refused(job, EXIT_IO, [str(folder), "Read-only"])
        check(not job.files(), list(job.files()))
        subprocess.run(["mount", "-o", "remount,rw", folder], check=True)
        complete(job)
    finally:
        subprocess.run(["umount", folder], check=False)


@case
def an_output_that_cannot_be(place):
    job = place.job()
    job.path().mkdir()
    done = job.run("--overwrite")
    check(done.returncode == EXIT_USAGE and str(job.output) in jobs.said(done), done.returncode, jobs.said(done))
    job.path().rmdir()
    job.output = place.folder / "no such folder" / "answers.jsonl"
    done = job.run()
    check(done.returncode == EXIT_NO_FILE and "no such folder" in jobs.said(done), done.returncode, jobs.said(done))


jobs.main(cases.test)

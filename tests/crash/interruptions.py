#!/usr/bin/env python3
"""interruptions.py BINARY MODEL OTHER_MODEL: what people do to a job, and what it then says and does: signals, a second
run, changed options, a full disk, damaged files. BATCHWRIGHT_CASE names a single case."""

import concurrent.futures
import itertools
import json
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import time
import traceback

import fault
import jobs
from jobs import EXIT_BAD_INPUT, EXIT_INTERRUPTED, EXIT_IO, EXIT_KILLED, EXIT_NO_FILE, EXIT_OK, EXIT_USAGE, check

CASES = []


def case(function):
    CASES.append(function)
    return function


class Skip(Exception):
    pass


class Place:
    """A folder, the models, and a random generator of a case's own."""

    def __init__(self, binary, model, other_model, folder, name, seed):
        self.binary, self.model, self.other_model = binary, model, other_model
        self.folder = folder / name
        self.folder.mkdir()
        self.name = name
        self.rng = jobs.random.Random(f"{seed} {name}")

    def job(self, count=40, options=(), rows=None, folder=None, failing=0.1, output="answers.jsonl"):
        """A job of so many rows, with what it must give."""
        rows = rows or jobs.rows_of(jobs.json_rows(self.rng, count, failing))
        # --ordered says nothing about the bytes.
        plain = [option for option in options if option != "--ordered"]
        expected = jobs.uninterrupted(self.binary, self.model, rows, self.folder / "whole", plain)
        folder = folder or self.folder
        rows.write(folder)
        return jobs.Job(self.binary, self.model, rows, folder / output, expected, options)

    def long_job(self, **options):
        """One that runs for a second or so."""
        return self.job(count=6000, **options)


def complete(job, *extra):
    done = job.run(*extra)
    check(done.returncode == job.expected.code, "exit code", done.returncode, jobs.said(done))
    job.check_complete(done.returncode)
    return done


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


def half_done(job, *extra):
    """Some rows are reported, and behind them stand pieces of others."""
    # The header, the attempt, and then rows, mostly one a write.
    for at in itertools.count(4 + job.rows.count // 5, 3):
        for name in job.files():
            (job.folder / name).unlink()
        fault.run(job.command("--sync-interval", "0", "--max-batch", "1", *extra), folder=job.folder, stdin=job.stdin(),
                  fault=fault.Fault("write", at=at, path=".journal", do="kill-half"))
        job.forget()
        job.check_unfinished()
        check(not job.journal.is_complete, "was never half-done")
        if job.rows.count // 3 < len(job.journal.rows):
            return


def state(job):
    """All that touching a file changes."""
    result = {}
    for path in job.folder.iterdir():
        if path.name.startswith(job.output.name):
            info = path.stat()
            result[path.name] = (path.read_bytes(), info.st_mtime_ns, info.st_ino)
    return result


def refused(job, code, words, *extra):
    """A run that ends with that exit code, says these words, and touches nothing."""
    before = state(job)
    done = job.run(*extra)
    message = jobs.said(done)
    codes = code if isinstance(code, tuple) else (code,)
    check(done.returncode in codes, extra, "exit code", done.returncode, message)
    for word in [words] if isinstance(words, str) else words:
        check(word in message, extra, "does not say", repr(word), ":", message)
    after = state(job)
    check(before == after, extra, "touched", [name for name in {**before, **after} if before.get(name) != after.get(name)])
    return message


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


# --- The same job, or another ----------------------------------------------------------------------------------------


@case
def what_must_not_change(place):
    job = place.job(count=60, options=["--date", "2026-01-31", "--limit-n", "5"])
    half_done(job)
    template = place.folder / "template"
    template.write_text("{{ messages[0]['content'] }}")
    changes = [(["--temperature", "0.5"], ["--temperature was 1", "is now 0.5"]), (["--seed", "1"], "--seed"),
               (["--max-tokens", "9"], "--max-tokens"), (["--top-p", "0.5"], "--top-p"), (["--top-k", "5"], "--top-k"),
               (["--stop", "x"], "--stop"), (["--chat-template", template], "--chat-template"),
               (["--created"], "--created"), (["--limit-messages", "2"], "--limit-messages"),
               (["--input-format", "csv", "--prompt", "x"], ["--input-format", "--prompt"]),
               (["--limit-stop-bytes", "9", "--seed", "3"], ["--limit-stop-bytes", "--seed"])]
    for extra, words in changes:
        refused(job, EXIT_USAGE, words, *extra)
        refused(job, EXIT_USAGE, words, "--resume", *extra)
    for was, is_now, word in (("2026-01-31", "2026-02-01", "--date"), ("5", "6", "--limit-n"),
                              ("256", "512", "--context-length")):
        changed = jobs.Job(place.binary, place.model, job.rows, job.output, job.expected, job.options)
        original = changed.command
        changed.command = lambda *more: [is_now if part == was else part for part in original(*more)]
        refused(changed, EXIT_USAGE, [word, was, is_now])

    job.model = place.other_model
    refused(job, EXIT_USAGE, ["the model was", str(place.model), str(place.other_model)])
    job.model = place.model
    # A file of another name with the same model is the same.
    copy = place.folder / "copy.gguf"
    shutil.copy(place.model, copy)

    path = job.folder / job.rows.name
    lines = job.rows.data.splitlines(True)
    for changed, words in ((lines[:-1], "rows"), (lines + [b'{"prompt": "one more"}\n'], "rows"),
                           ([lines[1], lines[0], *lines[2:]], "rows"),
                           ([*lines[:30], lines[30].replace(b"max_tokens", b"max_tokenz", 1), *lines[31:]], "rows")):
        path.write_bytes(b"".join(changed))
        # Whether it is the index that tells, or the rows' own hash.
        for index in (True, False):
            aside = place.folder / "index"
            if not index:
                job.path(".index").rename(aside)
            refused(job, EXIT_USAGE, words)
            if not index:
                aside.rename(job.path(".index"))
    path.unlink()
    refused(job, EXIT_NO_FILE, str(path))
    path.write_bytes(job.rows.data)
    job.model = copy
    complete(job)


@case
def another_numerics_version_is_another_job(place):
    job = place.job()
    half_done(job)
    journal = job.path(".journal").read_bytes()
    length, _, kind = jobs.FRAME.unpack_from(journal, 16)
    payload = journal[16 + jobs.FRAME.size :][:length]
    parameters = json.loads(payload[8:])
    parameters["numerics_version"] += 1
    changed = payload[:8] + json.dumps(parameters).encode()
    frame = jobs.FRAME.pack(len(changed), jobs.crc32c(bytes([kind]) + changed), kind)
    job.path(".journal").write_bytes(journal[:16] + frame + changed + journal[16 + jobs.FRAME.size + length :])
    refused(job, EXIT_USAGE, "numerics version")
    job.path(".journal").write_bytes(journal)
    complete(job)


@case
def what_may_change(place):
    for extra in (["--threads", "1"], ["--threads", "2"], ["--isa", "scalar"], ["--max-batch", "3"], ["--no-share"],
                  ["--max-batch-tokens", "16"], ["--sync-interval", "0"], ["--ordered"], ["--quiet"], ["--json"]):
        job = place.job(output="answers" + "".join(extra) + ".jsonl")
        half_done(job)
        rows = len(job.journal.rows)
        complete(job, *extra)
        check(job.report()["rows_resumed"] == rows > 0, extra, job.report())
    job = place.job()
    half_done(job)
    original = job.command
    job.command = lambda *more: ["40MiB" if part == "32MiB" else part for part in original(*more)]
    complete(job)


@case
def the_limit_may_be_raised(place):
    rows = jobs.rows_of(jobs.json_rows(place.rng, 40, 0.2))
    whole = place.job(rows=rows)
    for ordered in ([], ["--ordered"]):
        job = place.job(rows=rows, options=ordered, output="limited" + "".join(ordered))
        for limit, resumed in ((10, 0), (25, 10)):
            done = job.run("--limit", limit)
            check(done.returncode in (0, 3), limit, done.returncode, jobs.said(done))
            ids = sum(jobs.ids_of(rows, job.read(""), job.read(".errors.jsonl") or b""), [])
            check(sorted(map(str, ids)) == sorted(map(str, rows.ids[:limit])), limit, ids)
            check(job.report()["rows_resumed"] == resumed, limit, job.report())
            message = refused(job, done.returncode, "this job is complete", "--limit", limit - 5)
            check(f"{job.report()['rows_ok']} ok" in message, message)
        job.forget()
        complete(job)
        check(job.report()["rows_resumed"] == 25, job.report())
        refused(job, job.expected.code, "this job is complete", "--limit", 7)
    del whole


@case
def a_finished_job_is_left_alone(place):
    for failing, code in ((0, EXIT_OK), (0.3, 3)):
        for options in ([], ["--ordered"]):
            job = place.job(failing=failing, options=options, output=f"{failing}{len(options)}.jsonl")
            check(job.expected.code == code, job.expected.code)
            complete(job)
            for extra in ([], ["--resume"], ["--threads", "1"], ["--ordered"]):
                refused(job, code, "this job is complete", *extra)
            refused(job, EXIT_USAGE, "--temperature", "--temperature", "0.1")
    place.folder.joinpath("whole", "whole.jsonl.journal").unlink()
    job = place.job(rows=jobs.rows_of(jobs.json_rows(place.rng, 10), "-"), output="piped.jsonl")
    complete(job)
    refused(job, job.expected.code, "this job is complete")


@case
def resume_needs_a_journal(place):
    job = place.job()
    refused(job, EXIT_USAGE, "--resume", "--resume")
    refused(job, EXIT_USAGE, "--retry-failed", "--retry-failed")
    check(not job.files(), "made", list(job.files()))


@case
def restart_moves_aside(place):
    job = place.job(options=["--ordered"])
    complete(job)
    first = job.files()
    for number in (1, 2):
        job.forget()
        done = job.run("--restart")
        check(done.returncode == job.expected.code, done.returncode, jobs.said(done))
        check(f"answers.jsonl.old-{number}" in jobs.said(done), jobs.said(done))
        for name, content in first.items():
            if not name.endswith((".journal", ".report.json")) or number == 1:
                check((job.folder / f"{name}.old-{number}").read_bytes() == content, name, number)
    for name in job.files():
        if ".old-" in name:
            (job.folder / name).unlink()
    job.check_complete(done.returncode)


@case
def what_is_not_ours_is_not_replaced(place):
    job = place.job()
    for end in ("", ".errors.jsonl", ".partial", ".errors.jsonl.partial", ".input"):
        job.path(end).write_bytes(b"precious\n")
        refused(job, EXIT_USAGE, [str(job.path(end)), "--overwrite"])
        refused(job, (EXIT_USAGE, EXIT_BAD_INPUT), "", "--resume")
        complete(job, "--overwrite")
        for name in job.files():
            (job.folder / name).unlink()
        job.forget()
    # A job that cannot run replaces nothing.
    job.output.write_bytes(b"precious\n")
    (job.folder / job.rows.name).write_bytes(b'{"custom_id":"a","prompt":"x"}\n' * 2)
    refused(job, EXIT_BAD_INPUT, "custom_id", "--overwrite")


@case
def overwriting_needs_a_model_that_loads(place):
    job = place.job()
    damaged = place.folder / "damaged.gguf"
    damaged.write_bytes(place.model.read_bytes()[:100_000])
    scarce = jobs.Job(place.binary, place.model, job.rows, job.output, job.expected)
    original = scarce.command
    scarce.command = lambda *more: ["1" if part == "32MiB" else part for part in original(*more)]
    for content in (b"precious\n", None):
        if content is None:
            complete(job)
        else:
            job.output.write_bytes(content)
        job.model = damaged
        refused(job, EXIT_BAD_INPUT, str(damaged), "--overwrite", "--seed", "9")
        job.model = place.model
        refused(scarce, EXIT_USAGE, "memory", "--overwrite", "--seed", "9")
        if content is not None:
            job.output.unlink()


@case
def output_without_answers(place):
    """All rows fail: X is there, and empty."""
    lines = [b'{"custom_id":"%d","prompt":7}' % i for i in range(5)]
    job = place.job(rows=jobs.rows_of(lines))
    complete(job)
    check(job.read("") == b"", job.read(""))
    refused(job, 3, "this job is complete")


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


# --- Damage ----------------------------------------------------------------------------------------------------------


def damages(data, step=97):
    """The bytes cut, and with a bit flipped, at every so many."""
    for at in range(0, len(data), step):
        yield f"cut at {at}", data[:at]
        yield f"flipped at {at}", data[:at] + bytes([data[at] ^ 1 << at % 8]) + data[at + 1 :]


def restore(job, files):
    for name in job.files():
        if files.get(name) is None:
            (job.folder / name).unlink()
    for name, content in files.items():
        (job.folder / name).write_bytes(content)
    job.forget()


def check_damaged(job, what, files):
    """The job completes with the right bytes, or is refused; then results that were complete are all there still."""
    done = job.run()
    job.forget()
    if done.returncode == job.expected.code:
        job.check_complete(done.returncode)
        return True
    message = jobs.said(done)
    check(done.returncode in (EXIT_BAD_INPUT, EXIT_USAGE), what, "exit code", done.returncode, message)
    check(str(job.output) in message, what, "names no file:", message)
    after = job.files()
    for name, content in files.items():
        if name.endswith((".index", ".report.json", ".journal")):
            continue
        check(after.get(name) == content, what, name, "was changed by a run that refused:", message)
    return False


def damaged_journals(place, job, files):
    journal = files[job.output.name + ".journal"]
    completed = 0
    total = 0
    # The header and the first record, which do not lie on the grid, too.
    more = [(f"flipped at {at}", journal[:at] + bytes([journal[at] ^ 4]) + journal[at + 1 :])
            for at in (*range(16), 17, 21, 24, 30)]
    for what, damaged in [*damages(journal), *more]:
        restore(job, {**files, job.output.name + ".journal": damaged})
        good = check_damaged(job, f"journal {what}", files)
        completed += good
        total += 1
        if not good and len(damaged) > 16:
            kept = job.read(".journal")
            check(kept is not None and len(kept) >= min(len(damaged), 16), what, "the journal was thrown away")
    return completed, total


@case
def a_damaged_journal_of_an_unfinished_job(place):
    job = place.job(options=["--ordered"])
    half_done(job)
    went_on, total = damaged_journals(place, job, job.files())
    print(f"{place.name}: {went_on} of {total} went on")
    check(went_on > 0, "no damaged journal was of any use")


@case
def a_damaged_journal_of_an_unfinished_job_from_standard_input(place):
    job = place.job(rows=jobs.rows_of(jobs.json_rows(place.rng, 30, 0.1), "-"))
    half_done(job)
    job.stdin = lambda: subprocess.DEVNULL
    print(f"{place.name}: %d of %d went on" % damaged_journals(place, job, job.files()))


@case
def a_damaged_journal_of_a_complete_job(place):
    for options in ([], ["--ordered"]):
        job = place.job(options=options, output=f"answers{len(options)}.jsonl")
        complete(job)
        print(f"{place.name} {options}: %d of %d went on" % damaged_journals(place, job, job.files()))


@case
def a_damaged_index_is_made_again(place):
    job = place.job()
    half_done(job)
    files = job.files()
    name = job.output.name + ".index"
    for what, damaged in [*damages(files[name]), ("gone", None), ("another", b"something else\n" * 30)]:
        restore(job, {key: value for key, value in {**files, name: damaged}.items() if value is not None})
        if damaged is None and job.path(".index").exists():
            job.path(".index").unlink()
        rows = len(journal_of(job).rows)
        done = complete(job)
        check(job.report()["rows_resumed"] == rows, what, jobs.said(done))


def journal_of(job):
    journal = jobs.Journal()
    journal.read(job.read(".journal"))
    return journal


@case
def damaged_results(place):
    """What was reported is not what it was: 65, and nothing is thrown away."""
    job = place.job(failing=0.3)
    half_done(job)
    files = job.files()
    reported = {jobs.ANSWER: 0, jobs.ERROR: 0}
    for row in job.journal.rows:
        reported[row.kind] = max(reported[row.kind], row.offset + row.length)
    for kind, end in ((jobs.ANSWER, ".partial"), (jobs.ERROR, ".errors.jsonl.partial")):
        name = job.output.name + end
        check(reported[kind] > 0, "no rows of kind", kind)
        for what, damaged in damages(files[name][: reported[kind]]):
            damaged += files[name][reported[kind] :] if what.startswith("flipped") else b""
            restore(job, {**files, name: damaged})
            done = job.run()
            check(done.returncode == EXIT_BAD_INPUT, end, what, done.returncode, jobs.said(done))
            check(str(job.path(end)) in jobs.said(done) and "--restart" in jobs.said(done), jobs.said(done))
            check(job.read(end) == damaged, end, what, "the file was changed")
        restore(job, {key: value for key, value in files.items() if key != name})
        done = job.run()
        check(done.returncode == EXIT_BAD_INPUT and str(job.path(end)) in jobs.said(done), done.returncode, jobs.said(done))
    restore(job, files)
    complete(job)


@case
def a_missing_result(place):
    job = place.job()
    complete(job)
    job.output.unlink()
    refused(job, EXIT_BAD_INPUT, [str(job.output), "--restart"])


@case
def a_copied_standard_input_that_is_gone(place):
    job = place.job(rows=jobs.rows_of(jobs.json_rows(place.rng, 30), "-"))
    half_done(job)
    rows = job.read(".input")
    job.path(".input").unlink()
    refused(job, EXIT_BAD_INPUT, str(job.path(".input")))
    job.path(".input").write_bytes(rows[:-20])
    refused(job, (EXIT_BAD_INPUT, EXIT_USAGE), "rows")
    job.path(".input").write_bytes(rows)
    complete(job)


@case
def a_journal_that_is_another_file(place):
    job = place.job()
    strange = job.path(".journal")
    version = struct.pack("<I", 7)
    other_version = b"BWRECLOG" + version + struct.pack("<I", jobs.crc32c(b"BWRECLOG" + version))
    for content in (b"Dear diary,\n" * 10, b"Dear\n", os.urandom(4000), b"\x7fELF" + bytes(100), other_version,
                    b"\x00" * 4000 + b"precious"):
        strange.write_bytes(content)
        for extra in ([], ["--resume"]):
            refused(job, (EXIT_BAD_INPUT, EXIT_USAGE), str(strange), *extra)
        # Nor is it lost with a job that then cannot run.
        rows = job.folder / job.rows.name
        rows.rename(place.folder / "away")
        done = job.run("--overwrite")
        check(done.returncode == EXIT_NO_FILE, done.returncode, jobs.said(done))
        check(job.read(".journal") == content, "--overwrite of a job that cannot run removed", content[:20])
        (place.folder / "away").rename(rows)
        done = job.run("--restart")
        check(done.returncode == job.expected.code, done.returncode, jobs.said(done))
        check(job.read(".journal.old-1") == content, "moved aside:", list(job.files()))
        job.path(".journal.old-1").unlink()
        job.forget()
        job.check_complete(done.returncode)
        for name in job.files():
            (job.folder / name).unlink()


def run_case(function, *arguments):
    begin = time.monotonic()
    try:
        function(Place(*arguments[:4], function.__name__, arguments[4]))
        return f"ok ({time.monotonic() - begin:.1f} s)"
    except Skip as skip:
        return f"skipped: {skip}"
    except jobs.Wrong as wrong:
        return f"WRONG: {wrong}"
    except Exception:
        return f"WRONG: {traceback.format_exc()}"


def test(binary, model, folder):
    seed = jobs.seeded(20261122).getrandbits(32)
    only = os.environ.get("BATCHWRIGHT_CASE")
    chosen = [function for function in CASES if not only or function.__name__ == only]
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        runs = [(function.__name__, pool.submit(run_case, function, binary, model, OTHER_MODEL, folder, seed))
                for function in chosen]
        results = [(name, run.result()) for name, run in runs]
    for name, result in results:
        print(f"{name}: {result}")
    check(not any(result.startswith("WRONG") for _, result in results), "see above")


OTHER_MODEL = jobs.pathlib.Path(sys.argv[3]).resolve()
jobs.main(test)

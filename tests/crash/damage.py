#!/usr/bin/env python3
"""damage.py BINARY MODEL: what a run does that finds the job's files damaged: the right bytes, or a refusal."""

import os
import struct
import subprocess

import cases
import jobs
from cases import case, complete, half_done, refused
from jobs import EXIT_BAD_INPUT, EXIT_NO_FILE, EXIT_USAGE, check


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


jobs.main(cases.test)

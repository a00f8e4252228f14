#!/usr/bin/env python3
"""starts.py BINARY MODEL OTHER_MODEL: what a run does that finds something: the same job half-done or complete, another
job, or files of somebody else."""

import json
import shutil
import sys

import cases
import jobs
from cases import case, complete, half_done, refused
from jobs import EXIT_BAD_INPUT, EXIT_NO_FILE, EXIT_OK, EXIT_USAGE, check

OTHER_MODEL = jobs.pathlib.Path(sys.argv[3]).resolve()


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

    job.model = OTHER_MODEL
    refused(job, EXIT_USAGE, ["the model was", str(place.model), str(OTHER_MODEL)])
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


jobs.main(cases.test)

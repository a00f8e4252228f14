#!/usr/bin/env python3
"""plan.py BINARY MODEL: what `plan` says of a job is what running it gives; it writes nothing, and survives what `run`
survives."""

import json
import os
import sys
import xml.etree.ElementTree

from program import Program

program = Program(sys.argv[1])
model = sys.argv[2]
os.environ["BATCHWRIGHT_CACHE"] = str(program.path / "cache")
BASE = ["--context-length", 512, "--kv-memory", "64MiB", "--max-batch", 8, "--max-batch-tokens", 96]
KEYS = {"rows", "rows_done", "rows_bad", "prompt_tokens", "prompt_tokens_to_compute", "generated_tokens",
        "peak_memory_bytes", "kv_memory_bytes", "seconds", "rows_per_hour", "multiply_adds", "limited_by", "advice"}
common = "the game library of a free public license is for reading and writing files "


def plan(job, *options, code=0):
    done = program.call("plan", job, "-m", model, "--json", *BASE, *options)
    assert done.returncode == code, f"{options}: exit code {done.returncode}: {done.stderr.decode()}"
    said = json.loads(done.stdout)
    assert set(said) == KEYS, said
    for name in ("generated_tokens", "seconds"):
        assert said[name]["low"] <= said[name]["expected"] <= said[name]["high"], said
    assert said["seconds"]["low"] > 0 and said["peak_memory_bytes"] > 0 and said["multiply_adds"] > 0, said
    return said


def check(name, rows, *options, exact=True, code=0):
    """Plans the job and runs it."""
    job = program.write(f"{name}.jsonl", rows)
    said = plan(job, *options, code=code)
    answers, errors, report = program.run(job, model, *BASE, *options, codes=(code,))
    assert said["rows"] == len(rows) and said["rows_bad"] == len(errors), (name, said, len(errors))
    assert said["prompt_tokens"] == report["prompt_tokens"], (name, said, report)
    assert said["kv_memory_bytes"] == report["kv_memory_bytes"], (name, said, report)
    # Which beginnings of pages can be copied depends on who runs when: about a token a row is not known.
    computed = report["prompt_tokens_computed"]
    assert abs(said["prompt_tokens_to_compute"] - computed) <= max(0.05 * computed, len(rows)), (name, said, report)
    if exact:
        assert set(said["generated_tokens"].values()) == {report["generated_tokens"]}, (name, said, report)
    return said, report


def certain(index, prompt, **fields):
    return {"custom_id": f"r{index}", "prompt": prompt, "max_tokens": 1 + index % 5, "ignore_eos": True, "temperature": 0,
            **fields}


check("shared", [certain(i, common * 12 + "a" * (i % 7) + f" row {i * 37}", n=1 + i % 2) for i in range(200)])
check("documents", [certain(i, common * 3 + f"document {i // 5} " * 9 + common + f"question {i % 5}") for i in range(150)])
check("apart", [certain(i, f"{i * 7919} " * 9 + common, temperature=1) for i in range(60)])
check("no-share", [certain(i, common * 3 + f"{i}") for i in range(60)], "--no-share")
check("file-order", [certain(i, common * 3 + f"{i * 31 % 17} of {i}") for i in range(60)], "--file-order")
check("limit", [certain(i, f"{i * 7919} " * 9 + common) for i in range(20)], "--limit", 20)
said, report = check("lists", [{"prompt": common + f"{i}", "choice": ["game", "library"], "max_tokens": 8} for i in range(40)],
                     exact=False)
low, high = said["generated_tokens"]["low"], said["generated_tokens"]["high"]
assert low == high and 0 < low <= 40 * 8

# Answers that end where the model ends them: between nothing and max_tokens, and as many as the user knows.
free = program.write("free.jsonl", [{"prompt": common + f"{i}", "max_tokens": 300} for i in range(100)])
said = plan(free)
assert 100 <= said["generated_tokens"]["low"] < said["generated_tokens"]["high"] <= 100 * 300, said
assert said["seconds"]["high"] > 2 * said["seconds"]["low"], said
known = plan(free, "--expected-tokens", 20)["generated_tokens"]
assert abs(known["expected"] / (100 * 20) - 1) < 0.1 and known["low"] < known["expected"] < known["high"], known
assert plan(free, "--max-tokens", 5)["generated_tokens"] == said["generated_tokens"], "the row's own value wins"

# Bad rows are told as the run tells them.
rows = [certain(0, common), b"{\"prompt\"", {"prompt": "a", "max_tokens": -1}, {"prompt": common * 99},
        {"prompt": "a", "custom_id": "x" * 9999}, certain(9, common + "b"), b"x" * (2 << 20)]
said, report = check("bad", rows, "--limit-line-bytes", 1 << 20, code=3)
assert said["rows_bad"] == 5 and said["advice"][0]["kind"] == "bad_rows", said
_, errors, _ = program.run(program.path / "bad.jsonl", model, *BASE, "--limit-line-bytes", 1 << 20, codes=(3,))
done = program.call("plan", program.path / "bad.jsonl", "-m", model, *BASE, "--limit-line-bytes", 1 << 20)
assert done.returncode == 3
told = done.stdout.decode()
for line in errors:
    message = json.loads(line)["response"]["body"]["error"]["message"]
    assert message in told, (message, told)

# --dry-run is the same, touches nothing of a job that is there, and needs no output.
job = program.path / "shared.jsonl"
before = {path.name: path.read_bytes() for path in program.path.iterdir() if path.is_file()}
for output in ([], ["-o", program.path / "answers.jsonl"], ["-o", program.path / "fresh.jsonl"]):
    done = program.call("run", job, "-m", model, "--dry-run", "--json", *BASE, *output)
    assert done.returncode == 0, done.stderr
    again = json.loads(done.stdout)
    assert {key: again[key] for key in ("rows", "prompt_tokens", "prompt_tokens_to_compute", "generated_tokens")} == \
           {key: plan(job)[key] for key in ("rows", "prompt_tokens", "prompt_tokens_to_compute", "generated_tokens")}
assert {path.name: path.read_bytes() for path in program.path.iterdir() if path.is_file()} == before
done = program.call("run", job, "-m", model, *BASE)
assert done.returncode == 2 and b"--output is required" in done.stderr, done.stderr

# Of a job that is half done the plan is of what is left, with answers as long as they turned out to be.
half = program.write("half.jsonl", [{"prompt": common + f"{i}", "max_tokens": 60} for i in range(100)])
output = program.path / "half-answers.jsonl"
done = program.call("run", half, "-m", model, *BASE, "-o", output, "--limit", 70, "--quiet")
assert done.returncode == 0, done.stderr
report = json.loads((program.path / "half-answers.jsonl.report.json").read_bytes())
fresh, left = plan(half), plan(half, "-o", output)
assert (fresh["rows"], fresh["rows_done"]) == (100, 0) and (left["rows"], left["rows_done"]) == (100, 70), left
assert 0.2 < left["prompt_tokens"] / fresh["prompt_tokens"] < 0.4, (left, fresh)
mean = report["generated_tokens"] / 70
assert abs(left["generated_tokens"]["expected"] / (30 * mean) - 1) < 0.1, (left, report)
assert abs(left["rows_per_hour"] * left["seconds"]["expected"] / 3600 / 30 - 1) < 1e-3, left
program.write("half.jsonl", [{"prompt": common + f"{i}", "max_tokens": 60 + i // 50} for i in range(100)])
assert plan(half, "-o", output)["rows_done"] == 50, "rows that changed are to be run"
for option, done_rows in ("--restart", 0), ("--resume", 50), ("--overwrite", 0):
    done = program.call("run", half, "-m", model, "--dry-run", "--json", *BASE, "-o", output, option)
    assert json.loads(done.stdout)["rows_done"] == done_rows, (option, done)

# The picture, and what it must not replace.
chart = program.path / "plan.svg"
plan(job, "--chart", chart)
assert xml.etree.ElementTree.parse(chart).getroot().tag.endswith("svg")
for taken in (job, model):
    done = program.call("plan", job, "-m", model, "--chart", taken, *BASE)
    assert done.returncode == 2 and b"has another use" in done.stderr, done.stderr

# What is no job, and no model.
for content, code in ((b"", 65), (b"\n\n", 65), (os.urandom(1 << 16), 3), (b"[" * (1 << 20), 3),
                      (b'{"custom_id":"a","prompt":"b"}\n{"custom_id":"a","prompt":"b"}\n', 65)):
    hostile = program.path / "hostile.jsonl"
    hostile.write_bytes(content)
    done = program.call("plan", hostile, "-m", model, *BASE)
    assert done.returncode == code, (content[:20], done.returncode, done.stderr)
assert program.call("plan", program.path / "none.jsonl", "-m", model, *BASE).returncode == 66
assert program.call("plan", job, "-m", program.path / "none.gguf", *BASE).returncode == 66
assert program.call("plan", job, "-m", job, *BASE).returncode == 65
assert program.call("plan", job, "-m", model, "--kv-memory", "1k").returncode == 2
print("plans and runs agree")

#!/usr/bin/env python3
"""step_files.py BINARY MODEL: what --trace and --chart write adds up to the report, survives what a run survives, and
changes no byte of the answers."""

import json
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree

from program import Program, compare

program = Program(sys.argv[1])
model = sys.argv[2]
BASE = ["--context-length", 512, "--kv-memory", "64MiB", "--max-batch", 4, "--max-batch-tokens", 96, "--ordered"]
trace_path = program.path / "trace.json"
chart_path = program.path / "chart.svg"
output = program.path / "answers.jsonl"
FILES = ["--trace", trace_path, "--chart", chart_path]

common = "the game library of a free public license is for reading and writing files " * 12
rows = [{"custom_id": f"r{i}", "prompt": common + "a" * (i % 7), "max_tokens": 1 + i % 5, "n": 1 + i % 2,
         "ignore_eos": True, "temperature": 0} for i in range(24)]
job = program.write("job.jsonl", rows)


def spans(category):
    events = json.loads(trace_path.read_text(encoding="utf-8"))
    return [event for event in events if event.get("cat") == category]


def total(name):
    return sum(span["args"][name] for span in spans("step"))


def check_nesting():
    """Spans of a deeper kind lie within one of the kind above it."""
    for inner, outer in (("phase", "step"), ("stage", "phase")):
        inside = spans(inner)
        around = spans(outer)
        assert inside
        for span in inside:
            assert any(o["ts"] <= span["ts"] + 1e-6 and span["ts"] + span["dur"] <= o["ts"] + o["dur"] + 1e-6
                       for o in around), span


def check_chart(*parts):
    root = xml.etree.ElementTree.parse(chart_path).getroot()
    assert root.tag.endswith("svg")
    said = " ".join(root.itertext())
    for part in parts:
        assert part in said, f"{part!r} is not in {said!r}"


# The same bytes, and sums that are the report's.
expected, _, plain = program.run(job, model, *BASE)
got, _, report = program.run(job, model, *BASE, *FILES)
compare(expected, got, "with trace and chart")
assert len(spans("step")) == report["steps"] == plain["steps"] > 5
assert [span["args"]["step"] for span in spans("step")] == list(range(1, report["steps"] + 1))
for name in ("prompt_tokens", "prompt_tokens_computed", "generated_tokens", "preemptions"):
    assert total(name) == report[name], (name, total(name), report[name])
assert total("prompt_tokens_shared") == report["prompt_tokens"] - report["prompt_tokens_computed"] > 0
assert total("tokens") == total("decode_tokens") + report["prompt_tokens_computed"]
assert max(span["args"]["sequences_running"] for span in spans("step")) == 4
assert abs(total("tokens") / 96 / report["steps"] - report["mean_fill"]) < 1e-9
assert 0 < report["mean_fill"] <= 1
check_nesting()
saved = 100 * (1 - report["prompt_tokens_computed"] / report["prompt_tokens"])
check_chart(f"{report['steps']} steps", f"{100 * report['mean_fill']:.0f}% full", f"{saved:.1f}% at the end",
            "Tokens of a step")

# Nothing of the run is hurt where they cannot be written; it is said, quiet as it is.
done = program.call("run", job, "-m", model, "-o", output, "--overwrite", "--quiet", *BASE, "--trace", "/dev/full",
                    "--chart", "/dev/full/chart.svg")
assert done.returncode == 66 and b"there is no folder" in done.stderr, done.stderr
done = program.call("run", job, "-m", model, "-o", output, "--overwrite", "--quiet", *BASE, "--trace", "/dev/full")
assert done.returncode == 0, done.stderr
assert b"the trace is not whole: /dev/full" in done.stderr, done.stderr
compare(expected, output.read_bytes().splitlines(), "with a trace on a full disk")

# No other file of the run is written over.
before = job.read_bytes()
for taken in (job, model, output, f"{output}.journal", program.path / "." / "job.jsonl"):
    done = program.call("run", job, "-m", model, "-o", output, "--overwrite", *BASE, "--trace", taken)
    assert done.returncode == 2 and b"has another use" in done.stderr, done.stderr
done = program.call("run", job, "-m", model, "-o", output, "--overwrite", *BASE, "--trace", "x", "--chart", "x")
assert done.returncode == 2, done.stderr
assert job.read_bytes() == before
compare(expected, output.read_bytes().splitlines(), "after refusals")

# A long job that is stopped, goes on, and is killed.
long_job = program.write("long.jsonl", [{"custom_id": f"l{i}", "prompt": common, "max_tokens": 200 + i % 100,
                                         "ignore_eos": True} for i in range(400)])
command = [program.binary, "run", long_job, "-m", model, "-o", program.path / "long.out", "--quiet", *BASE, *FILES,
           "--sync-interval", 0]


def begin():
    trace_path.unlink(missing_ok=True)
    process = subprocess.Popen(list(map(str, command)), stderr=subprocess.PIPE)
    while not trace_path.exists() or trace_path.stat().st_size < 200_000:
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.01)
    return process


process = begin()
process.send_signal(signal.SIGINT)
_, said = process.communicate()
assert process.returncode == 75, said
report_path = program.path / "long.out.report.json"
first = json.loads(report_path.read_text(encoding="utf-8"))
assert first["outcome"] == "interrupted" and first["steps"] == len(spans("step"))
check_chart(f"{first['steps']} steps" if first["steps"] < 1000 else "steps")

process = begin()
process.kill()
process.communicate()
assert len(spans("step")) > 50

process = begin()
process.send_signal(signal.SIGINT)
process.communicate()
third = json.loads(report_path.read_text(encoding="utf-8"))
assert third["attempts"] == 3 and third["steps"] > len(spans("step")) + 50, (third, len(spans("step")))
assert 0 < third["mean_fill"] <= 1

# Measuring has a trace too.
done = program.call("bench", "-m", model, "--prompt", 20, "--generate", 5, "--batch", "2,3", "--kv-memory", "64MiB",
                    "--trace", trace_path)
assert done.returncode == 0, done.stderr
assert total("prompt_tokens_computed") == 20 * 5 and total("generated_tokens") == 6 * 5
check_nesting()
print(f"{report['steps']} steps add up; {first['steps']} and then {third['steps']} of a job that was stopped and killed")

"""Runs jobs with batchwright, and says what they took."""

import bisect
import json
import os
import pathlib
import subprocess
import time

from peers import OURS, RunError, call

# Of the report, where the program writes it.
REPORTED = ("rows_total", "rows_ok", "prompt_tokens", "prompt_tokens_computed", "prompt_tokens_distinct", "generated_tokens",
            "seconds", "seconds_load", "kv_memory_bytes", "kv_touched_bytes", "peak_memory_bytes", "limited_by", "steps", "mean_fill",
            "preemptions", "cost_model_error")
ANSWERS = "answers.jsonl"
ATTENTION = ("attention", "attention finish")


def read_report(report):
    if report["outcome"] != "complete" or report["rows_ok"] != report["rows_total"]:
        raise RunError(f"{report['rows_ok']} of {report['rows_total']} rows are fine: {report['outcome']}")
    return {name: report[name] for name in REPORTED if name in report}


def steps_of(events):
    """Of the Chrome trace that --trace writes, each step: its kind, seconds, tokens, and seconds of attention."""
    steps, attention = [], []
    for event in events:
        if event.get("cat") == "step":
            steps.append({"begin": event["ts"], "end": event["ts"] + event["dur"], "kind": event["name"],
                          "seconds": event["dur"] / 1e6, "tokens": event["args"]["tokens"], "attention": 0.0})
        elif event.get("cat") == "stage" and event["name"] in ATTENTION:
            attention.append(event)
    begins = [step["begin"] for step in steps]
    for event in attention:
        at = bisect.bisect_right(begins, event["ts"]) - 1
        if at >= 0 and event["ts"] <= steps[at]["end"]:
            steps[at]["attention"] += event["dur"] / 1e6
    return [{key: step[key] for key in ("kind", "seconds", "tokens", "attention")} for step in steps]


def progress_of(lines):
    """Of the progress that run --json prints, each time: seconds since the run began, rows ended, and seconds left (None:
    not known yet)."""
    events = [json.loads(line) for line in lines if line.startswith("{")]
    return [{"seconds": event["seconds"], "rows": event["rows_ok"] + event["rows_failed"], "seconds_left": event["seconds_left"]}
            for event in events if event.get("event") == "progress"]


class Jobs:
    """`folder` is for the files of the runs. The answers of the last run without an `out` of its own stand there for
    answers() and verify()."""
    name = OURS

    def __init__(self, binary, model, threads, isa, folder):
        self.binary, self.model, self.folder = binary, model, pathlib.Path(folder)
        self.machine = ["--threads", threads] + (["--isa", isa] if isa else [])
        self.isa = isa or "?"
        self.version = call([binary, "--version"]).stdout.strip().removeprefix("batchwright ")
        self.options = call([binary, "run", "--help"]).stdout
        self.out = self.folder / ANSWERS

    def knows(self, option):
        return option + " " in self.options

    def run(self, job, *options, out=ANSWERS, trace=False, progress=False, restart=True):
        """With a trace where it is wanted and the program writes one, with what it said while it ran. Without `restart` it
        goes on where the last run of the same `out` ended."""
        out = self.folder / out
        trace_file = self.folder / "trace.json"
        trace = trace and self.knows("--trace")
        options = [*options, *(["--trace", trace_file] if trace else [])]
        began = time.monotonic()
        said = call([self.binary, "run", job, "-m", self.model, "-o", out, *(["--restart"] if restart else []),
                     "--json" if progress else "--quiet", *self.machine, *options]).stderr
        wall = time.monotonic() - began
        report = json.loads(out.with_name(out.name + ".report.json").read_text(encoding="utf-8"))
        self.isa = report["isa"]
        run = {**read_report(report), "wall": wall}
        if progress:
            run["progress"] = progress_of(said.splitlines())
        if trace:
            events = json.loads(trace_file.read_text(encoding="utf-8"))
            events = events["traceEvents"] if isinstance(events, dict) else events
            run["steps_traced"] = steps_of(events)
            run["kv_bytes_held_max"] = max(event["args"]["kv_bytes_used"] for event in events if event.get("cat") == "step")
        for old in self.folder.glob(out.name + "*.old-*"):
            old.unlink()
        return run

    def answers(self):
        """The choices of the last run, by custom_id."""
        rows = [json.loads(line) for line in self.out.read_text(encoding="utf-8").splitlines()]
        return {row["custom_id"]: row["response"]["body"]["choices"][0] for row in rows}

    def verify(self, rows):
        """Recomputes so many rows of the last run alone: how many, and how many of them have other bytes."""
        command = [self.binary, "verify", self.out, "--sample", rows, "--json", *self.machine]
        out = json.loads(call(command, accept=(0, 1)).stdout)
        return {"rows": out["rows_equal"] + out["rows_different"], "different": out["rows_different"]}

    def plan(self, job, *options):
        """What the program says of a job, and seconds and memory of planning it; None where the program cannot."""
        if "\n  plan " not in call([self.binary, "--help"]).stdout:
            return None
        command = [self.binary, "plan", job, "-m", self.model, "--json", *self.machine, *options]
        began = time.monotonic()
        with subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as plan:
            out = plan.stdout.read()
            _, status, usage = os.wait4(plan.pid, 0)
            plan.returncode = os.waitstatus_to_exitcode(status)
        if plan.returncode != 0:
            raise RunError(f"batchwright plan ended with {plan.returncode}")
        return {"wall": time.monotonic() - began, "peak_memory_bytes": usage.ru_maxrss * 1024, "plan": json.loads(out)}

    def bench(self, *options):
        out = json.loads(call([self.binary, "bench", "-m", self.model, "--json", *self.machine, *options]).stdout)
        return {**out["results"][0], "fp32_fma": out["peaks"]["fp32_fma"]}

    def kv_bytes(self, positions):
        out = call([self.binary, "inspect", self.model, "--batch", 1, "--context", positions, "--json"]).stdout
        return json.loads(out)["memory"]["kv_bytes"]

"""What `batchwright plan` says of a job beforehand, and `run` while it goes, beside what it then took.

    seconds           those of the report. Where answers have a known length they are to be within a tenth, else between the
                      ends of the range that was said
    time left         said at the first progress after a share of the rows had ended: by how much it was off, as a part of
                      what was left in truth
    peak memory       the process at its largest
"""

import dataclasses
import pathlib

from job_figures import Figure

SHARES = (0.05, 0.25, 0.5)  # of the rows
OVER_ALL_RUNS = ("prompt_tokens", "prompt_tokens_computed", "generated_tokens", "seconds", "steps", "preemptions")  # of a report
LEFT_LEAST = 1.0  # seconds: of less nothing is judged


@dataclasses.dataclass(frozen=True)
class Case:
    """A job of bench/jobs with the options that it runs with. `ends_freely`: not all answers run to max_tokens. With
    `rows_first` so many rows run beforehand, so that the plan, which is then of the others, knows how long answers are."""
    name: str
    path: pathlib.Path
    options: tuple = ()
    ends_freely: bool = False
    rows_first: int = 0


def measure(bench, case):
    pairs = [pair_begun(bench, case) if case.rows_first else
             {"plan": bench.jobs.plan(case.path, *case.options)["plan"],
              "run": bench.jobs.run(case.path, *case.options, progress=True)} for _ in range(bench.pairs)]
    return {"name": case.name, "ends_freely": case.ends_freely, "limits_memory": "--kv-memory" in case.options,
            "rows_first": case.rows_first, "pairs": pairs}


def pair_begun(bench, case):
    first = bench.jobs.run(case.path, *case.options, "--limit", case.rows_first)
    plan = bench.jobs.plan(case.path, *case.options, "-o", bench.jobs.out)["plan"]
    run = bench.jobs.run(case.path, *case.options, progress=True, restart=False)
    return {"plan": plan, "run": {**run, **{key: run[key] - first[key] for key in OVER_ALL_RUNS}}}


def off(said, real):
    return said / real - 1 if real else 0.0


def time_left_off(run, share, rows_first=0):
    """None: nothing was said between then and the last second."""
    rows = rows_first + share * (run["rows_total"] - rows_first)
    for event in run["progress"]:
        left = run["seconds"] - event["seconds"]
        if event["rows"] >= rows and event["seconds_left"] is not None:
            return off(event["seconds_left"], left) if left >= LEFT_LEAST else None
    return None


def prompt_tokens(plan, run):
    said, real = plan["prompt_tokens_to_compute"], run["prompt_tokens_computed"]
    return Figure("prompt tokens computed", f"{said:,} / {real:,}", off(said, real))


def answers(plan, run, ends_freely):
    said, real = plan["generated_tokens"], run["generated_tokens"]
    shown = f"{said['expected']:,} ({said['low']:,} - {said['high']:,})" if ends_freely else f"{said['expected']:,}"
    return Figure("answers' tokens", f"{shown} / {real:,}", off(said["expected"], real))


def seconds(plan, run, ends_freely):
    said, real = plan["seconds"], run["seconds"]
    error = off(said["expected"], real)
    reached = said["low"] <= real <= said["high"] if ends_freely else abs(error) <= 0.1
    shown = f"{said['expected']:.1f} ({said['low']:.1f} - {said['high']:.1f}) / {real:.1f}"
    return Figure("seconds", f"{shown}, {error:+.0%}", error, "in the range" if ends_freely else "within 10%", reached)


def time_left(run, rows_first):
    errors = [time_left_off(run, share, rows_first) for share in SHARES]
    shown = ", ".join("-" if error is None else f"{error:+.0%}" for error in errors)
    return Figure("time left at " + ", ".join(f"{share:.0%}" for share in SHARES), shown, errors[0], "within 10% at 5%",
                  None if errors[0] is None else abs(errors[0]) <= 0.1)


def peak_memory(plan, run):
    said, real = plan["peak_memory_bytes"], run["peak_memory_bytes"]
    error = off(said, real)
    return Figure("peak memory, MiB", f"{said / 2**20:.0f} / {real / 2**20:.0f}, {error:+.1%}", error, "within 3%", abs(error) <= 0.03)


def kv_memory_above(plan, run):
    above = max(0, run["kv_touched_bytes"] - min(run["kv_memory_bytes"], plan["kv_memory_bytes"]))
    return Figure("KV bytes above the limit", f"{above:,}", above, "0", above == 0)


def cost_model(run):
    error = run.get("cost_model_error")
    if error is None:
        return Figure("cost model", "none")
    return Figure("cost model", f"{error:.1%}", error, "under 5%", error < 0.05)


def paused(run, limits_memory):
    share = run["preemptions"] / run["rows_total"]
    if limits_memory:
        return Figure("rows paused", f"{share:.1%}")
    return Figure("rows paused", f"{share:.1%}", share, "under 1% without `--kv-memory`", share < 0.01)


def figures(raw):
    """Of the pair of plan and run whose run took the middling time."""
    ordered = sorted(raw["pairs"], key=lambda pair: pair["run"]["seconds"])
    plan, run = ordered[len(ordered) // 2]["plan"], ordered[len(ordered) // 2]["run"]
    return [Figure("rows", f"{run['rows_total'] - raw['rows_first']:,}"), prompt_tokens(plan, run), answers(plan, run, raw["ends_freely"]),
            seconds(plan, run, raw["ends_freely"]), time_left(run, raw["rows_first"]), peak_memory(plan, run), kv_memory_above(plan, run),
            cost_model(run), paused(run, raw["limits_memory"])]

"""From what the runs of bench/jobs gave to figures beside their marks. Arithmetic alone: nothing runs here."""

import dataclasses
import statistics
import typing

from figures import spread

STEADY = 0.05
KNEE = 64  # tokens of a step: from here on, most of the time of a step grows with its tokens


@dataclasses.dataclass(frozen=True)
class Figure:
    measure: str
    shown: str
    value: typing.Optional[float] = None
    mark: str = ""
    reached: typing.Optional[bool] = None  # None: there is no mark, or it was not measured


def at_least(measure, value, mark, shown, mark_shown):
    return Figure(measure, shown, value, mark_shown, value >= mark)


def ratio_of(pairs):
    """(median, text): `~` where the pairs differ by more than 5%; one pair says nothing about that."""
    middle = statistics.median(pairs)
    return middle, ("" if spread(pairs) <= STEADY else "~") + f"{middle:.2f}"


def median_of(runs, name):
    return statistics.median(run[name] for run in runs)


def seconds_shown(runs, name="seconds"):
    return f"{median_of(runs, name):.1f} s"


def recomputed(runs):
    """Rows that gave up their pages and were computed again: none by default."""
    if any("preemptions" not in run for run in runs):
        return Figure("rows evicted and recomputed", "not reported")
    most = max(run["preemptions"] for run in runs)
    return Figure("rows evicted and recomputed", str(most), most, "0", most == 0)


def paused_share(runs):
    """Sequences that gave their pages up, at default settings: under one in a hundred."""
    most = max(run["preemptions"] / run["rows_total"] for run in runs)
    return Figure("rows paused where there is plenty", f"{most:.1%}", most, "under 1%", most < 0.01)


def against_other_ways(ways, oracle, plenty):
    """`ways`: runs by --admission. Reserving max_tokens lets few rows run; the prompt alone makes them give up pages.
    `oracle`: runs that were told how long each answer is; `plenty`: one that was told and has memory besides."""
    first = ways["past-future"]
    of_better, better_shown = ratio_of([min(run["seconds"] for run in others) / run_first["seconds"]
                                        for run_first, *others in zip(first, ways["reserve"], ways["prompt"])])
    of_oracle, oracle_shown = ratio_of([told["seconds"] / run["seconds"] for run, told in zip(first, oracle)])
    out = [Figure("rows/s, past-future / the better of the others; / who knows the lengths", f"{better_shown}; {oracle_shown}",
                  of_better, "1.3; or 0.97", of_better >= 1.3 or of_oracle >= 0.97)]
    for way, runs in {**ways, "lengths known": oracle}.items():
        rows = runs[0]["rows_total"]
        out.append(Figure(f"rows/s, {way}", f"{rows / median_of(runs, 'seconds'):.2f}, "
                          f"{max(run['preemptions'] for run in runs)} times pages given up"))
    return out + [Figure("rows/s with plenty of memory, lengths known", f"{plenty['rows_total'] / plenty['seconds']:.2f}"),
                  Figure("KV memory", f"{first[0]['kv_memory_bytes'] / 2**20:.0f} MiB; where there is plenty "
                                      f"{plenty['kv_bytes_held_max'] / 2**20:.0f} MiB are held")]


def equal_alone(checks):
    """`checks`: what verify() said; nothing where none was asked for."""
    if not checks:
        return []
    rows, different = sum(c["rows"] for c in checks), sum(c["different"] for c in checks)
    return [Figure("rows whose bytes differ from those computed alone", f"{different} of {rows}", different, "0", different == 0)]


def under(label, figure):
    return dataclasses.replace(figure, measure=label + figure.measure)


def speed_of(runs):
    return Figure("rows/s", f"{runs[0]['rows_total'] / median_of(runs, 'seconds'):.2f}")


def time_of(runs):
    return Figure("time", seconds_shown(runs))


def against_server(ours, theirs, mark):
    pairs = [their["seconds"] / our["seconds"] for our, their in zip(ours, theirs)]
    middle, shown = ratio_of(pairs)
    rows = ours[0]["rows_total"]
    return [
        at_least("rows/s, ratio", middle, mark, f"{shown} ({min(pairs):.2f} - {max(pairs):.2f})", f"{mark}"),
        Figure("rows/s", f"{rows / median_of(ours, 'seconds'):.2f}, server {rows / median_of(theirs, 'seconds'):.2f}"),
        Figure("of that, prompt tokens computed", f"{ours[0]['prompt_tokens_computed']:,} of {ours[0]['prompt_tokens']:,}"),
        Figure("loading the model (not counted)", f"{seconds_shown(ours, 'seconds_load')}, server {seconds_shown(theirs, 'seconds_load')}"),
    ]


def seconds_by_rates(prompt_tokens, generated_tokens, rates):
    return (prompt_tokens / rates["prefill_tokens_per_second"] + generated_tokens / rates["decode_tokens_per_second"])


def saved_arithmetic(shared, unshared, rates, optimum):
    """Time with sharing beside the time without it times the share of its arithmetic that is left: both jobs by the
    machine's own rates, that with sharing computing no more than the optimum."""
    measured, against = [], []
    for with_it, without, rate in zip(shared, unshared, rates):
        left = (seconds_by_rates(optimum, with_it["generated_tokens"], rate) /
                seconds_by_rates(without["prompt_tokens"], without["generated_tokens"], rate))
        measured.append(with_it["seconds"] / without["seconds"])
        against.append(with_it["seconds"] / (without["seconds"] * left))
    middle, shown = ratio_of(against)
    return [
        # Faster than predicted is no fault.
        Figure("time / predicted from saved arithmetic", shown, middle, "at most 1.05", middle <= 1.05),
        Figure("time", f"{seconds_shown(shared)}, nothing shared {seconds_shown(unshared)} "
                       f"({1 / statistics.median(measured):.2f} times)"),
    ]


def against_optimum(run, optimum, saved, mark):
    """`saved`: the share of the possible saving. The program's own idea of the optimum must be ours."""
    out = [Figure("prompt tokens computed", f"{run['prompt_tokens_computed']:,} of {run['prompt_tokens']:,}; optimum {optimum:,}"),
           at_least("saved of what sharing can save", saved, mark, f"{saved:.1%}", f"{mark:.0%}")]
    said = run.get("prompt_tokens_distinct")
    if said is not None:
        out.append(Figure("optimum, reported - counted from the rows", f"{said - optimum:,}", said - optimum, "0", said == optimum))
    return out


def share_below_knee(steps, knee=KNEE):
    total = sum(step["seconds"] for step in steps)
    return sum(step["seconds"] for step in steps if step["tokens"] < knee) / total if total else 0.0


def below_knee(runs, mark=None):
    measure = f"time in steps under {KNEE} tokens"
    if any("steps_traced" not in run for run in runs):
        return Figure(measure, "needs --trace")
    share = statistics.median(share_below_knee(run["steps_traced"]) for run in runs)
    if mark is None:
        return Figure(measure, f"{share:.1%}", share)
    return Figure(measure, f"{share:.1%}", share, f"under {mark:.0%}", share < mark)


def against_file_order(planned, in_file_order):
    middle, shown = ratio_of([theirs["seconds"] / ours["seconds"] for ours, theirs in zip(planned, in_file_order)])
    return Figure("speed / that in the order of the file", shown, middle)


def planning(runs):
    """In all 90 s on two threads and 1 GB; what comes after tokenising 10 s on one."""
    seconds, memory = (max(run[name] for run in runs) for name in ("wall", "peak_memory_bytes"))
    return [Figure("seconds", f"{seconds:.1f}", seconds, "under 90, two threads", seconds < 90),
            Figure("peak memory", f"{memory / 2**20:,.0f} MiB", memory, "under 1 GB", memory < 1e9)]


def attention_multiply_adds(shape, position):
    """Of one query at `position` (from 0) with all keys that it sees, and their values, over heads and layers."""
    seen = [min(position + 1, window or position + 1) for window in shape["windows"]]
    return sum(seen) * shape["heads"] * (shape["key_length"] + shape["value_length"])


def attention_share(steps, shape, rows, first_position, fp32_fma):
    """Of the fp32 peak, over the steps in which all rows decode, the first of them at `first_position`. (The first rows
    are a few positions further, for their prompts end a few steps earlier: less than a percent of a prefix.)"""
    decoding = [step for step in steps if step["kind"] == "decode" and step["tokens"] == rows]
    seconds = sum(step["attention"] for step in decoding)
    work = sum(rows * attention_multiply_adds(shape, first_position + index) for index in range(len(decoding)))
    return work / seconds / fp32_fma if seconds else None


def attention_of_peak(prefix, shares):
    shares = [share for share in shares if share is not None]
    measure = f"prefix of {prefix:,}: attention's share of the fp32 peak, decode"
    if not shares:
        return Figure(measure, "needs --trace")
    middle = statistics.median(shares)
    return at_least(measure, middle, 0.60, ("" if spread(shares) <= STEADY else "~") + f"{middle:.0%}", "60%")

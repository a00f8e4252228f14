"""What was measured, as Markdown and as a chart, from the raw figures alone (the JSON that bench/compare writes)."""

import chart
from figures import Limits, pairs, speed, spread
from peers import OURS, PHASES, Work

PEAK_NAMES = {"int8_maddubs_madd": "int8 `vpmaddubsw` + `vpmaddwd`", "int8_maddubs_add16": "int8 `vpmaddubsw` + `vpaddw`",
              "int8_avxvnni": "int8 256-bit `vpdpbusd`", "int8_vnni": "int8 `vpdpbusd`", "fp32_fma": "fp32 fma"}
PHASE_NAMES = {"prefill": "prefill", "decode": "decode", "whole": "in + out"}


def limits_of(raw):
    return Limits(raw["peaks"], raw["programs"][OURS]["isa"], raw["weights"])


def works_of(raw):
    return [(Work(**entry["work"]), entry) for entry in raw["works"]]


def number(value):
    return f"{value:,.0f}" if value >= 100 else f"{value:,.1f}"


def phases_of(work, entry, peer):
    """Prefill and decode where the peer tells them apart, and both together where it does not or a prefix is shared."""
    told = [phase for phase in PHASES if pairs(entry["runs"], peer, phase)]
    return told if len(told) == 1 or work.shared else [phase for phase in told if phase != "whole"]


def speed_rows(raw, peer):
    limits = limits_of(raw)
    for work, entry in works_of(raw):
        for phase in phases_of(work, entry, peer):
            ratios = sorted(pairs(entry["runs"], peer, phase))
            ours = speed(entry["runs"], OURS, phase)
            int8 = f"{limits.int8_share(phase, ours):.0%}" if phase != "whole" else ""
            bandwidth = f"{limits.bandwidth_share(work.batch, ours):.0%}" if phase == "decode" else ""
            middle = ratios[len(ratios) // 2] if len(ratios) % 2 else sum(ratios[len(ratios) // 2 - 1:][:2]) / 2
            mark = "" if spread(ratios) <= raw["spread"] else "~"
            yield (f"| {work.name} | {work.batch} | {PHASE_NAMES[phase]} | {number(ours)} "
                   f"| {number(speed(entry['runs'], peer, phase))} | {mark}{middle:.2f} "
                   f"| {ratios[0]:.2f} - {ratios[-1]:.2f} | {len(ratios)} | {int8} | {bandwidth} |")


def head_rows(raw):
    yield f"| model | {raw['model']['name']}: {raw['model']['types']} |"
    yield f"| processor | {raw['machine']['processor']}, {raw['machine']['threads']} threads |"
    for name, program in raw["programs"].items():
        yield f"| {name} | {program['version']}; instruction set: {program['isa']} |"
    peaks = raw["peaks"]
    billions = [f"{PEAK_NAMES.get(name, name)} {value / 1e9:,.0f}" for name, value in peaks.items()
                if name != "read_bytes_per_second" and value > 0]
    yield f"| peaks, billion multiply-adds/s | {', '.join(billions)} |"
    yield f"| peak of reading memory | {peaks['read_bytes_per_second'] / 1e9:,.1f} GB/s |"
    cost = raw["weights"]
    yield (f"| a token | {cost['decode_multiply_adds'] / 1e6:,.0f} million multiply-adds decoded, "
           f"{cost['prefill_multiply_adds'] / 1e6:,.0f} of a prompt; {cost['step_bytes'] / 1e6:,.0f} MB of weights a step |")


def works_sentence(raw):
    parts = []
    works = [work for work, _ in works_of(raw)]
    for work in {(w.prompt, w.generate): w for w in works if w.kind == "batch"}.values():
        parts.append(f"batches: {work.prompt} tokens in and {work.generate} out a sequence, nothing shared")
    for work in works:
        own = work.prompt - work.shared
        if work.kind == "shared prefix":
            parts.append(f"shared prefix: {work.shared} tokens that {work.batch} sequences have in common, {own} of its own "
                         f"and {work.generate} out each")
        if work.kind == "single stream":
            parts.append(f"single stream: {work.prompt} tokens in, {work.generate} out")
    words = "; ".join(parts)
    return words[:1].upper() + words[1:] + "."


def markdown(raw, chart_name):
    peers = [name for name in raw["programs"] if name != OURS]
    out = [f"# {raw['model']['name']}: {' and '.join([OURS, *peers])}", "", "| | |", "|---|---|", *head_rows(raw), "",
           f"![Tokens a second by batch]({chart_name})", ""]
    for peer in peers:
        out += [f"## {OURS} and {peer}, tokens a second", "",
                f"| work | sequences | | {OURS} | {peer} | ratio | of pairs | pairs | of int8 | of memory |",
                "|---|--:|---|--:|--:|--:|---|--:|--:|--:|", *speed_rows(raw, peer), ""]
    out += [works_sentence(raw), "",
            "A pair is one run of each, one after the other; speeds are medians of runs, ratios medians of the pairs' ratios, "
            f"measured until the interquartile range is at most {raw['spread']:.0%} of the median (`~`: it is not). The "
            f"last columns: what {OURS} reaches of the fastest int8 multiply-adds of its instruction set, and of reading memory "
            "(the weights, once a step)."]
    out += [f"\n{note}" for note in raw["notes"]]
    return "\n".join(out) + "\n"


def svg(raw):
    limits = limits_of(raw)
    programs = list(raw["programs"])
    works = sorted(((work, entry) for work, entry in works_of(raw) if work.kind == "batch"), key=lambda w: w[0].batch)
    if not works:
        return ""
    first = works[0][0]
    batches = [work.batch for work, _ in works]
    told_apart = all("decode" in run[name] for _, entry in works for run in entry["runs"] for name in run)
    panels = []
    for phase in ("decode", "prefill") if told_apart else ("decode", "prefill", "whole"):
        lines = [[(work.batch, speed(entry["runs"], name, phase)) for work, entry in works
                  if speed(entry["runs"], name, phase) is not None] for name in programs]
        limit = lambda batch, phase=phase: limits.of(phase, Work("batch", batch, first.prompt, first.generate))
        panels.append((phase, batches, lines, limit))
    about = ", ".join(f"{name} {raw['programs'][name]['isa']}" for name in programs)
    title = f"{raw['model']['name']} on {raw['machine']['processor']}, {raw['machine']['threads']} threads"
    subtitle = f"{first.prompt} tokens in, {first.generate} out a sequence; {about}"
    return chart.draw(title, subtitle, programs, panels)

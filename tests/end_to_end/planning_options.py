#!/usr/bin/env python3
"""planning_options.py BINARY MODEL: what a user may ask of `plan`, `run --admission`, `--recalibrate` and `--memory`,
sensible or not: each has its exit code and says what was wrong."""

import gzip
import json
import os
import pathlib
import sys
import threading
import xml.etree.ElementTree

from program import Program, compare

program = Program(sys.argv[1])
model = sys.argv[2]
cache = program.path / "cache"
os.environ["BATCHWRIGHT_CACHE"] = str(cache)
SHAPE = ["--context-length", 512, "--max-batch", 8]
BASE = [*SHAPE, "--kv-memory", "64MiB"]
KEYS = ["rows", "rows_done", "rows_bad", "prompt_tokens", "prompt_tokens_to_compute", "generated_tokens", "peak_memory_bytes",
        "kv_memory_bytes", "seconds", "rows_per_hour", "multiply_adds", "limited_by", "advice"]
words = "the game library of a free public license is for reading and writing files "


def call(command, job, *options, code=0, said=(), stdin=None):
    """Runs it; it must end with that code and have said these parts."""
    done = program.call(command, job, "-m", model, *BASE, *options, stdin=stdin)
    message = done.stderr.decode()
    assert done.returncode == code, f"{command} {options}: exit code {done.returncode}: {message}"
    for part in said:
        assert part in message, (part, message)
    return done


def plan(job, *options, **expected):
    done = call("plan", job, "--json", *options, **expected)
    plan_said = json.loads(done.stdout)
    assert list(plan_said) == KEYS, list(plan_said)
    return plan_said


def row(index, **fields):
    return {"custom_id": f"r{index}", "prompt": words * (1 + index % 5) + str(index), "max_tokens": 3 + index % 5,
            "ignore_eos": True, "temperature": index % 2, **fields}


rows = [row(i) for i in range(40)]
job = program.write("job.jsonl", rows)
BY_HAND = "rows", "rows_bad", "prompt_tokens", "prompt_tokens_to_compute", "generated_tokens"


def figures(said):
    """Those that do not depend on the machine."""
    return {name: said[name] for name in BY_HAND}


def check_admission():
    expected, _, _ = program.run(job, model, *BASE, "--ordered")
    for how in ("past-future", "reserve", "prompt"):
        got, _, _ = program.run(job, model, *SHAPE, "--ordered", "--admission", how, "--kv-memory", "12MiB")
        compare(expected, got, f"--admission {how}")
    for bad in ("oracle", "", "Prompt"):
        call("run", job, "-o", program.path / "never", "--admission", bad, code=2,
             said=["--admission", "past-future", "reserve", "prompt"])
    assert not (program.path / "never").exists()


def cost_files():
    return {path.name: path.read_bytes() for path in cache.iterdir()} if cache.exists() else {}


def check_recalibrate():
    """Measures though something is kept, and says what became of it. A busy machine is no reason to fail."""
    for path in cache.iterdir() if cache.exists() else ():
        path.write_bytes(b"stale")
    before = cost_files()
    done = call("run", job, "-o", program.path / "anew.jsonl", "--recalibrate", "--overwrite",
                said=["measuring what steps cost on this machine\n"])
    message, after = done.stderr.decode(), cost_files()
    if "measured, and kept for later jobs\n" in message:
        assert set(after.values()) - {b"stale"}, after
        done = call("plan", job)
        assert b"measuring" not in done.stderr, done.stderr
    else:
        assert "measured, for this time only: other programs used the machine meanwhile\n" in message, message
    events = call("run", job, "-o", program.path / "anew.jsonl", "--recalibrate", "--overwrite", "--json")
    notes = [event["message"] for event in map(json.loads, events.stderr.splitlines()) if event["event"] == "note"]
    assert "measuring what steps cost on this machine" in notes and any(n.startswith("measured, ") for n in notes), notes
    quiet = call("run", job, "-o", program.path / "anew.jsonl", "--recalibrate", "--overwrite", "--quiet")
    assert quiet.stderr == b"", quiet.stderr
    # A folder that cannot be made: it works all the same.
    blocked = program.write("blocked", [])
    os.environ["BATCHWRIGHT_CACHE"] = str(blocked / "below")
    call("run", job, "-o", program.path / "anew.jsonl", "--recalibrate", "--overwrite", said=["for this time only: "])
    plan(job)
    os.environ["BATCHWRIGHT_CACHE"] = str(cache)


def check_sizes():
    for option in ("--memory", "--kv-memory"):
        for bad in ("12Q", "0", "-1", "", "lots", "1e400", "nan"):
            for command in (["plan", job], ["run", job, "-o", program.path / "never"]):
                call(*command, f"{option}={bad}", code=2, said=[option])
    call("plan", job, "--memory", "1k", code=2, said=["--memory", "give at least"])
    assert not list(program.path.glob("never*"))


def check_plans():
    whole = plan(job)
    assert whole["rows"] == 40 and whole["rows_bad"] == 0
    # The same rows in other clothes.
    packed = program.path / "job.jsonl.gz"
    packed.write_bytes(gzip.compress(job.read_bytes()))
    assert figures(plan(packed)) == figures(whole)
    assert figures(plan("-", stdin=job.read_bytes())) == figures(whole)
    table = program.path / "job.csv"
    table.write_text("text\n" + "".join(f'"{r["prompt"]}"\n' for r in rows))
    tabled = plan(table, "--prompt", "{text}", "--url", "/v1/completions", "--max-tokens", 4, "--ignore-eos")
    assert tabled["prompt_tokens"] == whole["prompt_tokens"] and set(tabled["generated_tokens"].values()) == {160}, tabled
    call("plan", table, code=2, said=["--prompt"])
    # Half done: what all of it takes.
    program.run(job, model, *BASE, "--limit", 20)
    assert figures(plan(job)) == figures(whole)
    # Every option at once.
    plan(job, "--threads", 1, "--isa", "auto", "--max-batch-tokens", 64, "--file-order", "--no-share",
         "--limit", 7, "--expected-tokens", 2, "--seed", 3, "--memory", "4GiB", "--date", "2026-01-31")
    in_order = plan(job, "--file-order")
    assert in_order["rows"] == 40 and in_order["generated_tokens"] == whole["generated_tokens"], in_order


def check_odd_jobs():
    one = plan(program.write("one.jsonl", rows[:1]), "--chart", program.path / "one.svg")
    assert one["rows"] == 1 and one["prompt_tokens_to_compute"] == one["prompt_tokens"] > 0, one
    assert xml.etree.ElementTree.parse(program.path / "one.svg").getroot().tag.endswith("svg")
    call("plan", program.write("empty.jsonl", []), code=65, said=["empty.jsonl"])
    bad = plan(program.write("bad.jsonl", [b"{", {"prompt": 1}, {}]), "--chart", program.path / "bad.svg", code=3)
    assert bad["rows"] == bad["rows_bad"] == 3 and bad["prompt_tokens"] == bad["generated_tokens"]["high"] == 0, bad
    xml.etree.ElementTree.parse(program.path / "bad.svg")
    nothing = plan(program.write("nothing.jsonl", [row(i, max_tokens=0) for i in range(9)]), code=3)
    assert nothing["rows_bad"] == 9 and set(nothing["generated_tokens"].values()) == {0}, nothing
    huge = plan(program.write("huge.jsonl", [row(i, max_tokens=2**31 - 1) for i in range(9)]))
    assert huge["rows_bad"] == 0 and huge["generated_tokens"]["expected"] <= 9 * 512, huge
    beyond = plan(program.write("beyond.jsonl", [row(i, max_tokens=2**80) for i in range(9)]), code=3)
    assert beyond["rows_bad"] == 9, beyond
    # Where a chat template is of no use, chats are bad rows, and prompts are not.
    chat = {"messages": [{"role": "user", "content": "a"}], "max_tokens": 2}
    broken = program.path / "broken.jinja"
    broken.write_text("{% if %}")
    mixed = plan(program.write("mixed.jsonl", [chat, rows[0]]), "--chat-template", broken, code=3)
    assert mixed["rows_bad"] == 1, mixed


def check_places():
    """Charts where none can be; folders and pipes for files."""
    folder = program.path / "folder"
    folder.mkdir()
    for path, code in ((folder, 2), ("/dev/full", 2), ("/dev/null", 2), (folder / "none" / "x.svg", 66), ("-", 2), (job, 2)):
        call("plan", job, "--chart", path, code=code, said=["--chart"])
        call("run", job, "-o", program.path / "never", "--chart", path, code=code, said=["--chart"])
        call("run", job, "-o", program.path / "never", "--report", path, code=code, said=["--report"])
    assert pathlib.Path("/dev/full").is_char_device() and pathlib.Path("/dev/null").is_char_device()
    call("plan", folder, code=65, said=["is a folder"])
    assert not list(program.path.glob("never*"))
    done = program.call("plan", job, "-m", folder, *BASE)
    assert done.returncode == 65 and b"is a folder" in done.stderr, done.stderr
    cut = program.path / "cut.gguf"
    for size in (0, 3, 100, os.path.getsize(model) // 2):
        cut.write_bytes(pathlib.Path(model).read_bytes()[:size])
        done = program.call("plan", job, "-m", cut, *BASE)
        assert done.returncode == 65 and b"cut.gguf" in done.stderr, (size, done.returncode, done.stderr)
    chats = program.write("chats.jsonl", [{"messages": [{"role": "user", "content": words}], "max_tokens": 3}])
    template = program.path / "plain.jinja"
    template.write_text("{% for m in messages %}{{ m.content }}{% endfor %}")
    from_file = plan(chats, "--chat-template", template)
    by_pipe = piped(lambda name: plan(chats, "--chat-template", name), template.read_bytes())
    assert figures(by_pipe) == figures(from_file)
    assert figures(piped(plan, job.read_bytes())) == figures(plan(job))
    expected, _, _ = program.run(job, model, *BASE, "--ordered")
    got, _, _ = piped(lambda name: program.run(name, model, *BASE, "--ordered"), job.read_bytes())
    compare(expected, got, "a job that comes through a pipe")
    empty = program.path / "empty.jinja"
    empty.write_text("")
    call("plan", chats, "--chat-template", empty, code=2, said=["empty.jinja: is empty"])


def piped(use, content):
    """Calls use() with the name of a pipe that holds the content."""
    name = program.path / "pipe"
    os.mkfifo(name)
    writer = threading.Thread(target=name.write_bytes, args=(content,))
    writer.start()
    try:
        return use(name)
    finally:
        writer.join()
        name.unlink()


check_plans()
check_odd_jobs()
check_places()
check_admission()
check_sizes()
check_recalibrate()
print("all is said")

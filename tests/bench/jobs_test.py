#!/usr/bin/env python3
"""jobs_test.py BINARY MODEL: bench/jobs makes the jobs that it says, counts right, and reads what it is given. No speed
is tested."""

import json
import pathlib
import random
import struct
import subprocess
import sys
import tempfile
import types

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "bench"))

import job_forecast  # noqa: E402
import job_figures  # noqa: E402
import job_rows  # noqa: E402
import job_runs  # noqa: E402
import job_table  # noqa: E402
import llama_server  # noqa: E402
import package_text  # noqa: E402
import prefix_pages  # noqa: E402
from peers import RunError  # noqa: E402

BINARY, MODEL = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])

INDEX = """Package: libzoo
Version: 1
Section: libs
Description: animals in a library
Description-md5: 0123

Package: ape
Description-en: a larger animal
 that has a longer text

Package: nothing
Version: 2

Package: libzoo
Description: animals in a library
"""
SENTENCES = package_text.sentences_of(INDEX)


def check(condition, *what):
    assert condition, what


def close(got, expected):
    check(abs(got - expected) <= 1e-9 * abs(expected), got, expected)


def refuses(kind, action, *arguments):
    try:
        action(*arguments)
    except kind as error:
        return str(error)
    raise AssertionError((action, "did not refuse", arguments))


def pages():
    run = lambda begin, count: list(range(begin, begin + count))
    distinct = prefix_pages.distinct_tokens
    check(distinct([]) == 0 and distinct([run(0, 1)]) == 1 and distinct([run(0, 64)]) == 64)
    # The last token of each is computed for its logits, so a page that ends with it is nobody else's.
    check(distinct([run(0, 64), run(0, 64)]) == 128)
    check(distinct([run(0, 65), run(0, 65)]) == 64 + 1 + 1)
    # 100 in common: one page of it is whole.
    check(distinct([run(0, 100) + [7] * 60, run(0, 100) + [8] * 60]) == 64 + 2 * 96)
    # The same tokens behind different ones are different pages.
    check(distinct([[1] + run(0, 128), [2] + run(0, 128)]) == 2 * 129)
    # Three levels: a page for all, one for each half, each row's own.
    rows = [run(0, 64) + [half] * 64 + [row] * 10 for half in (1, 2) for row in (3, 4, 5)]
    check(distinct(rows) == 64 + 2 * 64 + 6 * 10)
    check(prefix_pages.pages_of_all(rows, 55) == 3 + 6 * 1 and prefix_pages.pages_of_all(rows, 56) == 3 + 6 * 2)
    check(prefix_pages.saved_share(6 * 138, 252, 252) == 1 and prefix_pages.saved_share(6 * 138, 6 * 138, 252) == 0)
    close(prefix_pages.saved_share(1000, 440, 400), 560 / 600)
    check(prefix_pages.saved_share(100, 100, 100) == 1 and prefix_pages.saved_share(100, 164, 100) == 0)


def metadata_bytes(pairs):
    text = lambda value: struct.pack("<Q", len(value)) + value
    out = b"GGUF" + struct.pack("<IQQ", 3, 0, len(pairs))
    for key, kind, data in pairs:
        out += text(key) + struct.pack("<I", kind) + data
    return out, text


def texts():
    check(SENTENCES == [" ape: a larger animal.", " libzoo: animals in a library."], SENTENCES)
    _, text = metadata_bytes([])
    words = [b"a", b"an", b"animal", "Ġan".encode(), b"<eos>", b"z"]
    tokens = struct.pack("<IQ", 8, len(words)) + b"".join(map(text, words))
    kinds = struct.pack("<IQ6i", 5, 6, 1, 1, 1, 1, 3, 1)
    data, _ = metadata_bytes([(b"tokenizer.ggml.model", 8, text(b"gpt2")), (b"tokenizer.ggml.tokens", 9, tokens),
                              (b"tokenizer.ggml.token_type", 9, kinds), (b"tokenizer.ggml.bos_token_id", 4, struct.pack("<I", 4)),
                              (b"tokenizer.ggml.add_bos_token", 7, b"\1")])
    with tempfile.TemporaryDirectory(prefix="batchwright-test-") as name:
        path = pathlib.Path(name) / "model.gguf"
        path.write_bytes(data)
        vocabulary = package_text.Vocabulary(package_text.read_metadata(path))
        path.write_bytes(data[:-40])
        refuses(package_text.TextError, package_text.read_metadata, path)
        path.write_bytes(b"something else")
        refuses(package_text.TextError, package_text.read_metadata, path)
    # The longest token first; control tokens never; what nothing spells is left out.
    check(vocabulary.spell("animal an ana!z<eos>") == [2, 3, 3, 0, 5], vocabulary.spell("animal an ana!z<eos>"))
    drawn = package_text.Texts(SENTENCES, vocabulary).draw(random.Random(1), 9, begins=True)
    check(len(drawn) == 9 and drawn[0] == 4, drawn)
    refuses(package_text.TextError, package_text.Texts, ["!"], vocabulary)
    refuses(package_text.TextError, package_text.Vocabulary, {})

    shape = package_text.attention_shape({
        "general.architecture": b"gemma3", "gemma3.attention.head_count": 4, "gemma3.embedding_length": 640,
        "gemma3.attention.key_length": 256, "gemma3.attention.value_length": 128, "gemma3.attention.sliding_window": 512,
        "gemma3.block_count": 7})
    check(shape == {"heads": 4, "key_length": 256, "value_length": 128, "windows": [512] * 5 + [0, 512]}, shape)
    check(job_figures.attention_multiply_adds(shape, 9) == 7 * 10 * 4 * 384)
    check(job_figures.attention_multiply_adds(shape, 999) == (6 * 512 + 1000) * 4 * 384)


def rows():
    model = package_text.Vocabulary(package_text.read_metadata(MODEL))
    source = package_text.Texts([f" package-{n}: does {n * n} things." for n in range(300)], model)
    jobs = {make.__name__: make for make in (job_rows.documents, job_rows.three_levels, job_rows.mixed)}
    made = {name: make(source) for name, make in jobs.items()}
    for name, job in made.items():
        check(job == jobs[name](source), name, "is not the same again")
        check(len({row.name for row in job}) == len(job), name)
        body = json.loads(job[0].line())["body"]
        check(body["max_tokens"] == body["min_tokens"] == job[0].answer and body["ignore_eos"], body)

    documents = made["documents"]
    check(len(documents) == 256 and all(400 <= len(row.prompt) <= 688 and row.answer == 32 for row in documents))
    beginnings = {row.prompt[:320] for row in documents}
    check(len(beginnings) == 32, len(beginnings))
    # Shuffled: not all the questions of a document stand together.
    check(sum(a.prompt[:320] == b.prompt[:320] for a, b in zip(documents, documents[1:])) < 64)

    levels = made["three_levels"]
    check(len(levels) == 192 and len({row.prompt[:320] for row in levels}) == 1 and len({row.prompt[:576] for row in levels}) == 8)

    mixed = made["mixed"]
    check([(len(row.prompt), row.answer) for row in mixed] == [(1500, 8)] * 128 + [(60, 256)] * 128)
    check(prefix_pages.distinct_tokens(job_rows.prompts(mixed)) == 128 * 1560)
    check(len(job_rows.mixed(source, 16)) == 16 and len(job_rows.documents(source, 16)) == 16)

    prefix = job_rows.one_prefix(source, 256, 5, 16, 9)
    check(prefix_pages.distinct_tokens(job_rows.prompts(prefix)) == 256 + 5 * 16 and len(prefix) == 5)

    tail = job_rows.heavy_tail(source)
    lengths = sorted(row.answer for row in tail)
    check(len(tail) == 512 and lengths[0] >= 24 and 40 <= lengths[256] <= 50 and lengths[-1] == job_rows.TAIL_MAX, lengths)
    body = json.loads(tail[0].line())["body"]
    check(body["max_tokens"] == tail[0].answer and "min_tokens" not in body and body["temperature"] == 1, body)
    # What ends a text stands nowhere before, and is as short as can be; half a character is none.
    check([job_rows.ending(text) for text in ("abcab", "aab", "aaaa", "ab\N{REPLACEMENT CHARACTER}c", "")] == ["cab", "b", "aaaa", "b", ""])
    check(job_rows.ending("a" * 1100) == "a" * 962)
    hidden = job_rows.without_lengths(tail, {row.name: f"{row.name} and so on, and so on." for row in tail})
    check(hidden[3].prompt == tail[3].prompt and {row.stop for row in hidden} == {"."})
    body = json.loads(hidden[0].line())["body"]
    check(body["max_tokens"] == job_rows.TAIL_MAX and body["stop"] == ["."] and "min_tokens" not in body, body)

    lines = list(job_rows.million_lines(50))
    check(lines == list(job_rows.million_lines(50)) and all(len(line.encode()) == 200 for line in lines), lines[:2])
    check(len({json.loads(line)["custom_id"] for line in lines}) == 50)


def event(category, name, begin, duration, **arguments):
    return {"cat": category, "name": name, "ph": "X", "ts": begin, "dur": duration, "args": arguments}


TRACE = [{"name": "process_name", "ph": "M", "args": {"name": "batchwright"}},
         event("step", "prefill", 0, 5e6, tokens=512), event("stage", "attention", 1e6, 3e6),
         event("step", "decode", 5e6, 2e6, tokens=4), event("phase", "forward", 5e6, 2e6),
         event("stage", "attention", 5.5e6, 5e5), event("stage", "attention finish", 6e6, 5e5),
         event("stage", "attention norm", 6.5e6, 2e5), event("step", "decode", 7e6, 1e6, tokens=4),
         event("stage", "attention", 7e6, 1e6)]


def steps():
    got = job_runs.steps_of(TRACE)
    check(got == [{"kind": "prefill", "seconds": 5.0, "tokens": 512, "attention": 3.0},
                  {"kind": "decode", "seconds": 2.0, "tokens": 4, "attention": 1.0},
                  {"kind": "decode", "seconds": 1.0, "tokens": 4, "attention": 1.0}], got)
    check(job_figures.share_below_knee(got) == 3 / 8 and job_figures.share_below_knee(got, 4) == 0)
    check(job_figures.share_below_knee([]) == 0)
    figure = job_figures.below_knee([{"steps_traced": got}], 0.03)
    check(figure.reached is False and figure.shown == "37.5%" and figure.mark == "under 3%", figure)
    check(job_figures.below_knee([{"steps_traced": got[:1]}], 0.03).reached is True)
    check(job_figures.below_knee([{"steps_traced": got}, {}], 0.03).reached is None)
    shape = {"heads": 2, "key_length": 8, "value_length": 8, "windows": [0]}
    # Two steps of 4 rows at positions 9 and 10: 10 and 11 keys.
    close(job_figures.attention_share(got, shape, 4, 9, 1000), 4 * (10 + 11) * 2 * 16 / 2.0 / 1000)
    check(job_figures.attention_share(got, shape, 5, 9, 1000) is None)
    check(job_figures.attention_of_peak(1024, [0.61, 0.6]).reached and not job_figures.attention_of_peak(1024, [0.59]).reached)


def figures():
    ours = [{"rows_total": 64, "seconds": s, "seconds_load": 1.0, "prompt_tokens": 100, "prompt_tokens_computed": 40}
            for s in (2.0, 2.0, 4.0)]
    theirs = [{"seconds": s, "seconds_load": 2.0} for s in (20.0, 20.2, 20.1)]
    ratio, speed, *_ = job_figures.against_server(ours, theirs, 10)
    check(ratio.value == 10.0 and ratio.reached and ratio.shown == "~10.00 (5.03 - 10.10)", ratio)
    check(speed.shown == "32.00, server 3.18", speed)
    check(not job_figures.against_server(ours, theirs, 11)[0].reached)
    # One pair says nothing about how steady it is.
    check(job_figures.ratio_of([3.0]) == (3.0, "~3.00") and job_figures.ratio_of([3.0, 3.0]) == (3.0, "3.00"))

    rates = {"prefill_tokens_per_second": 100, "decode_tokens_per_second": 50}
    check(job_figures.seconds_by_rates(1000, 500, rates) == 20)
    # 1,000 tokens in of which 200 are distinct: 2 + 10 s instead of 10 + 10, so 60% of what it took without sharing.
    run = {"generated_tokens": 500, "prompt_tokens": 1000}
    time, _ = job_figures.saved_arithmetic([{**run, "seconds": 24.0}] * 2, [{**run, "seconds": 40.0}] * 2, [rates] * 2, 200)
    check(abs(time.value - 1) < 1e-9 and time.reached and time.shown == "1.00", time)
    slow, _ = job_figures.saved_arithmetic([{**run, "seconds": 26.0}] * 2, [{**run, "seconds": 40.0}] * 2, [rates] * 2, 200)
    check(not slow.reached and slow.shown == "1.08", slow)

    run = {"prompt_tokens": 1000, "prompt_tokens_computed": 440}
    check([f.reached for f in job_figures.against_optimum(run, 400, 0.93, 0.95)] == [None, False])
    check(job_figures.against_optimum({**run, "prompt_tokens_distinct": 464}, 400, 1.0, 0.95)[2].reached is False)
    check(job_figures.against_optimum({**run, "prompt_tokens_distinct": 400}, 400, 1.0, 0.95)[2].reached is True)
    check(job_figures.recomputed([{"preemptions": 0}, {"preemptions": 2}]).reached is False)
    check(job_figures.recomputed([{}]).reached is None and job_figures.equal_alone([]) == [])
    check(job_figures.equal_alone([{"rows": 4, "different": 1}, {"rows": 2, "different": 0}])[0].shown == "1 of 6")

    complete = {"outcome": "complete", "rows_ok": 2, "rows_total": 2, "seconds": 1.5, "something": 1}
    check(job_runs.read_report(complete) == {"rows_ok": 2, "rows_total": 2, "seconds": 1.5})
    refuses(RunError, job_runs.read_report, {**complete, "rows_ok": 1})
    refuses(RunError, job_runs.read_report, {**complete, "outcome": "interrupted"})


def admissions():
    run = lambda seconds, **more: {"rows_total": 64, "seconds": seconds, "preemptions": 0, "kv_memory_bytes": 2**20, **more}
    ways = lambda ours: {"past-future": [run(ours)] * 2, "reserve": [run(30.0)] * 2, "prompt": [run(26.0)] * 2}
    first = lambda ours, told: job_figures.against_other_ways(ways(ours), [run(told)] * 2, run(9.0, kv_bytes_held_max=2**21))[0]
    check(first(20.0, 10.0).reached and first(20.0, 10.0).shown == "1.30; 0.50", first(20.0, 10.0))
    check(first(25.0, 24.5).reached and not first(25.0, 24.0).reached)


def forecasts():
    progress = job_runs.progress_of([
        "loading", '{"event":"error"}',
        '{"event":"progress","seconds":1,"rows_ok":0,"rows_failed":0,"seconds_left":null}',
        '{"event":"progress","seconds":2,"rows_ok":4,"rows_failed":1,"seconds_left":null}',
        '{"event":"progress","seconds":3,"rows_ok":6,"rows_failed":0,"seconds_left":6}',
        '{"event":"progress","seconds":7.5,"rows_ok":50,"rows_failed":0,"seconds_left":0.4}'])
    check(progress[1] == {"seconds": 2, "rows": 5, "seconds_left": None} and len(progress) == 4, progress)
    run = {"rows_total": 100, "seconds": 8.0, "progress": progress, "prompt_tokens_computed": 100, "generated_tokens": 40,
           "peak_memory_bytes": 100 << 20, "kv_memory_bytes": 1000, "kv_touched_bytes": 900, "preemptions": 1, "cost_model_error": 0.04}
    # 6 said where 5 were left; of the last half second nothing is said.
    close(job_forecast.time_left_off(run, 0.05), 0.2)
    check(job_forecast.time_left_off(run, 0.5) is None and job_forecast.time_left_off(run, 0.6) is None)
    # The share is of those that did not run first: 2 and 4% of 98 are 6, 2 and 5% are more.
    close(job_forecast.time_left_off(run, 0.04, rows_first=2), 0.2)
    check(job_forecast.time_left_off(run, 0.05, rows_first=2) is None)
    plan = {"prompt_tokens_to_compute": 110, "generated_tokens": {"low": 20, "expected": 50, "high": 60},
            "seconds": {"low": 7.0, "expected": 9.0, "high": 10.0}, "peak_memory_bytes": 104 << 20, "kv_memory_bytes": 1000}

    def found(ends_freely=True, limits_memory=False, rows_first=0, **changed):
        pairs = [{"plan": plan, "run": {**run, **changed, "seconds": seconds}} for seconds in (80.0, 8.0, 7.9)]
        raw = {"ends_freely": ends_freely, "limits_memory": limits_memory, "rows_first": rows_first, "pairs": pairs}
        return {figure.measure: figure for figure in job_forecast.figures(raw)}
    free, known = found(), found(ends_freely=False, limits_memory=True, kv_touched_bytes=1001, cost_model_error=0.05)
    check(free["seconds"].shown == "9.0 (7.0 - 10.0) / 8.0, +12%" and free["seconds"].reached and not known["seconds"].reached, free)
    check(free["answers' tokens"].shown == "50 (20 - 60) / 40" and known["answers' tokens"].shown == "50 / 40", free)
    left = free["time left at 5%, 25%, 50%"]
    check(left.shown == "+20%, -, -" and left.reached is False, left)
    check(free["peak memory, MiB"].shown == "104 / 100, +4.0%" and free["peak memory, MiB"].reached is False, free)
    check(free["KV bytes above the limit"].reached and known["KV bytes above the limit"].shown == "1" and not known["KV bytes above the limit"].reached)
    check(free["cost model"].reached and not known["cost model"].reached)
    check(free["rows paused"].reached is False and known["rows paused"].reached is None, free)
    check(free["rows"].shown == "100" and found(rows_first=40)["rows"].shown == "60")

    class BegunJobs:
        """Whose second run's report is of both, as that of a run which goes on."""
        out = pathlib.Path("answers.jsonl")
        said = []

        def run(self, job, *options, progress=False, restart=True):
            self.said.append(("run", job, options, progress, restart))
            return {key: 3 if restart else 10 for key in job_forecast.OVER_ALL_RUNS} | {"peak_memory_bytes": 7}

        def plan(self, job, *options):
            self.said.append(("plan", job, options))
            return {"plan": {"rows": 5}}
    jobs = BegunJobs()
    bench = types.SimpleNamespace(jobs=jobs, pairs=1)
    raw = job_forecast.measure(bench, job_forecast.Case("begun", "job.jsonl", ("--seed", 1), rows_first=40))
    check(raw["rows_first"] == 40 and raw["pairs"][0]["plan"] == {"rows": 5}, raw)
    check(raw["pairs"][0]["run"] == {key: 7 for key in job_forecast.OVER_ALL_RUNS} | {"peak_memory_bytes": 7}, raw)
    check(jobs.said == [("run", "job.jsonl", ("--seed", 1, "--limit", 40), False, True),
                        ("plan", "job.jsonl", ("--seed", 1, "-o", jobs.out)),
                        ("run", "job.jsonl", ("--seed", 1), True, False)], jobs.said)


FAKE_SERVER = """#!{python}
import http.server, json, sys, time
if "--version" in sys.argv:
    sys.exit(print("version: 12 (abc)", file=sys.stderr))
value = lambda option: int(sys.argv[sys.argv.index(option) + 1])
assert value("-np") == 16 and value("-c") == 16 * 512 and value("-t") == 3
ready_at = time.monotonic() + 0.3
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def answer(self, status, out):
        text = json.dumps(out).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)
    def do_GET(self):
        self.answer(200 if time.monotonic() > ready_at else 503, {{}})
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        said = body["messages"][0]["content"]
        if said == "bad":
            return self.answer(500, {{"error": "no"}})
        self.answer(200, {{"choices": [{{"message": {{"content": said.upper()}}}}], "usage": {{"prompt_tokens": 5, "completion_tokens": 2}}}})
    def log_message(self, *words):
        pass
http.server.ThreadingHTTPServer(("127.0.0.1", value("--port")), Handler).serve_forever()
"""


def server():
    check(llama_server.read_variant("7f00 r-xp /opt/libggml-cpu-zen4.so\n7f01 r--p /opt/libggml-base.so\n") == "zen4")
    check(llama_server.read_variant("7f01 r--p /opt/libggml-base.so\n") == "built in")
    with tempfile.TemporaryDirectory(prefix="batchwright-test-") as name:
        folder = pathlib.Path(name)
        refuses(RunError, llama_server.LlamaServer, folder, MODEL, 3)
        program = folder / "llama-server"
        program.write_text(FAKE_SERVER.format(python=sys.executable), encoding="utf-8")
        program.chmod(0o755)
        fake = llama_server.LlamaServer(folder, MODEL, 3)
        check(fake.version == "12 (abc)", fake.version)
        chat = lambda text: {"messages": [{"role": "user", "content": text}]}
        run = fake.run([chat(f"row {index}") for index in range(50)], 512)
        # Each answer stands at its own row's place, whichever client asked.
        check(run["texts"] == [f"ROW {index}" for index in range(50)], run)
        check(run["prompt_tokens"] == 250 and run["generated_tokens"] == 100 and run["seconds_load"] >= 0.3, run)
        check("answered 500" in refuses(RunError, fake.run, [chat("bad")], 512))
        program.write_text(f"#!{sys.executable}\nimport sys\nsys.exit('no such model')\n", encoding="utf-8")
        check("no such model" in refuses(RunError, fake.run, [chat("x")], 512))


FAKE_PROGRAM = """#!{python}
import sys
if sys.argv[1] == "plan":
    assert sys.argv[2:] == ["job.jsonl", "-m", "model", "--json", "--threads", "2"], sys.argv
    sys.exit(print('{{"rows": 7}}') if {works} else 65)
print("batchwright 1.2" if "--version" in sys.argv else "Subcommands:\\n  {command}  Say what a job will take")
"""


def planning():
    with tempfile.TemporaryDirectory(prefix="batchwright-test-") as name:
        program = pathlib.Path(name) / "batchwright"

        def plan(command, works):
            program.write_text(FAKE_PROGRAM.format(python=sys.executable, command=command, works=works), encoding="utf-8")
            program.chmod(0o755)
            return job_runs.Jobs(program, "model", 2, "", name).plan("job.jsonl")

        run = plan("plan", True)
        check(run["plan"] == {"rows": 7} and run["wall"] > 0 and run["peak_memory_bytes"] > 1e6, run)
        check(plan("run", True) is None)
        check("ended with 65" in refuses(RunError, plan, "plan", False))
    figures = job_figures.planning([{"wall": 80.0, "peak_memory_bytes": 2e9}, {"wall": 85.0, "peak_memory_bytes": 5e8}])
    check([figure.reached for figure in figures] == [True, False] and figures[0].shown == "85.0", figures)


def memory():
    """The size of the process that starts ours is none of its memory."""
    with tempfile.TemporaryDirectory(prefix="batchwright-test-") as name:
        path = pathlib.Path(name) / "job.jsonl"
        job_rows.write([job_rows.Row("row", (1, 2, 3), 2)], path)
        peak = lambda: job_runs.Jobs(BINARY, MODEL, 1, "", name).run(path)["peak_memory_bytes"]
        alone = peak()
        block = bytearray(b"x") * (1 << 30)
        check(peak() < alone + len(block) // 2, alone)


def whole_program():
    """With the real program and a tiny model; the text is that of the machine's own packages."""
    with tempfile.TemporaryDirectory(prefix="batchwright-test-") as name:
        out = pathlib.Path(name) / "out.json"
        command = [sys.executable, "-B", ROOT / "bench" / "jobs", MODEL, "--binary", BINARY, "--threads", 1, "--shrink", 16,
                   "--pairs", 1, "--verify", 3, "--job", "documents", "--job", "scarce", "--json", out]
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
        check(done.returncode == 0, done.stderr)
        raw = json.loads(out.read_text(encoding="utf-8"))
        check([job["name"] for job in raw["jobs"]] == ["documents", "scarce"])
        found = {figure["measure"]: figure for job in raw["jobs"] for figure in job["figures"]}
        # What the program computed, against what was counted from the rows: less where beginnings of pages are copied.
        plenty = raw["jobs"][1]["runs"]["jobs"]
        check(all(0 < entry["plenty"]["prompt_tokens_computed"] <= entry["optimum"] for entry in plenty), plenty)
        check(found["optimum, reported - counted from the rows"]["reached"] is True, found)
        check(found["rows whose bytes differ from those computed alone"]["shown"] == "0 of 12", found)
        check(done.stdout.strip() == job_table.markdown(raw).strip())
        check("| documents | time / predicted" in done.stdout and "| yes |" not in done.stdout, done.stdout)
        raw["shrink"] = 1
        check("| 100% | yes |" in job_table.markdown(raw), job_table.markdown(raw))

        # What is said beforehand: all but what copies of beginnings save is known.
        command[command.index("--pairs"):] = ["--pairs", 1, "--forecast", "--job", "documents", "--json", out]
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
        check(done.returncode == 0, done.stderr)
        raw = json.loads(out.read_text(encoding="utf-8"))
        check(done.stdout.strip() == job_table.forecast(raw).strip() and "| documents | 16 |" in done.stdout, done.stdout)
        [pair] = raw["forecasts"][0]["pairs"]
        check(abs(job_forecast.off(pair["plan"]["prompt_tokens_to_compute"], pair["run"]["prompt_tokens_computed"])) < 0.05, pair)
        check(pair["plan"]["generated_tokens"]["low"] == pair["run"]["generated_tokens"] == 16 * 32, pair)


pages()
texts()
rows()
steps()
figures()
admissions()
forecasts()
server()
planning()
memory()
whole_program()
print("jobs are what they should be, pages are counted right, traces, reports, plans and answers are read")

#!/usr/bin/env python3
"""bad_input.py BINARY MODEL: what is wrong is named, the other rows go on, the exit code is the one promised."""

import json
import pathlib
import sys

from program import Program

program = Program(sys.argv[1])
model = pathlib.Path(sys.argv[2])
good = {"custom_id": "good", "method": "POST", "url": "/v1/completions",
        "body": {"prompt": "the game", "max_tokens": 3, "temperature": 0}}
job = program.write("job.jsonl", [good])
BASE = ["--context-length", 256, "--kv-memory", "64MiB"]


def expect(code, parts, *arguments):
    done = program.call(*arguments)
    said = done.stderr.decode()
    assert done.returncode == code, f"{arguments}: exit code {done.returncode} instead of {code}: {said}"
    for part in parts:
        assert part in said, f"{arguments}: {part!r} is not in {said!r}"


def run(*arguments):
    return ["run", *arguments, *BASE]


# Files and options.
out = program.path / "out.jsonl"
expect(66, ["missing.gguf"], *run(job, "-m", program.path / "missing.gguf", "-o", out))
expect(66, ["missing.jsonl"], *run(program.path / "missing.jsonl", "-m", model, "-o", out))
damaged = program.path / "damaged.gguf"
damaged.write_bytes(model.read_bytes()[: model.stat().st_size // 2])
expect(65, ["damaged.gguf"], *run(job, "-m", damaged, "-o", out))
damaged.write_bytes(b"not a model")
expect(65, ["damaged.gguf"], *run(job, "-m", damaged, "-o", out))
expect(65, [str(program.path)], *run(job, "-m", program.path, "-o", out))
expect(2, ["avx9000", "scalar"], *run(job, "-m", model, "-o", out, "--isa", "avx9000"))
expect(2, ["--threads"], *run(job, "-m", model, "-o", out, "--threads", "many"))
expect(2, ["--ordered"], *run(job, "-m", model, "-o", out, "--orderd"))
expect(2, ["run"], "rum")
expect(2, ["-m"], "run", job, "-o", out)
twice = program.write("twice.jsonl", [good, {"prompt": "x"}, good])
expect(65, ["good", "1", "3"], *run(twice, "-m", model, "-o", out))
assert not out.exists()
out.write_text("precious")
expect(2, [str(out), "--overwrite"], *run(job, "-m", model, "-o", out))
assert out.read_text() == "precious"

# Rows.
bad = {
    b"not json": "JSON",
    b"[1, 2]": "object",
    b'{"prompt": "\xff\xfe"}': "UTF-8",
    b'{"prompt": "\\ud800"}': "",
    b"[" * 100000: "64",
    b'{"prompt": "a", "x": ' + b"[" * 1000 + b"]" * 1000 + b"}": "64",
    json.dumps({"prompt": "the " * 2000}).encode(): "256",
    b'{"prompt": ""}': "prompt",
    b'{"url": "/v1/completions"}': "body",
    b'{"custom_id": "u", "method": "POST", "url": "/v1/nothing", "body": {}}': "/v1/nothing",
    b'{"custom_id": "g", "method": "GET", "url": "/v1/completions", "body": {"prompt": "a"}}': "method",
    b'{"custom_id": "e", "method": "POST", "url": "/v1/embeddings", "body": {"input": "a"}}': "/v1/embeddings",
}
FIELDS = {"max_tokens": [0, -1, 2**63, "3", 1.5, True, [1]], "temperature": [-1, "hot", 1e9, {}], "top_p": [0, 2, "x"],
          "n": [0, -1, 10**9, "2"], "seed": ["a", 1.5], "stop": [5, [5], [""]], "logit_bias": [[1], {"x": 1}, {"1": "a"}],
          "top_k": [-7, "a"], "min_p": [2, "a"], "presence_penalty": [3, "a"], "frequency_penalty": [-3],
          "repetition_penalty": [0, "a"], "logprobs": [-1, "a"], "echo": ["yes", 1], "min_tokens": [-1, "a"],
          "stop_token_ids": [["a"], [-1], 3], "ignore_eos": ["no"],
          "choice": ["a", [], [""], ["a", 5], ["a", "a"], {"a": 1}, ["x" * 2000]], "guided_choice": [[], "a"],
          "choice_logprobs": [True, "yes"]}
for field, values in FIELDS.items():
    for value in values:
        bad[json.dumps({"prompt": "the", field: value}).encode()] = field
BESIDE_CHOICE = {"stop": "x", "stop_token_ids": [1], "min_tokens": 1, "ignore_eos": True, "max_tokens": 1,
                 "guided_choice": ["the"]}
for field, value in BESIDE_CHOICE.items():
    bad[json.dumps({"prompt": "the", "choice": ["the game of the library", "a"], field: value}).encode()] = field
bad[json.dumps({"prompt": "the", "choice": [f"{i}" for i in range(5000)]}).encode()] = "--limit-choices"
bad[json.dumps({"prompt": "the", "choice": ["a", "the " * 255]}).encode()] = "256"
lines = list(bad) + [good, b"", {"prompt": "one more", "max_tokens": 2, "temperature": 0}]
answers, errors, report = program.run(program.write("bad.jsonl", lines), model, *BASE, codes=(3,))
assert len(answers) == 2, answers
assert report["rows_ok"] == 2 and report["rows_failed"] == len(errors), report
by_line = {json.loads(error)["line"]: json.loads(error) for error in errors}
for number, (line, part) in enumerate(bad.items(), start=1):
    assert number in by_line, f"no error for line {number}: {line[:80]!r}"
    error = by_line[number]["response"]["body"]["error"]
    assert part in error["message"] or part == error["param"], f"{line[:80]!r}: {part!r} is not in {error}"
    assert 400 <= by_line[number]["response"]["status_code"] < 500

# The file's form: BOM, CRLF, no final newline, an empty file.
form = program.path / "form.jsonl"
form.write_bytes(b'\xef\xbb\xbf{"prompt": "a", "max_tokens": 1}\r\n{"prompt": "b", "max_tokens": 1}')
answers, _, _ = program.run(form, model, *BASE)
assert [json.loads(a)["custom_id"] for a in sorted(answers)] and len(answers) == 2
form.write_bytes(b"")
expect(65, ["form.jsonl", "no rows"], *run(form, "-m", model, "-o", program.path / "empty.jsonl"))
print(f"{len(bad)} bad rows and the bad files are named; the good rows went on")

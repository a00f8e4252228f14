#!/usr/bin/env python3
"""same_bytes.py BINARY MODEL: whole lines of output are byte-equal in every setting, on a tiny model."""

import json
import random
import sys

from program import Program, compare

program = Program(sys.argv[1])
model = sys.argv[2]
WORDS = ("the game library of a free public license is for reading and writing files that are in an "
         "answer below with any other time or day").split()


def text(rng, words):
    return " ".join(rng.choice(WORDS) for _ in range(words))


def make_rows():
    """64 rows of different lengths: greedy and sampled, n of 1 and 3, both urls, bad ones among them; then 24 of them
    with answers out of lists."""
    rng = random.Random(17)
    common = text(rng, 25)
    rows = []
    for i in range(64):
        prompt = (common + " " if i % 3 else "") + text(rng, 1 + i % 19)
        body = {"max_tokens": 1 + i % 13, "temperature": 0 if i % 2 else 0.8}
        if i % 4 == 1:
            body["n"] = 3
        if i % 5 == 2:
            body["top_p"] = 0.7
        if i % 7 == 3:
            body["frequency_penalty"] = 0.4
        if i % 8 == 4:
            body["seed"] = i
        if i % 16 == 15:
            body["temperature"] = "warm"  # fails
        if i % 2:
            url = "/v1/completions"
            body["prompt"] = prompt
            if i % 6 == 1:
                body["logprobs"] = 2
            if i % 6 == 5:
                body["echo"] = True
        else:
            url = "/v1/chat/completions"
            body["messages"] = [{"role": "user", "content": prompt}]
            if i % 6 == 2:
                body |= {"logprobs": True, "top_logprobs": 2}
        rows.append({"custom_id": f"row-{i}", "method": "POST", "url": url, "body": body})
    return rows + [listed(row, i, rng) for i, row in enumerate(rows[:24])]


def listed(row, i, rng):
    """The same row with an answer out of a list: words, sentences, beginnings of other strings; every other one with
    the probabilities of all."""
    body = {key: value for key, value in row["body"].items() if key != "max_tokens"}
    choice = sorted({text(rng, 1 + rng.randrange(4)) for _ in range(1 + i % 7)} | {"a", "an", "an answer"})
    rng.shuffle(choice)
    body["choice" if i % 3 else "guided_choice"] = choice
    if i % 2 == 0 or i % 8 == 3:
        body["choice_logprobs"] = True
    return row | {"custom_id": f"listed-{i}", "body": body}


rows = make_rows()
job = program.write("job.jsonl", rows)
shuffled = rows[:]
random.Random(3).shuffle(shuffled)
shuffled_job = program.write("shuffled.jsonl", shuffled)

base = ["--context-length", 512]
expected, expected_errors, report = program.run(job, model, *base, "--kv-memory", "64MiB", "--ordered", codes=(3,))
assert len(expected) + len(expected_errors) == len(rows) == 88
assert len(expected_errors) == 5
list_of = {row["custom_id"]: row["body"].get("choice") or row["body"].get("guided_choice") for row in rows}
for answer in map(json.loads, expected):
    body = answer["response"]["body"]
    for choice in body["choices"] if list_of[answer["custom_id"]] else ():
        said = choice["text"] if "text" in choice else choice["message"]["content"]
        strings = list_of[answer["custom_id"]]
        assert any(said.endswith(s) for s in strings) if "text" in choice else said in strings, answer
        if "choice_logprobs" in choice:
            assert [entry["text"] for entry in choice["choice_logprobs"]] == strings, answer
            assert abs(sum(entry["probability"] for entry in choice["choice_logprobs"]) - 1) < 1e-5, answer
assert sum(b'"choice_logprobs"' in line for line in expected) == 15
assert report["prompt_tokens_computed"] < report["prompt_tokens"], "nothing was shared"
assert 0 < report["prompt_tokens_distinct"] < report["prompt_tokens"], report

settings = [["--max-batch", 1], ["--max-batch", 3], ["--max-batch", 64], ["--max-batch", 3, "--max-batch-tokens", 16],
            ["--max-batch-tokens", 64], ["--max-batch-tokens", 512], ["--threads", 1], ["--no-share"],
            ["--file-order"], ["--file-order", "--no-share", "--max-batch", 5]]
for isa in ("scalar", "avx2", "avxvnni", "avx512", "vnni", "amx"):
    if program.has_isa(isa, model):
        settings.append(["--isa", isa])
    else:
        print(f"skipped: this machine has no {isa}")
for setting in settings:
    got, errors, _ = program.run(job, model, *base, "--kv-memory", "64MiB", "--ordered", *setting, codes=(3,))
    compare(expected, got, setting)
    compare(expected_errors, errors, setting)

# The memory of one sequence: what the refusal says.
refused = program.call("run", job, "-m", model, "-o", "-", "--kv-memory", "1", *base)
assert refused.returncode == 2, refused.stderr
least = refused.stderr.decode().split("needs ")[1].split(";")[0]
got, errors, _ = program.run(job, model, *base, "--kv-memory", least, "--ordered", codes=(3,))
compare(expected, got, "scarce memory")
compare(expected_errors, errors, "scarce memory")

# In the order of completion, and with the rows shuffled: the same lines as a set.
got, _, _ = program.run(job, model, *base, codes=(3,))
compare(sorted(expected), sorted(got), "completion order")
got, _, _ = program.run(shuffled_job, model, *base, "--max-batch", 7, codes=(3,))
compare(sorted(expected), sorted(got), "shuffled rows")

# A list on the command line is that of every row without its own.
def choices_of(job_rows, *options):
    lines, _, _ = program.run(program.write("lists.jsonl", job_rows), model, *base, "--ordered", *options)
    return [json.loads(line)["response"]["body"]["choices"] for line in lines]


bare = [{"custom_id": f"{i}", "prompt": text(random.Random(i), 9)} for i in range(8)]
own = [row | {"choice": ["the game", "a", "game"], "choice_logprobs": True} for row in bare]
assert choices_of(own) == choices_of(bare, "--choice", "the game,a", "--choice", "game", "--choice-logprobs")
assert choices_of(own, "--choice", "other", "--max-tokens", 1, "--stop", "a", "--ignore-eos") == choices_of(own)
print(f"{len(expected)} answers and {len(expected_errors)} errors are byte-equal in {len(settings) + 3} settings")

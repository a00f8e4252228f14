#!/usr/bin/env python3
"""same_bytes_real.py BINARY: 8 rows in 4 settings on the real models, and one row by the scalar reference."""

import sys

from program import Program, compare, real_models

program = Program(sys.argv[1])
folder = real_models()
TOPICS = ["a library that reads files", "a game of cards", "a font for code", "a mail server", "tools for sound",
          "a map of the stars", "pictures and photographs", "pages of a manual"]
BEGIN = "Each line names a package and says in one word what it is. tar: archives. vim: editing. gcc: compiling. "

for name in ("qwen2.5-coder-0.5b-instruct-q4_k_m.gguf", "gemma-3-270m-q4_k_m.gguf"):
    model = folder / name
    rows = [{"custom_id": f"r{i}", "method": "POST", "url": "/v1/completions",
             "body": {"prompt": BEGIN * 3 + topic + ":", "max_tokens": 6, "temperature": i % 2, "logprobs": 2}}
            for i, topic in enumerate(TOPICS)]
    job = program.write("job.jsonl", rows)
    base = ["--context-length", 1024, "--ordered"]
    expected, _, _ = program.run(job, model, *base)
    assert len(expected) == 8
    settings = [["--max-batch", 1, "--threads", 1, "--no-share"], ["--max-batch", 3, "--max-batch-tokens", 32]]
    settings += [["--isa", isa] for isa in ("avx2", "avxvnni", "avx512") if program.has_isa(isa, model)]
    for setting in settings:
        got, _, _ = program.run(job, model, *base, *setting)
        compare(expected, got, f"{name} {setting}")
    short = program.write("short.jsonl", [{"prompt": "The mail", "max_tokens": 2, "temperature": 0, "logprobs": 2}])
    fast, _, _ = program.run(short, model, *base)
    scalar, _, _ = program.run(short, model, *base, "--isa", "scalar")
    compare(fast, scalar, f"{name} scalar")
    print(f"{name}: 8 rows byte-equal in {len(settings) + 1} settings, one row by scalar")

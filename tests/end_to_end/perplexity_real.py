#!/usr/bin/env python3
"""perplexity_real.py BINARY: `eval` on the real models agrees with llama.cpp b11434.

The values are those of its llama-perplexity -c 512 -b 512 --chunks 8 on the same text.
"""

import json
import pathlib
import sys

from program import SKIPPED, Program, real_models

TEXT = pathlib.Path("/usr/share/common-licenses/GPL-3")
LLAMA_CPP = {"gemma-3-270m-q4_k_m.gguf": 14.9498, "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf": 5.9020}
TOLERANCE = 0.005

program = Program(sys.argv[1])
folder = real_models()
if not TEXT.exists():
    print(f"this machine has no {TEXT}")
    sys.exit(SKIPPED)
for name, theirs in LLAMA_CPP.items():
    done = program.call("eval", folder / name, "--text", TEXT, "--context", 512, "--chunks", 8, "--json")
    assert done.returncode == 0, done.stderr.decode()
    result = json.loads(done.stdout)
    assert result["tokens_scored"] == 8 * 255, result
    assert len(result["chunks"]) == 8, result
    apart = result["perplexity"] / theirs - 1
    print(f"{name}: {result['perplexity']:.4f}, llama.cpp {theirs}: {apart:+.3%}")
    assert abs(apart) < TOLERANCE, f"{name}: {apart:+.3%} apart"

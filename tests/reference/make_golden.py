#!/usr/bin/env python3
"""Logits and perplexities of the tiny models by the fp64 reference, for the engine's tests to compare with.

  make_golden.py MODELS GOLDEN          writes GOLDEN/MODEL.json for each model that make_tiny_models.py wrote to MODELS,
                                        and their checksums to GOLDEN/tiny-models.sha256
  make_golden.py --check MODELS GOLDEN  computes the logits anew and compares

A file holds:
  model       the GGUF file's name
  sequences   of {tokens, rows}; a row is {position, logits}: the logits after the token at that position, to 7 digits
  perplexity  of {text, context, chunks, tokens, running}: the text file, its tokens (BOS included where the model asks
              for it), and the value after each chunk, by the convention of llama.cpp's perplexity tool

Measured with llama.cpp b11434 (llama-perplexity -c 128 -b 128 --chunks 4 -ctk f32 -ctv f32) on the same text:
14141.2906 for tiny-qwen2-f32 (here 14142.17: 0.006% apart), 40823.5816 for tiny-gemma3-f32 (here 40830.38: 0.017%).
The reference on real models with all weights brought to F32, first chunk of 512: Gemma 3 270M 12.8688 (llama.cpp
12.8679), Qwen2.5-Coder 0.5B 4.8650 (4.8705, of which rounding rotated queries and keys to fp16 explains 0.0050).
"""

import hashlib
import json
import pathlib
import sys

import numpy as np

import reference
from make_tiny_models import Random

TEXT = "/usr/share/common-licenses/GPL-3"
CONTEXT, CHUNKS = 128, 4
# Lengths of sequences and the positions looked at: the first, and both sides of the edges that blocks of 64 positions
# and windows of 64 make.
FULL = {1: [0], 70: [0, 63, 64, 69], 200: [126, 127, 128, 199]}
BRIEF = {200: [64, 199]}


def random_tokens(model, length):
    types = model.metadata["tokenizer.ggml.token_type"]
    plain = [token for token in range(len(types)) if types[token] in (1, 6)]
    random = Random(f"{model.family} sequence of {length}")
    return [plain[random.next() % len(plain)] for _ in range(length)]


def sequences_of(model, lengths):
    result = []
    for length, positions in lengths.items():
        tokens = random_tokens(model, length)
        rows = model.logits(tokens, positions)
        result.append((tokens, positions, rows))
    return result


def write(path, golden):
    model = reference.Model(path)
    sequences = [
        {
            "tokens": tokens,
            "rows": [
                {"position": position, "logits": [float(f"{x:.7g}") for x in row]}
                for position, row in zip(positions, rows)
            ],
        }
        for tokens, positions, rows in sequences_of(model, FULL if path.stem.endswith("f32") else BRIEF)
    ]
    tokens = reference.tokenize(model, pathlib.Path(TEXT).read_text())
    if model.metadata["tokenizer.ggml.add_bos_token"]:
        tokens.insert(0, model.metadata["tokenizer.ggml.bos_token_id"])
    running = [float(f"{x:.10g}") for x in reference.perplexity(model, tokens, CONTEXT, CHUNKS)]
    perplexity = {"text": TEXT, "context": CONTEXT, "chunks": CHUNKS, "tokens": len(tokens), "running": running}
    lines = ",\n".join(json.dumps(sequence) for sequence in sequences)
    (golden / f"{path.stem}.json").write_text(
        f'{{"model": "{path.name}", "perplexity": {json.dumps(perplexity)}, "sequences": [\n{lines}\n]}}\n'
    )


def check(path, golden):
    model = reference.Model(path)
    stored = json.loads((golden / f"{path.stem}.json").read_text())
    for sequence in stored["sequences"]:
        positions = [row["position"] for row in sequence["rows"]]
        expected = np.array([row["logits"] for row in sequence["rows"]])
        error = np.abs(model.logits(sequence["tokens"], positions) - expected).max()
        # What 7 digits leave of logits up to 100.
        if not error < 1e-5:
            sys.exit(f"{path.name}: a sequence of {len(sequence['tokens'])} tokens is off by {error}")


def main(arguments):
    is_check = arguments[:1] == ["--check"]
    if len(arguments) != 2 + is_check:
        sys.exit(__doc__)
    models, golden = map(pathlib.Path, arguments[is_check:])
    paths = sorted(models.glob("tiny-*.gguf"))
    if not paths:
        sys.exit(f"no tiny models in {models}")
    for path in paths:
        (check if is_check else write)(path, golden)
    if not is_check:
        sums = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in paths]
        (golden / "tiny-models.sha256").write_text("".join(sums))


if __name__ == "__main__":
    main(sys.argv[1:])
